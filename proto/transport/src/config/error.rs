//! Why options cannot be used.

use std::path::PathBuf;
use std::process::ExitCode;

/// The exit status of a program whose options are wrong.
const USAGE: u8 = 2;

/// Why options cannot be used. Its text says what is wrong and where that comes from.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {error}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is no TOML.
    #[error("the configuration {path} is no TOML: {reason}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        reason: String,
    },
    /// A key that no option has.
    #[error("{origin}: there is no option {key}; {near}")]
    Unknown {
        /// Where it stands.
        origin: String,
        /// The key.
        key: String,
        /// What may have been meant.
        near: String,
    },
    /// A key whose value cannot be one.
    #[error("{origin}: {key} {reason}")]
    Shape {
        /// Where it stands.
        origin: String,
        /// The key.
        key: String,
        /// Why not.
        reason: String,
    },
    /// A value that its option does not take.
    #[error("{origin}: {error}")]
    Value {
        /// Where it stands.
        origin: String,
        /// What clap says of it.
        error: clap::Error,
    },
    /// The command line is wrong, an option is missing, or help was asked for.
    #[error("{0}")]
    CommandLine(clap::Error),
}

impl ConfigError {
    /// Prints it, and says how the program is to exit: well where only help or the version was asked for.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        match self {
            Self::CommandLine(error) => {
                // Where nobody reads it, the exit code still says it.
                let _ = error.print();
                if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
            }
            _ => {
                use std::io::Write as _;
                let _ = writeln!(std::io::stderr(), "error: {self}");
                ExitCode::from(USAGE)
            }
        }
    }
}
