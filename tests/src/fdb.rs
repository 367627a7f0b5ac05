//! FoundationDB clusters for tests: real processes on loopback ports, in a directory of their own.
//!
//! Nothing here links to FoundationDB: servers are started, and asked through `fdbcli`. Where these two are not on the
//! path, [`Cluster::start`] gives `None` and says so, and a test that needs a cluster proves nothing.
//!
//! | module | what |
//! |---|---|
//! | [`cluster`] | a whole cluster: started, configured, asked, replaced |
//! | [`server`] | one `fdbserver`: killed, paused, started again |
//! | [`proxy`] | a wire between clients and a server, which can be cut in either direction |
//!
//! A server dies with the process that started it, however that ends.

pub mod cluster;
pub mod proxy;
pub mod server;

pub use cluster::{Cluster, Shape};
pub use proxy::{Flow, Proxy};
pub use server::Server;
