//! Why a command failed, and the exit code that says so.

use tonic::{Code, Status};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// No injector leads, or it cannot be reached.
    #[error("no injector leads at {addresses}: {reason}; check --injectors, or try again in a moment")]
    NoLeader { addresses: String, reason: String },
    /// A worker cannot be reached.
    #[error("worker {worker} at {address} cannot be asked: {reason}")]
    Worker { worker: String, address: String, reason: String },
    /// There are no workers to ask.
    #[error("the pipeline has no workers now")]
    NoWorkers,
    /// What was asked about is not there.
    #[error("{0}")]
    NotFound(String),
    /// The pipeline is not done yet.
    #[error("it is not done after {0} s")]
    NotDone(u64),
    /// The certificates cannot be used.
    #[error(transparent)]
    Security(#[from] pelton_transport::config::SecurityArgsError),
    /// Anything else that the other side says.
    #[error("{0}")]
    Said(String),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NoLeader { .. } | Self::Worker { .. } | Self::NoWorkers => 3,
            Self::NotFound(_) => 4,
            Self::NotDone(_) | Self::Security(_) | Self::Said(_) => 1,
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::NotFound => Self::NotFound(status.message().to_owned()),
            _ => Self::Said(format!("{}: {}", status.code(), status.message())),
        }
    }
}
