//! How Pelton's services listen and connect: the same for the injector, the state store and workers.
//!
//! | module | what |
//! |---|---|
//! | [`server`] | listening: loopback unless told otherwise, bounded messages and streams, an orderly end |
//! | [`client`] | connecting |
//! | [`security`] | plaintext, or mutual TLS from files |
//!
//! Not here: what is said. The contracts are in `pelton-proto`.

pub mod client;
pub mod security;
pub mod server;

pub use client::{ConnectError, connect};
pub use security::Security;
pub use server::{ListenError, ListenOptions, Server};

/// The largest message that any service takes or gives, encoded: a commit of 8 MB and what surrounds it.
pub const MESSAGE_BYTES_MAX: usize = 10 << 20;
