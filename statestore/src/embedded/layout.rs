//! The directory of a store: what is in it, whose it is, and who may use it now.
//!
//! | name | what |
//! |---|---|
//! | `PELTON` | says that the directory is a store, and in which format its files are |
//! | `LOCK` | locked while a process has the store open |
//! | `log/` | the commit log, in segments |
//! | `settled/` | the sorted tables |

use super::disk::sync_directory;
use crate::store::{OpenError, StoreFault};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const MARKER: &str = "PELTON";
const MARKER_NEW: &str = "PELTON.new";
const LOCK: &str = "LOCK";

/// The format of the directory and of the log. Keys and values have their own version.
const FORMAT: u32 = 1;

const MARKER_START: &str = "This directory is a Pelton state store. Do not change it by hand.\nformat ";

/// A directory that is a store, locked.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    lock: File,
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Closing is not enough: a child process that was just forked has the file too, until it executes.
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, path = %self.path.display(), "the store was not unlocked");
        }
    }
}

impl Directory {
    /// Locks the store in `path`, which is created where there is nothing.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        check_ownership(path)?;
        let directory = create(path).map_err(|error| failed(path, "cannot be created or written", &error))?;
        match directory.lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(failed(path, "cannot be locked", &error)),
        }
        // Whoever held the lock may have changed it since.
        check_ownership(path)?;
        directory.mark().map_err(|error| failed(path, "cannot be written", &error))?;
        Ok(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    pub(super) fn settled(&self) -> PathBuf {
        self.path.join("settled")
    }

    /// Writes the marker where it is missing. It comes last, so a marked directory is whole.
    fn mark(&self) -> io::Result<()> {
        fs::create_dir_all(self.log())?;
        let marker = self.path.join(MARKER);
        if !marker.try_exists()? {
            let new = self.path.join(MARKER_NEW);
            let mut file = File::create(&new)?;
            writeln!(file, "{MARKER_START}{FORMAT}")?;
            file.sync_all()?;
            fs::rename(&new, &marker)?;
        }
        sync_directory(&self.path)?;
        match self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => sync_directory(parent),
            None => sync_directory(Path::new(".")),
        }
    }
}

fn create(path: &Path) -> io::Result<Directory> {
    fs::create_dir_all(path)?;
    let lock =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path.join(LOCK))?;
    Ok(Directory { path: path.to_owned(), lock })
}

/// Refuses what is no store, before anything in it is touched.
fn check_ownership(path: &Path) -> Result<(), OpenError> {
    let not_a_store = |reason: String| Err(OpenError::NotAStore { path: path.to_owned(), reason });
    let unreadable = |error: io::Error| failed(path, "cannot be read", &error);
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(error)),
        Ok(found) if !found.is_dir() => {
            return not_a_store("it is a file, and a store is a directory".to_owned());
        }
        Ok(_) => {}
    }
    match fs::read(path.join(MARKER)) {
        Ok(marker) => check_marker(path, &marker),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            for entry in fs::read_dir(path).map_err(unreadable)? {
                let name = entry.map_err(unreadable)?.file_name();
                // What a process leaves that dies while it creates a store.
                if ![LOCK, MARKER_NEW, "log"].iter().any(|ours| name == **ours) {
                    let name = name.display();
                    return not_a_store(format!(
                        "it has no file {MARKER}, but holds {name} and perhaps more"
                    ));
                }
            }
            Ok(())
        }
        Err(error) => Err(unreadable(error)),
    }
}

fn check_marker(path: &Path, marker: &[u8]) -> Result<(), OpenError> {
    let format = str::from_utf8(marker)
        .ok()
        .and_then(|text| text.strip_prefix(MARKER_START)?.lines().next()?.trim().parse::<u32>().ok());
    match format {
        Some(FORMAT) => Ok(()),
        Some(found) => Err(OpenError::Failed {
            path: path.to_owned(),
            fault: StoreFault(format!(
                "its files have format {found}, and this program knows format {FORMAT}: use the program that wrote it"
            )),
        }),
        None => {
            let reason = format!("its file {MARKER} is not one that a Pelton store has");
            Err(OpenError::NotAStore { path: path.to_owned(), reason })
        }
    }
}

/// An error of the file system, with what was tried.
pub(super) fn failed(path: &Path, what: &str, error: &dyn std::error::Error) -> OpenError {
    OpenError::Failed { path: path.to_owned(), fault: StoreFault(format!("it {what}: {error}")) }
}
