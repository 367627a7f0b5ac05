//! What was wrong with a use of the harness, and what to do.

use crate::codec::CodecError;
use crate::engine::worker::{DeadLetterError, StartError};
use crate::pipeline::PipelineError;
use pelton_domain::EventTime;
use std::fmt;

/// What was wrong, and what to do.
///
/// `Debug` shows the same text as `Display`, because that is how tests show errors.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum HarnessError {
    /// The step is none that a pipeline could have.
    #[error("the step cannot be run: {0}")]
    Step(#[from] PipelineError),
    /// A harness drives one computation.
    #[error(
        "a harness drives one computation, and these are {count}: give it one `Step`; sources, sinks and whole \
         pipelines run in an `Engine`"
    )]
    NotOne {
        /// How many they are.
        count: usize,
    },
    /// It does not start on this store.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The machine gives no runtime.
    #[error("there is no runtime: {0}")]
    Runtime(std::io::Error),
    /// A stream that the computation does not read.
    #[error(
        "{computation} does not read stream {stream:?}, only {}: add `.reads(&..)` to its step",
        list(reads)
    )]
    NotRead {
        /// The computation.
        computation: String,
        /// The stream that was named.
        stream: String,
        /// Those that it reads.
        reads: Vec<String>,
    },
    /// A stream that the computation does not produce.
    #[error(
        "{computation} does not produce stream {stream:?}, only {}: add `.output(&..)` to its declaration",
        list(outputs)
    )]
    NotProduced {
        /// The computation.
        computation: String,
        /// The stream that was named.
        stream: String,
        /// Those that it produces.
        outputs: Vec<String>,
    },
    /// A stream of that name, but of other values.
    #[error(
        "stream {stream:?} is {declared} at {computation} and {given} in the test: use one `Stream` for both"
    )]
    OtherType {
        /// The computation.
        computation: String,
        /// The stream.
        stream: String,
        /// Its type and codec there.
        declared: String,
        /// Its type and codec here.
        given: String,
    },
    /// A watermark never goes back (I7).
    #[error(
        "the watermark is at {current} and cannot go back to {wanted} (I7): a late record needs no earlier \
         watermark, push it"
    )]
    WatermarkBack {
        /// Where it is.
        current: EventTime,
        /// Where it was to go.
        wanted: EventTime,
    },
    /// A computation that reads nothing has no input watermark to move.
    #[error(
        "{computation} reads no stream, so its input watermark is +inf already: there is nothing to move"
    )]
    NoInput {
        /// The computation.
        computation: String,
    },
    /// A record that no producer could send.
    #[error(
        "the record weighs {size_bytes} bytes with a key of {key_bytes}; at most {size_bytes_max} and \
         {key_bytes_max} are allowed"
    )]
    TooLarge {
        /// Its size.
        size_bytes: usize,
        /// The most a record may weigh.
        size_bytes_max: usize,
        /// The size of its key.
        key_bytes: usize,
        /// The longest key.
        key_bytes_max: usize,
    },
    /// A value could not be encoded, or is none of its stream.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A cell that the computation does not keep.
    #[error(
        "{computation} keeps no cell {cell:?}, only {}: add `.cell(&..)` to its declaration",
        list(cells)
    )]
    NoSuchCell {
        /// The computation.
        computation: String,
        /// The cell that was named.
        cell: String,
        /// Those that it keeps.
        cells: Vec<String>,
    },
    /// A cell of that name, but of another kind.
    #[error("cell {cell:?} of {computation} is a {declared}, and here a {given}: use one `static` for both")]
    OtherKind {
        /// The computation.
        computation: String,
        /// The cell.
        cell: String,
        /// Its kind there.
        declared: &'static str,
        /// Its kind here.
        given: &'static str,
    },
    /// State that cannot be read as what it is said to be.
    #[error("the state cannot be read: {0}")]
    State(String),
    /// The pipeline has stopped, as it would in production.
    #[error("the pipeline has stopped: {reason}; what is committed stays, and `crash()` starts it again")]
    Stopped {
        /// Why.
        reason: String,
    },
    /// It always has something to do.
    #[error(
        "after {turns} turns there still is something to do: does a timer set one again that is due at once? Give \
         it a later time, or the harness more turns with `.turns_max(..)`"
    )]
    Restless {
        /// How many turns were taken.
        turns: usize,
    },
    /// The dead letters cannot be read.
    #[error(transparent)]
    DeadLetters(#[from] DeadLetterError),
}

impl fmt::Debug for HarnessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none at all".to_owned() } else { names.join(", ") }
}
