//! Pelton: a stream processor whose every record is committed exactly once.
//!
//! A user writes per-key [`Computation`]s, joins them by [`Stream`]s into a [`Pipeline`], and runs it. State,
//! timers, watermarks and delivery stay correct through any crash: after it, the answer is the same.
//!
//! | to | see |
//! |---|---|
//! | write a computation | [`Computation`], [`Context`], [`state`], [`Timer`], [`Failure`] |
//! | join computations | [`Pipeline`], [`Step`], [`Stream`] |
//! | say a whole pipeline in one go | [`flow`] |
//! | group records by time | [`window`] |
//! | recognise a sequence of records | [`pattern`] |
//! | join streams | [`join`] |
//! | read and write files | [`source`], [`sink`] |
//! | take records from outside, over gRPC | [`Ingest`], [`client`] |
//! | give records to the outside, over gRPC | [`Publish`], [`client`] |
//! | run again what was run, and compare | [`verify`] |
//! | run on one machine | [`local`] |
//! | give a program a command line; run on many machines | [`cli`], [`JoinedWorker`] |
//! | choose where state is kept | [`store`] |
//! | test a computation by hand | [`testing`] |
//! | embed the engine | [`Engine`] |

pub mod cli;
pub mod client;
pub mod codec;
pub mod flow;
pub mod join;
pub mod local;
pub mod pattern;
pub mod pipeline;
pub mod sink;
pub mod source;
pub mod state;
pub mod store;
pub mod stream;
pub mod testing;
pub mod verify;
pub mod window;

mod alarm;
mod computation;
mod context;
mod engine;
mod failure;
mod ingest;
mod outlet;
mod pages;
mod publish;
mod recording;
mod redirect;
mod timer;

pub use codec::Codec;
pub use computation::{Computation, Declaration, Input};
pub use context::Context;
pub use engine::clock::{Clock, ClockHandle, ManualClock, WallClock};
pub use engine::interval::IntervalOptions;
pub use engine::letter::{Correspondent, Letter, LetterContent, MailFate, MailFault};
pub use engine::worker::{
    ComputationStatus, DeadLetterError, Engine, EngineOptions, IngestLimits, JoinError, JoinedWorker,
    Listening, PipelineFailed, PipelineStatus, ReshapeFailed, StartError, StoredDeadLetter, WorkerOptions,
};
pub use failure::Failure;
pub use ingest::Ingest;
pub use pelton_domain::{EventTime, Key, KeyInterval, KeyPosition, ProcessingTime, RecordId};
pub use pelton_statestore::fence::Counters;
pub use pipeline::{IntoSteps, Pipeline, PipelineBuilder, PipelineError, RetryPolicy, Step};
pub use publish::Publish;
pub use publish::partition::Partitions;
pub use recording::{RecordingError, Retention};
pub use sink::JsonLinesSink;
pub use source::{CsvSource, JsonLinesSource};
pub use state::{Bag, Combiner, Combining, List, Map, Migration, Set, Value};
pub use stream::{DeadLetter, Stream, dead_letters};
pub use timer::{Fired, TimeDomain, Timer};
