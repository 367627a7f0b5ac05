//! What differs between the file sources: how a file begins, and how a row becomes a value.

use super::fields::Quoting;
use super::rows::{Row, Rows};
use crate::source::error::SourceProblem;

/// The format of a file's rows. Sealed: [`CsvSource`](super::CsvSource) and
/// [`JsonLinesSource`](super::JsonLinesSource) name the two there are.
pub trait FileFormat: Clone + Default + Send + Sync + 'static {
    /// What a row becomes.
    type Value: Send + 'static;
    /// What is needed to parse the rows of one file.
    type Parser: Send + 'static;

    /// The format's options, where they have no sense.
    fn problem(&self) -> Option<SourceProblem>;

    /// Whether and how rows can hold line breaks.
    fn quoting(&self) -> Option<Quoting>;

    /// Reads what stands before the first row, and checks it.
    ///
    /// # Errors
    /// What is wrong with it.
    fn begin(&self, rows: &mut Rows) -> Result<Self::Parser, SourceProblem>;

    /// The value in a row.
    ///
    /// # Errors
    /// Why there is none, in words.
    fn parse(&self, parser: &mut Self::Parser, row: Row<'_>) -> Result<Self::Value, String>;
}
