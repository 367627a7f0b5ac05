//! One file of the commit log: a header, and frames behind it.
//!
//! | bytes | header |
//! |---|---|
//! | 8 | `PELTLOG` and the version of this format |
//! | 8 | the salt of its frames, random |
//! | 8 | the sequence number of its first frame, also its name |
//! | 4 | 1 where every frame was synced before the next was written, else 0 |
//! | 4 | CRC-32 of these |

use super::disk::{Disk, LogFile, sync_directory};
use bytes::{Buf, Bytes};
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The bytes before the first frame.
pub(super) const HEADER_BYTES: usize = 32;

const MAGIC: [u8; 8] = *b"PELTLOG\x01";

/// What stands at the start of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) salt: u64,
    pub(super) first_sequence: u64,
    /// Whether every frame was durable before the next was written: then only the last can be torn.
    pub(super) synced: bool,
}

impl Header {
    fn encode(self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let (content, checksum) = out.split_at_mut(HEADER_BYTES - 4);
        let mut parts = content.chunks_exact_mut(8);
        for part in [MAGIC, self.salt.to_le_bytes(), self.first_sequence.to_le_bytes()] {
            if let Some(chunk) = parts.next() {
                chunk.copy_from_slice(&part);
            }
        }
        parts.into_remainder().copy_from_slice(&u32::from(self.synced).to_le_bytes());
        checksum.copy_from_slice(&crc32fast::hash(content).to_le_bytes());
        out
    }

    /// The header at the start of a file; `None` where there is no whole one of this format.
    pub(super) fn read(bytes: &Bytes) -> Option<Self> {
        let (content, mut checksum) = bytes.get(..HEADER_BYTES)?.split_at_checked(HEADER_BYTES - 4)?;
        if crc32fast::hash(content) != checksum.get_u32_le() {
            return None;
        }
        let mut rest = content.strip_prefix(&MAGIC)?;
        let (salt, first_sequence) = (rest.get_u64_le(), rest.get_u64_le());
        Some(Self { salt, first_sequence, synced: rest.get_u32_le() != 0 })
    }
}

/// The file name of the segment whose first frame is `first_sequence`: names sort as numbers do.
pub(super) fn file_name(first_sequence: u64) -> String {
    format!("{first_sequence:020}.log")
}

/// The number in a file name, where it is a segment's.
pub(super) fn read_file_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

/// Why a frame was not appended.
#[derive(Debug)]
pub(super) enum AppendError {
    /// Nothing of it is in the segment; the next one may succeed.
    NotWritten(io::Error),
    /// It may be durable, in part or whole; only reopening the store tells.
    Unknown(io::Error),
}

/// The segment that is appended to.
#[derive(Debug)]
pub(super) struct Segment {
    file: Box<dyn LogFile>,
    path: PathBuf,
    header: Header,
    length: u64,
}

impl Segment {
    /// A new segment in `directory`, durable when this returns. An error leaves no file behind if it can.
    pub(super) fn create(
        disk: &dyn Disk,
        directory: &Path,
        first_sequence: u64,
        synced: bool,
    ) -> io::Result<Self> {
        let path = directory.join(file_name(first_sequence));
        let (salt, _) = Uuid::new_v4().as_u64_pair();
        let header = Header { salt, first_sequence, synced };
        let mut file = disk.create(&path)?;
        let written =
            file.append(&header.encode()).and_then(|()| file.sync()).and_then(|()| sync_directory(directory));
        if let Err(error) = written {
            // What stays is a segment without frames, which recovery removes.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(Self { file, path, header, length: HEADER_BYTES as u64 })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn salt(&self) -> u64 {
        self.header.salt
    }

    /// Appends one frame with one write, and makes it durable where every frame of the segment is to be.
    ///
    /// An error while writing is undone by cutting the file back. An error while syncing cannot be undone: the
    /// kernel may have dropped the pages and forgotten it (I3).
    pub(super) fn append(&mut self, frame: &[u8]) -> Result<(), AppendError> {
        if let Err(error) = self.file.append(frame) {
            return Err(match self.file.cut(self.length) {
                Ok(()) => AppendError::NotWritten(error),
                Err(_) => AppendError::Unknown(error),
            });
        }
        if self.header.synced {
            self.sync().map_err(AppendError::Unknown)?;
        }
        self.length += frame.len() as u64;
        Ok(())
    }

    /// Makes everything appended durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_round_trips_and_a_damaged_one_is_none() {
        let header = Header { salt: 0x0123_4567_89ab_cdef, first_sequence: 42, synced: true };
        let bytes = Bytes::copy_from_slice(&header.encode());
        assert_eq!(Header::read(&bytes), Some(header));
        for at in 0..HEADER_BYTES {
            assert_eq!(Header::read(&bytes.slice(..at)), None);
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 0x10;
            assert_eq!(Header::read(&damaged.into()), None);
        }
    }

    #[test]
    fn names_sort_as_numbers_do() {
        assert!(file_name(9) < file_name(10));
        assert_eq!(read_file_name(&file_name(u64::MAX)), Some(u64::MAX));
        assert_eq!(read_file_name("12.log"), None);
        assert_eq!(read_file_name("00000000000000000012.tmp"), None);
    }
}
