//! The remote store: a client and a server with a network, and two processes, between them.
//!
//! | module | what is proved |
//! |---|---|
//! | `conformance` | the suite that every backend passes; stops are kills of the server's process |
//! | `outcomes` | I3: what is said of a commit whose call broke off, and how the fence settles it |
//! | `restarts` | a server killed under several reigns that count: nothing lost, nothing twice |
//! | `opening` | servers that are not there, are others, or are another store meanwhile; the program itself |
//! | `bounds` | I11: large commits and messages, clients that flood or do not read |
//! | `malformed` | bytes that mean nothing |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test"
)]

mod bounds;
mod conformance;
mod counter;
mod malformed;
mod opening;
mod outcomes;
mod proxy;
mod raw;
mod restarts;
mod server;
