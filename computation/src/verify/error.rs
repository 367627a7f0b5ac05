//! Why a pipeline could not be verified.

use super::settled::Unsettled;
use crate::local::RunError;
use crate::pipeline::{CatalogueError, PipelineError};
use crate::recording::RecordingError;
use pelton_domain::ProcessingTime;
use pelton_proto::Malformed;
use pelton_statestore::keys::MalformedKey;
use pelton_statestore::{StoreFault, TakeOverError};
use std::io;
use std::path::PathBuf;

/// Why a pipeline could not be verified. Nothing of the live one has changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The store is broken or closed.
    #[error("the store failed: {0}")]
    Store(StoreFault),
    /// The store has something that cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The store has a key that cannot be read.
    #[error(transparent)]
    Key(#[from] MalformedKey),
    /// The fences cannot be read.
    #[error(transparent)]
    Fences(#[from] TakeOverError),
    /// There is nothing to verify.
    #[error("the store has no pipeline {pipeline:?}: name the store that it ran on")]
    NoLive {
        /// Which.
        pipeline: String,
    },
    /// The code does not fit what the store has.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The graph is another.
    #[error(
        "the graph of {pipeline} has changed since it ran last: verify it with the program that ran, or run this one first"
    )]
    GraphChanged {
        /// Of which pipeline.
        pipeline: String,
    },
    /// The live pipeline is still at it.
    #[error(
        "the live pipeline has not settled: {0}; let it run until it is done, or until it has nothing to do, stop it, and try again"
    )]
    Unsettled(Unsettled),
    /// The live pipeline went on.
    #[error(
        "the live pipeline went on while its shadow ran, so they cannot be compared: stop it, and try again"
    )]
    LiveWentOn,
    /// A computation is run with stable input.
    #[error(
        "{computation} is declared with `stable_input`, so it acts on the outside, and would do so again: leave it out with --leave-out {computation}"
    )]
    ActsOutside {
        /// Which.
        computation: String,
    },
    /// There is no such computation.
    #[error("there is no computation {name:?} to be left out; there are {}", known.join(", "))]
    NoSuch {
        /// The name that was given.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// A stream from outside is not recorded.
    #[error(
        "stream {stream:?} comes from outside and is not recorded, so it cannot be played again: add `.record(Retention::days(..))` to its `Ingest`"
    )]
    NotRecorded {
        /// Which.
        stream: String,
    },
    /// A recording lacks records.
    #[error(
        "the recording of {stream:?} has {recorded} of the {appended} records of the stream: the others came before it was recorded, or have expired; give a time with --from, to compare what came of the records since"
    )]
    Incomplete {
        /// Of which stream.
        stream: String,
        /// How many it has.
        recorded: u64,
        /// How many the stream has had.
        appended: u64,
    },
    /// What is asked for has expired.
    #[error(
        "the recording of {stream:?} is kept from {kept_from} on: what arrived between {from} and then may be gone; begin at {kept_from} or later"
    )]
    Expired {
        /// Of which stream.
        stream: String,
        /// From when on it was asked for.
        from: ProcessingTime,
        /// From when on it is kept.
        kept_from: ProcessingTime,
    },
    /// A recording cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The name leaves no room.
    #[error(
        "the name {pipeline:?} leaves no room for that of its shadow: {bytes_max} bytes is the most for a pipeline that is verified"
    )]
    NameTooLong {
        /// Of the pipeline.
        pipeline: String,
        /// The most that would do.
        bytes_max: usize,
    },
    /// The place is taken.
    #[error(
        "the store has a pipeline {pipeline:?} that is no shadow: it is left alone; give another store for the shadow, with --shadow-store"
    )]
    NoShadow {
        /// What is there.
        pipeline: String,
    },
    /// Another verification has begun.
    #[error(
        "another verification of this pipeline has begun meanwhile, and has removed the shadow of this one"
    )]
    Replaced,
    /// What is left of the pipeline is none.
    #[error("without what is left out {0}")]
    Pipeline(#[from] PipelineError),
    /// The shadow could not run.
    #[error("the shadow could not be run: {0}")]
    Run(#[from] RunError),
    /// It was stopped.
    #[error("stopped before the shadow was done: nothing was compared; the next verification begins anew")]
    Stopped,
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The shadow has something that cannot be read.
    #[error("{what} is damaged")]
    Damaged {
        /// What.
        what: &'static str,
    },
}

impl From<StoreFault> for VerifyError {
    fn from(fault: StoreFault) -> Self {
        Self::Store(fault)
    }
}
