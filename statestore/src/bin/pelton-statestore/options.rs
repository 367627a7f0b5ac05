//! The command line.

use pelton_statestore::embedded;
use pelton_transport::config::{SecurityArgs, ServingArgs};
use std::net::SocketAddr;

/// Serves a state store to other processes over gRPC.
#[derive(Clone, Debug, clap::Parser)]
#[command(version)]
pub(crate) struct Options {
    /// The store: embedded:PATH, a directory that is made where there is none; or memory:, which is gone with this
    /// process
    #[arg(long, value_name = "URL")]
    pub(crate) store: String,
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4100")]
    pub(crate) listen: SocketAddr,
    /// When a commit to an embedded store counts as durable
    #[arg(long, value_enum, default_value = "fsync")]
    pub(crate) durability: Durability,
    #[command(flatten)]
    pub(crate) security: SecurityArgs,
    #[command(flatten)]
    pub(crate) serving: ServingArgs,
}

/// When a commit counts as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Durability {
    /// Once the disk has it: it survives loss of power
    Fsync,
    /// Once the operating system has it: it survives the end of the process, not of the machine
    Buffered,
}

impl From<Durability> for embedded::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Fsync => Self::Fsync,
            Durability::Buffered => Self::Buffered,
        }
    }
}
