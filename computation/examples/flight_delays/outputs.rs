//! The output directory: where each file lies, and which input it belongs to.

use anyhow::{Context, Result, bail};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const ENDED: &str = "ended\n";

/// The files of one output directory.
#[derive(Clone, Debug)]
pub(crate) struct Outputs {
    directory: PathBuf,
}

/// What earlier runs have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Earlier {
    /// There was none.
    Nothing,
    /// The last one ended, done or stopped.
    Ended,
    /// The last one was cut off, by a crash or a kill.
    CutOff,
}

impl Outputs {
    /// Takes `directory` for the outputs of `input`, and makes it if it is missing.
    ///
    /// A store remembers which input it has read, not what to do with another one: the outputs of two inputs
    /// in one directory would be a mixture of both.
    pub(crate) fn claim(directory: &Path, input: &Path) -> Result<Self> {
        let name = input.to_str().with_context(|| format!("{} is not UTF-8", input.display()))?;
        let cannot = || format!("cannot write to {}", directory.display());
        fs::create_dir_all(directory).with_context(cannot)?;
        let mark = directory.join("input.txt");
        match fs::read_to_string(&mark) {
            Ok(earlier) if earlier.trim_end() == name => {}
            Ok(earlier) => bail!(
                "{} has the outputs of {}: name another --output, or remove it to start anew",
                directory.display(),
                earlier.trim_end()
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Several workers may be about to do the same.
                let draft = directory.join(format!("input.txt.{}.tmp", std::process::id()));
                fs::write(&draft, format!("{name}\n")).with_context(cannot)?;
                fs::rename(&draft, &mark).with_context(cannot)?;
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", mark.display())),
        }
        // Its full name, so that the sinks' files are the same ones from any directory.
        Ok(Self::of(&directory.canonicalize().with_context(cannot)?))
    }

    /// Notes that a run is under way, and gives what the one before has noted.
    pub(crate) fn begin(&self) -> Result<Earlier> {
        let note = self.note();
        let earlier = match fs::read_to_string(&note) {
            Ok(text) if text == ENDED => Earlier::Ended,
            Ok(_) => Earlier::CutOff,
            Err(error) if error.kind() == ErrorKind::NotFound => Earlier::Nothing,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", note.display())),
        };
        fs::write(&note, "running\n").with_context(|| format!("cannot write {}", note.display()))?;
        Ok(earlier)
    }

    /// Notes that the run has ended, done or stopped.
    pub(crate) fn end(&self) -> Result<()> {
        let note = self.note();
        fs::write(&note, ENDED).with_context(|| format!("cannot write {}", note.display()))
    }

    fn note(&self) -> PathBuf {
        self.directory.join("last-run.txt")
    }

    /// The files of `directory`, whatever input they are of.
    pub(crate) fn of(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Complete hours, a line each.
    pub(crate) fn hourly(&self) -> PathBuf {
        self.directory.join("hourly.jsonl")
    }

    /// Alerts raised and cleared, a line each.
    pub(crate) fn alerts(&self) -> PathBuf {
        self.directory.join("alerts.jsonl")
    }

    /// Rows that are no flights, a line each, with the reason.
    pub(crate) fn dead_letters(&self) -> PathBuf {
        self.directory.join("dead-letters.jsonl")
    }

    /// The page.
    pub(crate) fn report(&self) -> PathBuf {
        self.directory.join("report.html")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_belongs_to_one_input() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("a/b");
        Outputs::claim(&output, Path::new("/flights.csv")).unwrap();
        Outputs::claim(&output, Path::new("/flights.csv")).unwrap();
        let error = Outputs::claim(&output, Path::new("/other.csv")).unwrap_err().to_string();
        assert!(error.contains("/flights.csv"), "{error}");
    }

    #[test]
    fn a_run_that_was_cut_off_shows_in_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let outputs = Outputs::of(dir.path());
        assert_eq!(outputs.begin().unwrap(), Earlier::Nothing);
        assert_eq!(outputs.begin().unwrap(), Earlier::CutOff);
        outputs.end().unwrap();
        assert_eq!(outputs.begin().unwrap(), Earlier::Ended);
    }
}
