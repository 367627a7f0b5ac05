//! File sources as users build them.

use super::csv::CsvRows;
use super::decoded::shown;
use super::extract::{Extract, IntoEventTime};
use super::format::FileFormat;
use super::reader::{FileCursor, FileReader};
use super::rows::Rows;
use crate::failure::Failure;
use crate::source::error::{SourceError, SourceProblem};
use crate::source::split::SplitSource;
use crate::source::steps::SourceOptions;
use crate::stream::Stream;
use pelton_domain::Key;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest row, unless [`row_bytes_max`](FileSource::row_bytes_max) says otherwise.
const ROW_BYTES_MAX: usize = 64 * 1024;

/// One path, or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths(Vec<PathBuf>);

macro_rules! one_path {
    ($($from:ty),*) => {$(
        impl From<$from> for Paths {
            fn from(path: $from) -> Self {
                Self(vec![path.into()])
            }
        }
    )*};
}
one_path!(&str, String, &Path, PathBuf, &PathBuf, &String);

impl<P: Into<PathBuf>> From<Vec<P>> for Paths {
    fn from(paths: Vec<P>) -> Self {
        Self(paths.into_iter().map(Into::into).collect())
    }
}

impl<P: Into<PathBuf>, const N: usize> From<[P; N]> for Paths {
    fn from(paths: [P; N]) -> Self {
        Self(paths.into_iter().map(Into::into).collect())
    }
}

impl<P: AsRef<Path>> From<&[P]> for Paths {
    fn from(paths: &[P]) -> Self {
        Self(paths.iter().map(|path| path.as_ref().to_owned()).collect())
    }
}

/// One or several files, each of which is a split: see [`CsvSource`](super::CsvSource) and
/// [`JsonLinesSource`](super::JsonLinesSource).
///
/// [`key`](Self::key) and [`event_time`](Self::event_time) are needed; everything else has a default.
pub struct FileSource<F: FileFormat, C> {
    format: F,
    paths: Vec<PathBuf>,
    stream: Stream<F::Value, C>,
    extract: Extract<F::Value>,
    disorder: Duration,
    row_bytes_max: usize,
    pub(crate) options: SourceOptions,
}

impl<F: FileFormat, C> Clone for FileSource<F, C> {
    fn clone(&self) -> Self {
        Self {
            format: self.format.clone(),
            paths: self.paths.clone(),
            stream: self.stream.clone(),
            extract: self.extract.clone(),
            disorder: self.disorder,
            row_bytes_max: self.row_bytes_max,
            options: self.options.clone(),
        }
    }
}

