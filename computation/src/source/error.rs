//! What can be wrong with a source before it starts, in words that say what to do.

use std::fmt;

/// One thing that is wrong with a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceProblem {
    /// No file was named.
    #[error("no file is named")]
    NoFiles,
    /// The same file was named twice: it would be one split, read once.
    #[error("{path}: is named twice")]
    Twice {
        /// The file.
        path: String,
    },
    /// A path that is no UTF-8 text, or is longer than a key may be.
    #[error("{path}: cannot be the name of a split: {reason}")]
    PathUnusable {
        /// The path, as far as it can be shown.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// There is no such file.
    #[error("{path}: no such file")]
    Missing {
        /// The file.
        path: String,
    },
    /// The path is a directory.
    #[error("{path}: is a directory; name the files in it")]
    Directory {
        /// The path.
        path: String,
    },
    /// The file may not be read.
    #[error("{path}: no permission to read it")]
    NoPermission {
        /// The file.
        path: String,
    },
    /// The file is empty, or nothing comes out when it is decompressed.
    #[error("{path}: is empty")]
    Empty {
        /// The file.
        path: String,
    },
    /// The name says gzip, the content does not.
    #[error("{path}: is named .gz, but its content is not gzip")]
    NotGzip {
        /// The file.
        path: String,
    },
    /// The file's text is in an encoding that is not read.
    #[error("{path}: is UTF-16 text; convert it to UTF-8")]
    Utf16 {
        /// The file.
        path: String,
    },
    /// The first row could not be read as a header.
    #[error("{path}: has no readable header row: {reason}")]
    NoHeader {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The header lacks columns that the row type needs.
    #[error("{path}: the header has no column {}; it has {}", quoted(missing), quoted(found))]
    MissingColumns {
        /// The file.
        path: String,
        /// The columns that are needed and not there.
        missing: Vec<String>,
        /// The columns that are there.
        found: Vec<String>,
    },
    /// A column that the row type needs is there more than once.
    #[error("{path}: the header has the column {column:?} more than once")]
    DuplicateColumn {
        /// The file.
        path: String,
        /// The column.
        column: String,
    },
    /// Any other error of the operating system.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// An option is missing, or has no sense.
    #[error("{0}")]
    Option(&'static str),
}

/// Every problem that was found with a source: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError {
    problems: Vec<SourceProblem>,
}

impl SourceError {
    /// `Ok` where `problems` is empty.
    ///
    /// # Errors
    /// All of them, otherwise.
    pub fn check(problems: Vec<SourceProblem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }

    /// The problems, in the order they were found.
    #[must_use]
    pub fn problems(&self) -> &[SourceProblem] {
        &self.problems
    }
}

impl From<SourceProblem> for SourceError {
    fn from(problem: SourceProblem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for SourceError {
    /// One line for each problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SourceError {}

/// Names in quotes, joined by commas.
fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}
