//! What a step is to a pipeline that is run again beside itself ([`verify`](crate::verify)): what of it runs, and what
//! takes the place of what acts on the outside.
//!
//! Not for the run itself: a step runs the same whatever its role is.

use super::step::ErasedStep;
use crate::recording::{Played, Retention};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What a step is.
#[derive(Clone, Default)]
pub(crate) enum Role {
    /// The user's own code.
    #[default]
    Own,
    /// Reads the outside, from the start.
    Source,
    /// Turns records into lines of a file: in a shadow they are kept instead of written.
    Format(Kept),
    /// Writes to the outside: a shadow has none.
    Write,
    /// Follows the clock for a stream from outside: a shadow has none.
    Clock,
    /// Takes records from outside: a shadow plays the recording.
    Ingest(Ingested),
}

/// A sink's file, and the step that keeps its lines.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) target: PathBuf,
    pub(crate) keep: Arc<dyn Fn() -> Vec<ErasedStep> + Send + Sync>,
}

/// A stream from outside, and the step that plays its recording.
#[derive(Clone)]
pub(crate) struct Ingested {
    pub(crate) stream: String,
    pub(crate) retention: Option<Retention>,
    pub(crate) play: Arc<dyn Fn(Played) -> Vec<ErasedStep> + Send + Sync>,
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "Own",
            Self::Source => "Source",
            Self::Format(_) => "Format",
            Self::Write => "Write",
            Self::Clock => "Clock",
            Self::Ingest(_) => "Ingest",
        })
    }
}