impl<F: FileFormat, C> fmt::Debug for FileSource<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSource")
            .field("paths", &self.paths)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl<F: FileFormat, C> FileSource<F, C> {
    /// The rows of `paths` as records of `stream`.
    #[must_use]
    pub fn new(paths: impl Into<Paths>, stream: &Stream<F::Value, C>) -> Self {
        Self {
            format: F::default(),
            paths: paths.into().0,
            stream: stream.clone(),
            extract: Extract::default(),
            disorder: Duration::ZERO,
            row_bytes_max: ROW_BYTES_MAX,
            options: SourceOptions::named(stream.name()),
        }
    }

    /// The key of a row's record.
    #[must_use]
    pub fn key(mut self, key: impl Fn(&F::Value) -> Key + Send + Sync + 'static) -> Self {
        self.extract.key = Some(std::sync::Arc::new(key));
        self
    }

    /// When a row happened: an [`EventTime`](crate::EventTime), or an `Option` or `Result` of one, which rejects the row where
    /// there is none.
    #[must_use]
    pub fn event_time<E: IntoEventTime>(
        mut self,
        time: impl Fn(&F::Value) -> E + Send + Sync + 'static,
    ) -> Self {
        self.extract.event_time = Some(std::sync::Arc::new(move |value| time(value).into_event_time()));
        self
    }

    /// How far a row's event time may be behind the greatest one before it in its file. The watermark follows
    /// at that distance; rows further behind are late. Zero unless set: event times never go back.
    #[must_use]
    pub fn disorder(mut self, disorder: Duration) -> Self {
        self.disorder = disorder;
        self
    }

    /// At most this many rows a second, of all files together. Without, as fast as they are processed.
    ///
    /// Every file gets an even share, whether or not others have ended.
    #[must_use]
    pub fn rate(mut self, rows_per_s: f64) -> Self {
        self.options.rows_per_s = Some(rows_per_s);
        self
    }

    /// The name under which the source keeps its state: its two computations are `name.splits` and
    /// `name.read`. The stream's name and `source` unless set.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.options.name = name.into();
        self
    }

    /// The longest row in bytes, 64 KiB unless set. Rows beyond it are rejected.
    #[must_use]
    pub fn row_bytes_max(mut self, bytes: usize) -> Self {
        self.row_bytes_max = bytes;
        self
    }

    /// How much is read and committed at a time: at most `rows`, and no further row after `bytes` bytes.
    #[must_use]
    pub fn chunk_max(mut self, rows: usize, bytes: usize) -> Self {
        self.options.chunk_rows_max = rows;
        self.options.chunk_bytes_max = bytes;
        self
    }

    /// The stream it produces.
    #[must_use]
    pub fn stream(&self) -> &Stream<F::Value, C> {
        &self.stream
    }

    /// Checks every file, and the options: what can be known before anything starts.
    ///
    /// # Errors
    /// All problems that were found.
    pub fn validate(&self) -> Result<(), SourceError> {
        let mut problems: Vec<SourceProblem> = self.format.problem().into_iter().collect();
        problems.extend(self.options.problem());
        if self.extract.key.is_none() {
            problems.push(SourceProblem::Option("the source needs a key(..)"));
        }
        if self.extract.event_time.is_none() {
            problems.push(SourceProblem::Option("the source needs an event_time(..)"));
        }
        if self.row_bytes_max == 0 {
            problems.push(SourceProblem::Option("row_bytes_max() is 0"));
        }
        if self.paths.is_empty() {
            problems.push(SourceProblem::NoFiles);
        }
        let mut seen = BTreeSet::new();
        for path in &self.paths {
            let problem = if seen.insert(path) { self.file_problem(path) } else { Some(twice(path)) };
            problems.extend(problem);
        }
        SourceError::check(problems)
    }

    fn file_problem(&self, path: &Path) -> Option<SourceProblem> {
        let unusable = |reason| Some(SourceProblem::PathUnusable { path: shown(path), reason });
        match path.to_str() {
            None => return unusable("it is not UTF-8"),
            Some(text) if text.len() > Key::LENGTH_MAX => return unusable("it is longer than a key may be"),
            Some(_) => {}
        }
        let rows = Rows::open(path, self.format.quoting(), self.row_bytes_max);
        rows.and_then(|mut rows| self.format.begin(&mut rows)).err()
    }
}

fn twice(path: &Path) -> SourceProblem {
    SourceProblem::Twice { path: shown(path) }
}

impl<T, C> FileSource<CsvRows<T>, C>
where
    CsvRows<T>: FileFormat<Value = T>,
{
    /// The byte between fields, `,` unless set.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.format.quoting.delimiter = delimiter;
        self
    }

    /// A text that stands for "nothing", such as `NA`: such a field is read as if it were empty.
    #[must_use]
    pub fn null(mut self, text: impl Into<String>) -> Self {
        self.format.null = Some(text.into());
        self
    }

    /// Columns that the row type names and a file may lack: those with `#[serde(default)]`, aliases, and
    /// `Option`s that are then `None`.
    #[must_use]
    pub fn optional<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.format.optional.extend(columns.into_iter().map(Into::into));
        self
    }
}

impl<F: FileFormat, C: 'static> SplitSource for FileSource<F, C> {
    type Value = F::Value;
    type Split = String;
    type Cursor = FileCursor;
    type Reader = FileReader<F>;

    fn validate(&self) -> Result<(), SourceError> {
        Self::validate(self)
    }

    async fn splits(&self) -> Result<Vec<(Key, String)>, Failure> {
        let split = |path: &PathBuf| {
            let path = path.to_str().ok_or_else(|| Failure::stop("a path is not UTF-8"))?;
            Ok((Key::from(path), path.to_owned()))
        };
        self.paths.iter().map(split).collect()
    }

    async fn open(&self, split: &String, from: Option<&FileCursor>) -> Result<FileReader<F>, Failure> {
        let (format, extract) = (self.format.clone(), self.extract.clone());
        FileReader::open(Path::new(split), format, extract, self.row_bytes_max, self.disorder, from)
    }
}

#[cfg(test)]
mod tests;
