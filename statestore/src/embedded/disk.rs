//! The few things that the commit log asks of a disk, behind a trait so that tests can let them fail.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// Where log files are created.
pub(super) trait Disk: Send + Sync + fmt::Debug {
    /// A new, empty file, open for writing; it exists durably once its directory is synced.
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
}

/// One file that is only appended to.
pub(super) trait LogFile: Send + fmt::Debug {
    /// Writes behind everything written before; an error may leave a part of `bytes` in the file.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes the data durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file, and goes on appending there.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// The file system.
#[derive(Debug)]
pub(super) struct FileSystem;

impl Disk for FileSystem {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(OpenOptions::new().write(true).create_new(true).open(path)?))
    }
}

impl LogFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.seek(SeekFrom::Start(length)).map(|_| ())
    }
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    // Windows has no such call and needs none.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
