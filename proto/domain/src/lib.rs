//! The domain types that every Pelton crate speaks in.
//!
//! One newtype per meaning, so that two times, two numbers or two names never mix by accident. The types
//! here are plain values: they do no I/O, read no clock and hold no invariant beyond their own.
//!
//! | module | nouns |
//! |---|---|
//! | [`position`] | [`KeyPosition`], [`KeyInterval`]: where a key lives, and who owns a range of places |
//! | [`time`] | [`EventTime`], [`ProcessingTime`], [`SystemTime`] |
//! | [`id`] | [`RecordId`], [`Sequencer`], [`CommitNumber`], [`AttemptToken`], [`Incarnation`] |
//! | [`name`] | [`Name`]: pipelines, computations, streams, cells, timer tags |
//! | [`record`] | [`Key`], [`Record`] |
//! | [`mutants`] | deliberate bugs, for the suite that must catch them |

pub mod id;
pub mod mutants;
pub mod name;
pub mod position;
pub mod record;
pub mod time;

pub use id::{AttemptToken, CommitNumber, Incarnation, RecordId, Sequencer};
pub use name::{Name, NameError};
pub use position::{KeyInterval, KeyPosition};
pub use record::{Key, Record};
pub use time::{EventTime, ProcessingTime, SystemTime};
