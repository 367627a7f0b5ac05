//! Files of a simulated pipeline: real ones, in a directory that each run finds empty.
//!
//! The name is the same in each run, since it is in the state of what writes there; so there is one run in it at a
//! time, in whichever thread or process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Where the files of all runs of one simulation are.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    run: PathBuf,
    lock: PathBuf,
}

/// The directory of the run that has it. It is removed with this.
pub(crate) struct Held {
    run: PathBuf,
    _lock: File,
}

impl Directory {
    pub(crate) fn new(path: &Path) -> Self {
        Self { run: path.join("run"), lock: path.join("lock") }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.run
    }

    /// Waits until no other run has it, and empties it.
    pub(crate) fn hold(&self) -> io::Result<Held> {
        if let Some(parent) = self.run.parent() {
            fs::create_dir_all(parent)?;
        }
        let lock = File::options().create(true).truncate(false).write(true).open(&self.lock)?;
        lock.lock()?;
        remove(&self.run)?;
        fs::create_dir(&self.run)?;
        Ok(Held { run: self.run.clone(), _lock: lock })
    }
}

impl Held {
    /// What is in it, by name.
    pub(crate) fn files(&self) -> io::Result<BTreeMap<String, Vec<u8>>> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(&self.run)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?);
            }
        }
        Ok(files)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.run) {
            tracing::warn!(%error, "the files of a simulation stay");
        }
    }
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
