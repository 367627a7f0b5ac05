//! Streams as files of JSON lines.

use super::format::Format;
use super::kept::Keep;
use super::write::Append;
use crate::codec::{Codec, Raw};
use crate::pipeline::{ErasedStep, IntoSteps, Kept, RetryPolicy, Role, Step};
use crate::stream::Stream;
use bytes::Bytes;
use pelton_domain::Key;
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Writes a stream to a local file, one JSON value a line, each record exactly once.
///
/// The file can be read while it grows. What ends with a line break is whole and final: it neither changes
/// nor goes away, whatever crashes. Behind the last line break a part of a line may be seen, for an
/// instant, or after a crash until the pipeline runs again; take it for a line once its line break is there.
///
/// Lines are in the order in which they were committed: those of one key in the order of its records, those
/// of different keys in an order that differs from run to run. Sort them to compare two runs.
///
/// The file is made when the pipeline is first started. From then on it belongs to it: where something else
/// cuts, changes or moves it, the pipeline stops with the reason, and goes on in another run once the file is
/// back. While the disk is full it waits. Nothing is dropped.
///
/// ```no_run
/// use pelton::{JsonLinesSink, Stream};
///
/// static DELAYS: Stream<u64> = Stream::new("delays");
/// let sink = JsonLinesSink::new("delays.jsonl", &DELAYS);
/// sink.validate()?;
/// # Ok::<(), pelton::sink::SinkError>(())
/// ```
#[derive(Clone, Debug)]
pub struct JsonLinesSink<T, C> {
    path: PathBuf,
    stream: Stream<T, C>,
    name: String,
    overwrite: bool,
}

/// Why a sink cannot be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The directory the file is to be in does not exist.
    #[error("{path}: there is no directory {directory:?}; make it first")]
    NoDirectory {
        /// The file.
        path: String,
        /// The directory.
        directory: String,
    },
    /// The path is a directory.
    #[error("{path}: is a directory; name a file in it")]
    Directory {
        /// The path.
        path: String,
    },
    /// The path cannot be a key.
    #[error("{path}: cannot be the name of a target: {reason}")]
    PathUnusable {
        /// The path, as far as it can be shown.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// The file cannot be written, or not be made.
    #[error("{path}: cannot be written: {reason}")]
    NotWritable {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
}

impl<T, C> JsonLinesSink<T, C> {
    /// Writes `stream` to `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, stream: &Stream<T, C>) -> Self {
        Self { path: path.into(), stream: stream.clone(), name: stream.name().to_owned(), overwrite: false }
    }

    /// The name under which the sink keeps its state: its two computations are `name.format` and
    /// `name.write`. The stream's name unless set; two sinks of one stream need two names.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What the file holds when the pipeline is first started is thrown away. Without, it is an error.
    #[must_use]
    pub fn overwrite(mut self) -> Self {
        self.overwrite = true;
        self
    }

    /// Checks that the file can be written, before anything starts. Makes no file.
    ///
    /// Whether the file must be empty depends on the state: that is checked when the pipeline starts.
    ///
    /// # Errors
    /// [`SinkError`], with what to do.
    pub fn validate(&self) -> Result<(), SinkError> {
        let path = self.path.display().to_string();
        match self.path.to_str() {
            None => return Err(SinkError::PathUnusable { path, reason: "it is not UTF-8" }),
            Some(text) if text.len() > Key::LENGTH_MAX => {
                return Err(SinkError::PathUnusable { path, reason: "it is longer than a key may be" });
            }
            Some(_) => {}
        }
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new("."));
        if !directory.is_dir() {
            return Err(SinkError::NoDirectory { path, directory: directory.display().to_string() });
        }
        let writable = match OpenOptions::new().write(true).open(&self.path) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::IsADirectory => {
                return Err(SinkError::Directory { path });
            }
            Err(error) if error.kind() == ErrorKind::NotFound => may_create_in(directory),
            Err(error) => Err(error),
        };
        writable.map_err(|error| SinkError::NotWritable { path, reason: error.to_string() })
    }

    fn key(&self) -> Key {
        Key::from(self.path.to_string_lossy().into_owned())
    }
}

/// Tries with a file of another name, so that an empty target never appears before its time.
fn may_create_in(directory: &Path) -> std::io::Result<()> {
    let probe = directory.join(format!(".pelton-probe-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&probe)?;
    std::fs::remove_file(probe)
}

/// A target that cannot be written makes its senders wait, for as long as it takes: its lines are not parked,
/// since a parked queue is bounded and ends as dead letters.
fn patient() -> RetryPolicy {
    RetryPolicy {
        delay_max: Duration::from_secs(5),
        grace: Duration::MAX,
        crashes_max: u32::MAX,
        timer_age_max: Duration::MAX,
        ..RetryPolicy::default()
    }
}

impl<T: Serialize + Send + 'static, C: Codec<T>> IntoSteps for JsonLinesSink<T, C> {
    fn into_steps(self) -> Vec<ErasedStep> {
        let target = self.key();
        let lines = Stream::<Bytes, Raw>::named(format!("{}.lines", self.name));
        let name = format!("{}.format", self.name);
        let kept = self.kept(&name, &target);
        let format =
            Step::new(name, Format::<T>::new(target.clone(), lines.clone())).role(Role::Format(kept));
        let append = Step::new(format!("{}.write", self.name), Append { overwrite: self.overwrite });
        let append =
            append.reads(&lines).starts_with_key(target).intervals(1).stable_input().retry(patient());
        let append = append.role(Role::Write);
        let mut steps = format.reads(&self.stream).into_steps();
        steps.extend(append.into_steps());
        steps
    }
}

impl<T: Serialize + Send + 'static, C: Codec<T>> JsonLinesSink<T, C> {
    /// What takes the place of both computations where nothing is to be written.
    fn kept(&self, name: &str, target: &Key) -> Kept {
        let (name, target, stream) = (name.to_owned(), target.clone(), self.stream.clone());
        let keep = move || {
            let keep = Step::new(name.clone(), Keep::<T>::new(target.clone())).reads(&stream);
            keep.role(Role::Source).into_steps()
        };
        Kept { target: self.path.clone(), keep: Arc::new(keep) }
    }
}

#[cfg(test)]
mod tests;
