//! The few things that the commit log asks of a disk, behind a trait so that tests can let them fail.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// The files of the log. Names are durable once their directory is synced, contents once their file is.
pub(super) trait Disk: Send + Sync + fmt::Debug {
    /// A new, empty file, open for writing.
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// A file that is there, open for writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// Gives a file another name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The length of a file; `None` where there is none.
    fn length(&self, path: &Path) -> io::Result<Option<u64>>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

/// One file.
pub(super) trait LogFile: Send + fmt::Debug {
    /// Writes `bytes` at `offset`; an error may leave a part of them in the file.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes the data durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// The file system.
#[derive(Debug)]
pub(super) struct FileSystem;

impl Disk for FileSystem {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(OpenOptions::new().write(true).create_new(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(OpenOptions::new().write(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn length(&self, path: &Path) -> io::Result<Option<u64>> {
        match std::fs::metadata(path) {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        sync_directory(path)
    }
}

impl LogFile for File {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.seek(SeekFrom::Start(offset))?;
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    // Windows has no such call and needs none.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
