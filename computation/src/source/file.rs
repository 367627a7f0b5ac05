//! Files as sources: CSV and JSON lines, plain or gzip. Each file is a split, and its path is the key.
//!
//! | module | noun |
//! |---|---|
//! | [`decoded`] | the bytes of a file, and its fingerprint |
//! | [`rows`] | rows in bounded memory, and places between them |
//! | [`cut`] | where a row ends |
//! | [`fields`] | the grammar of a CSV row |
//! | [`columns`] | the columns that a row type needs |
//! | [`format`] | what differs between the formats: [`csv`], [`json`] |
//! | [`extract`] | a record's key and event time |
//! | [`reader`] | chunks from a cursor on |
//!
//! # When a file is not as it should be
//!
//! * A row that is none (wrong number of fields, a field that is no such type, invalid UTF-8, over the row
//!   limit) goes to the dead-letter stream of the reading computation, with file, line and reason (I10).
//! * What can be known before anything starts is an error of [`FileSource::validate`].
//! * Where a file cannot be read on (a gzip stream breaks off, the disk fails, the file changed or is gone),
//!   every row before that place is processed, and then the pipeline stops with a message that says where and
//!   why ([`Failure::stop`](crate::Failure::stop)). The split keeps its watermark and its cursor, so nothing
//!   closes as if the rest had been read. Once the whole file is in its place, another run goes on there: what
//!   was read already is compared first.
//!
//! # Limits
//!
//! The list of files is fixed when the pipeline is created: it is state, and a path that is added later to
//! the same pipeline is not read. The end of a file is final: lines appended after it was reached are not read.

pub(crate) mod columns;
pub(crate) mod csv;
pub(crate) mod cut;
pub(crate) mod decoded;
pub(crate) mod extract;
pub(crate) mod fields;
pub(crate) mod format;
pub(crate) mod json;
pub(crate) mod options;
pub(crate) mod reader;
pub(crate) mod rows;
#[cfg(test)]
pub(crate) mod testing;

pub use csv::CsvRows;
pub use extract::IntoEventTime;
pub use format::FileFormat;
pub use json::JsonRows;
pub use options::{FileSource, Paths};
pub use reader::{FileCursor, FileReader};

use crate::codec::Postcard;

/// CSV files with a header row, each row a `T`: a serde struct whose fields are named like columns, or a map
/// of strings.
///
/// Columns that `T` does not name are not looked at. Names match exactly. Every column that `T` names must be
/// there, unless it is named in [`optional`](FileSource::optional). Empty fields are `None` to an `Option`.
///
/// ```no_run
/// use pelton::{CsvSource, EventTime, Stream};
/// use std::time::Duration;
///
/// #[derive(Clone, serde::Serialize, serde::Deserialize)]
/// struct Reading {
///     sensor: String,
///     at_s: i64,
///     celsius: Option<f64>,
/// }
/// static READINGS: Stream<Reading> = Stream::new("readings");
///
/// let source = CsvSource::<Reading>::new("readings.csv.gz", &READINGS)
///     .key(|reading| reading.sensor.as_str().into())
///     .event_time(|reading| EventTime::from_secs(reading.at_s))
///     .disorder(Duration::from_secs(60));
/// source.validate()?;
/// # Ok::<(), pelton::source::SourceError>(())
/// ```
pub type CsvSource<T, C = Postcard> = FileSource<CsvRows<T>, C>;

/// Files of one JSON value a line, each a `T`.
pub type JsonLinesSource<T, C = Postcard> = FileSource<JsonRows<T>, C>;
