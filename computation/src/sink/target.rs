//! The file a sink writes: checked before every write, written at a place, synced.
//!
//! It is opened for each write, so that a file which was moved away is noticed, and no handle outlives a reign.

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

/// Whole lines are written up to this many bytes at a time: readers hardly ever see a part of so little.
const WRITE_BYTES: usize = 4096;
/// How much of the file's end is compared before it is written on.
const TAIL_BYTES: usize = 256;

/// What is in the file for good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    /// Its length in bytes.
    pub(super) length: u64,
    tail_bytes: u16,
    tail_hash: u64,
}

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum TargetError {
    #[error(
        "{path} has {length} bytes already, and this pipeline has not written them: move the file away, or let it be overwritten"
    )]
    NotEmpty { path: String, length: u64 },
    #[error("{path} is gone, and {written} bytes had been written to it: put it back")]
    Gone { path: String, written: u64 },
    #[error("{path} has {length} bytes, and {written} had been written to it: something cut it; put it back")]
    Shorter { path: String, length: u64, written: u64 },
    #[error(
        "{path} has {length} bytes, and at most {expected} are from here: something else writes to it, or the state is an older copy; cut it to {written} bytes to go on"
    )]
    Longer { path: String, length: u64, expected: u64, written: u64 },
    #[error("{path} does not end as it was written, at byte {written}: something changed it; put it back")]
    Changed { path: String, written: u64 },
    #[error("{path} cannot be written: {source}")]
    Io { path: String, source: io::Error },
}

/// One file to be written.
#[derive(Clone, Debug)]
pub(super) struct Target {
    path: PathBuf,
}

impl Target {
    pub(super) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Makes the empty file, or takes an empty one that is there; cuts one that is not, where that is allowed.
    pub(super) fn create(&self, overwrite: bool) -> Result<Written, TargetError> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path);
        let file = file.map_err(|error| self.io(error))?;
        let length = self.length(&file)?;
        if length > 0 && !overwrite {
            return Err(TargetError::NotEmpty { path: self.shown(), length });
        }
        if length > 0 {
            file.set_len(0).map_err(|error| self.io(error))?;
        }
        file.sync_all().map_err(|error| self.io(error))?;
        sync_directory(&self.path).map_err(|error| self.io(error))?;
        Ok(Written::default())
    }

    /// Writes `lines` behind what is written for good, and syncs. It may be done again, by anyone, any number of
    /// times, in whole or in part: the same bytes come to the same place.
    pub(super) fn write(&self, written: &Written, lines: &[u8]) -> Result<Written, TargetError> {
        let mut file = self.open(written)?;
        self.check(&mut file, written, lines)?;
        let mut put = || {
            file.seek(SeekFrom::Start(written.length))?;
            pieces(lines).try_for_each(|piece| file.write_all(piece))?;
            file.sync_data()
        };
        put().map_err(|error| self.io(error))?;
        Ok(written.followed_by(lines))
    }

    fn open(&self, written: &Written) -> Result<File, TargetError> {
        OpenOptions::new().read(true).write(true).open(&self.path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => TargetError::Gone { path: self.shown(), written: written.length },
            _ => self.io(error),
        })
    }

    fn check(&self, file: &mut File, written: &Written, lines: &[u8]) -> Result<(), TargetError> {
        let (length, path) = (self.length(file)?, self.shown());
        let Written { length: written_length, tail_bytes, tail_hash } = *written;
        let expected = written_length + u64::try_from(lines.len()).unwrap_or(u64::MAX);
        if length < written_length {
            return Err(TargetError::Shorter { path, length, written: written_length });
        }
        if length > expected {
            return Err(TargetError::Longer { path, length, expected, written: written_length });
        }
        let mut tail = vec![0; usize::from(tail_bytes)];
        let read = file
            .seek(SeekFrom::Start(written_length.saturating_sub(u64::from(tail_bytes))))
            .and_then(|_| file.read_exact(&mut tail));
        read.map_err(|error| self.io(error))?;
        if tail_bytes > 0 && xxh3_64(&tail) != tail_hash {
            return Err(TargetError::Changed { path, written: written_length });
        }
        Ok(())
    }

    fn length(&self, file: &File) -> Result<u64, TargetError> {
        file.metadata().map(|metadata| metadata.len()).map_err(|error| self.io(error))
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    fn io(&self, source: io::Error) -> TargetError {
        TargetError::Io { path: self.shown(), source }
    }
}

impl Written {
    fn followed_by(&self, lines: &[u8]) -> Self {
        if lines.is_empty() {
            return self.clone();
        }
        let tail = lines.last_chunk::<TAIL_BYTES>().map_or(lines, |tail| tail);
        Self {
            length: self.length + u64::try_from(lines.len()).unwrap_or(u64::MAX),
            tail_bytes: u16::try_from(tail.len()).unwrap_or(0),
            tail_hash: xxh3_64(tail),
        }
    }
}

/// Whole lines, as many as fit into one write; or one that is longer.
fn pieces(mut lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let room = lines.get(..WRITE_BYTES).unwrap_or(lines);
        let end = match memchr::memrchr(b'\n', room) {
            Some(at) => at + 1,
            None => memchr::memchr(b'\n', lines).map_or(lines.len(), |at| at + 1),
        };
        let (piece, rest) = lines.split_at_checked(end)?;
        lines = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// A new file's name is durable once its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests;
