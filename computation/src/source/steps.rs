//! A source as steps of a pipeline.

use super::enumerate::Enumerate;
use super::error::{SourceError, SourceProblem};
use super::file::{FileFormat, FileSource};
use super::read::Read;
use super::split::SplitSource;
use crate::codec::Codec;
use crate::codec::Json;
use crate::outlet::Outlet;
use crate::pipeline::{ErasedStep, IntoSteps, RetryPolicy, Role, Step};
use crate::stream::{DeadLetter, Stream, dead_letters};
use std::time::Duration;

/// How a source is read.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceOptions {
    /// Its computations are `name.splits` and `name.read`: state hangs on it.
    pub name: String,
    /// At most this many rows a second, of all splits together; `None`: as fast as they are processed.
    pub rows_per_s: Option<f64>,
    /// At most this many rows in one commit. Default 2048.
    pub chunk_rows_max: usize,
    /// No further row in a commit once those in it have this many bytes, as read. Default 128 KiB. What they
    /// become must fit into a commit: about 4 MB.
    pub chunk_bytes_max: usize,
}

impl SourceOptions {
    /// The defaults, under `name`.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), rows_per_s: None, chunk_rows_max: 2048, chunk_bytes_max: 128 * 1024 }
    }

    pub(crate) fn problem(&self) -> Option<SourceProblem> {
        if self.rows_per_s.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            return Some(SourceProblem::Option("the rate is not a number above zero"));
        }
        let empty = self.chunk_rows_max == 0 || self.chunk_bytes_max == 0;
        empty.then_some(SourceProblem::Option("a chunk of nothing: chunk_max() is 0"))
    }
}

/// Any [`SplitSource`] as the producer of a stream.
#[derive(Clone, Debug)]
pub struct Source<S: SplitSource, C> {
    outside: S,
    stream: Stream<S::Value, C>,
    options: SourceOptions,
}

impl<S: SplitSource, C: Codec<S::Value>> Source<S, C> {
    /// The records of `outside` on `stream`.
    #[must_use]
    pub fn new(outside: S, stream: &Stream<S::Value, C>, options: SourceOptions) -> Self {
        Self { outside, stream: stream.clone(), options }
    }

    /// Checks what can be checked before anything starts.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn validate(&self) -> Result<(), SourceError> {
        SourceError::check(self.options.problem().into_iter().collect())?;
        self.outside.validate()
    }

    /// What could not become a record: rows with file, line and reason.
    #[must_use]
    pub fn dead_letters(&self) -> Stream<DeadLetter, Json> {
        dead_letters(&read_name(&self.options.name))
    }
}

impl<S: SplitSource + Sync, C: Codec<S::Value>> IntoSteps for Source<S, C> {
    fn into_steps(self) -> Vec<ErasedStep> {
        let outlet = Outlet::to(&self.stream);
        self.into_steps_with(outlet)
    }
}

impl<S: SplitSource + Sync, C: Codec<S::Value>> Source<S, C> {
    pub(crate) fn options(&self) -> &SourceOptions {
        &self.options
    }

    /// Its steps, where its records go to `outlet` instead of its stream.
    pub(crate) fn into_steps_with(self, outlet: Outlet<S::Value>) -> Vec<ErasedStep> {
        let Self { outside, options, .. } = self;
        let splits = Stream::named(format!("{}.splits", options.name));
        let read = read_name(&options.name);
        let enumerate = Step::new(splits.name(), Enumerate::new(outside.clone(), splits.clone()));
        let enumerate = enumerate.starts_with_key("all").intervals(1).retry(patient()).role(Role::Source);
        let reading = Step::new(read, Read::new(outside, outlet, options)).reads(&splits).retry(patient());
        (enumerate, reading.role(Role::Source)).into_steps()
    }
}

/// A source that cannot be read now is waited for, however long: with its timer given up, the rest of it would
/// never be read, and what comes behind would take that for the end.
fn patient() -> RetryPolicy {
    RetryPolicy { timer_age_max: Duration::MAX, crashes_max: u32::MAX, ..RetryPolicy::default() }
}

fn read_name(source: &str) -> String {
    format!("{source}.read")
}

impl<F: FileFormat, C: Codec<F::Value>> FileSource<F, C> {
    /// What could not become a record: rows with file, line and reason.
    #[must_use]
    pub fn dead_letters(&self) -> Stream<DeadLetter, Json> {
        dead_letters(&read_name(&self.options.name))
    }
}

impl<F: FileFormat, C: Codec<F::Value>> IntoSteps for FileSource<F, C> {
    fn into_steps(self) -> Vec<ErasedStep> {
        self.into_source().into_steps()
    }
}

impl<F: FileFormat, C: Codec<F::Value>> FileSource<F, C> {
    pub(crate) fn into_source(self) -> Source<Self, C> {
        let (stream, options) = (self.stream().clone(), self.options.clone());
        Source::new(self, &stream, options)
    }
}
