//! How Pelton's services listen and connect: the same for the injector, the state store and workers.
//!
//! | module | what |
//! |---|---|
//! | [`server`] | listening: loopback unless told otherwise, bounded messages and streams, an orderly end; health and reflection |
//! | [`limits`] | the bounds of a service |
//! | [`client`] | connecting |
//! | [`network`] | TCP, or a network that is handed in |
//! | [`security`] | plaintext, or mutual TLS from files that may change while they are used |
//! | [`credentials`] | those files, and what may be wrong with them |
//! | [`config`] | a program's options: from defaults, a file, the environment and the command line |
//!
//! Beside the library there is the program `pelton-probe`, which asks a service for its health.
//!
//! Not here: what is said. The contracts are in `pelton-proto`.

pub mod client;
pub mod config;
pub mod credentials;
pub mod limits;
pub mod network;
mod peer;
pub mod security;
pub mod server;

mod accepting;
mod connection;
mod introspection;
mod wire;

pub use client::{ConnectError, connect};
pub use credentials::{TlsError, TlsFile, TlsFiles};
pub use limits::Limits;
pub use peer::{ClientIdentity, Peer};
pub use security::Security;
pub use server::{ListenError, ListenOptions, Server};

/// The largest message that any service takes or gives, encoded: a commit of 8 MB and what surrounds it.
///
/// gRPC's own bound is 4 MB, and is set on each generated service and client, not on a server or channel: give this
/// to `max_decoding_message_size` and `max_encoding_message_size` of both.
pub const MESSAGE_BYTES_MAX: usize = 10 << 20;
