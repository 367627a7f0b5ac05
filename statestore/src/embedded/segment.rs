//! One file of the commit log: a header, and frames behind it.
//!
//! | bytes | header |
//! |---|---|
//! | 8 | `PELTLOG` and the version of this format |
//! | 8 | the salt of its frames, random |
//! | 8 | its number, one more than that of the segment before; also its name |
//! | 8 | the sequence number of its first frame |
//! | 4 | 1 where every frame was synced before the next was written, else 0 |
//! | 4 | CRC-32 of these |
//!
//! Behind the last frame come bytes that are no frame: zeros, or what the file held in an earlier life. For a
//! sync is several times as fast where it need not make new blocks of the file durable too (measured by
//! `examples/raw_commit.rs`). So a segment is lengthened in steps ahead of its frames, and one whose frames are
//! settled is kept, and becomes the next segment.

use super::disk::{Disk, LogFile};
use bytes::{Buf, Bytes};
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The bytes before the first frame.
pub(super) const HEADER_BYTES: usize = 40;

const MAGIC: [u8; 8] = *b"PELTLOG\x01";

/// What stands at the start of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) salt: u64,
    pub(super) number: u64,
    pub(super) first_sequence: u64,
    /// Whether every frame was durable before the next was written: then only the last can be torn.
    pub(super) synced: bool,
}

impl Header {
    fn encode(self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let (content, checksum) = out.split_at_mut(HEADER_BYTES - 4);
        let mut parts = content.chunks_exact_mut(8);
        let [salt, number, first] = [self.salt, self.number, self.first_sequence].map(u64::to_le_bytes);
        for part in [MAGIC, salt, number, first] {
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
        let (salt, number, first_sequence) = (rest.get_u64_le(), rest.get_u64_le(), rest.get_u64_le());
        Some(Self { salt, number, first_sequence, synced: rest.get_u32_le() != 0 })
    }
}

/// The name of the file that is kept for the next segment.
const SPARE: &str = "spare";

/// The file name of the segment `number`: names sort as numbers do.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:020}.log")
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

/// What a log asks of its segments.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentOptions {
    /// Whether every frame is made durable before the next is written.
    pub(super) synced: bool,
    /// By how much a segment is lengthened ahead of its frames.
    pub(super) reserve_bytes: u64,
}

/// The segment that is appended to.
#[derive(Debug)]
pub(super) struct Segment {
    file: Box<dyn LogFile>,
    path: PathBuf,
    header: Header,
    options: SegmentOptions,
    /// Where the next frame goes.
    length: u64,
    /// To where the file has blocks.
    reserved: u64,
}

impl Segment {
    /// A segment in `directory` without frames, durable when this returns, made of the spare file if there is one.
    pub(super) fn create(
        disk: &dyn Disk,
        directory: &Path,
        number: u64,
        first_sequence: u64,
        options: SegmentOptions,
    ) -> io::Result<Self> {
        let path = directory.join(file_name(number));
        let spare = directory.join(SPARE);
        let (salt, _) = Uuid::new_v4().as_u64_pair();
        let header = Header { salt, number, first_sequence, synced: options.synced };
        let spare_length = disk.length(&spare)?;
        let start = || {
            let mut file = if spare_length.is_some() { disk.open(&spare)? } else { disk.create(&path)? };
            file.write_at(0, &header.encode())?;
            file.sync()?;
            if spare_length.is_some() {
                disk.rename(&spare, &path)?;
            }
            disk.sync_directory(directory)?;
            Ok((file, spare_length.unwrap_or(0).max(HEADER_BYTES as u64)))
        };
        match start() {
            Ok((file, reserved)) => {
                Ok(Self { file, path, header, options, length: HEADER_BYTES as u64, reserved })
            }
            Err(error) => {
                // What stays is a segment without frames, which recovery removes.
                let _ = disk.remove(&path);
                Err(error)
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn salt(&self) -> u64 {
        self.header.salt
    }

    pub(super) fn number(&self) -> u64 {
        self.header.number
    }

    /// Appends one frame, and makes it durable where every frame of the segment is to be.
    ///
    /// An error while writing is undone by cutting the file back. An error while syncing cannot be undone: the
    /// kernel may have dropped the pages and forgotten it (I3).
    pub(super) fn append(&mut self, frame: &[u8]) -> Result<(), AppendError> {
        let end = self.length + frame.len() as u64;
        if let Err(error) = self.file.write_at(self.length, frame) {
            self.reserved = self.length;
            return Err(match self.file.cut(self.length) {
                Ok(()) => AppendError::NotWritten(error),
                Err(_) => AppendError::Unknown(error),
            });
        }
        if self.header.synced {
            self.reserve(end);
            self.sync().map_err(AppendError::Unknown)?;
        }
        self.length = end;
        Ok(())
    }

    /// Lengthens the file where its frames have come to its end. It is no matter if that fails.
    fn reserve(&mut self, end: u64) {
        if end <= self.reserved {
            return;
        }
        let zeros = vec![0; usize::try_from(self.options.reserve_bytes).unwrap_or(0)];
        self.reserved = end + zeros.len() as u64;
        if self.file.write_at(end, &zeros).is_err() {
            self.reserved = end;
            let _ = self.file.cut(end);
        }
    }

    /// Makes everything appended durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    /// Ends the segment: what lies behind its frames is given back.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.file.cut(self.length)?;
        if self.header.synced { Ok(()) } else { self.file.sync() }
    }
}

/// Takes the settled `segments` out of the log in `directory`, and keeps one as a spare file: the last, unless
/// it has become much larger than a segment should be.
pub(super) fn retire(
    disk: &dyn Disk,
    directory: &Path,
    segments: &[PathBuf],
    length_max: u64,
) -> io::Result<()> {
    let spare = directory.join(SPARE);
    for segment in segments {
        let fits = disk.length(segment)?.is_some_and(|length| length <= length_max);
        if fits && Some(segment) == segments.last() && disk.length(&spare)?.is_none() {
            disk.rename(segment, &spare)?;
        } else {
            disk.remove(segment)?;
        }
    }
    disk.sync_directory(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_round_trips_and_a_damaged_one_is_none() {
        let header = Header { salt: 0x0123_4567_89ab_cdef, number: 3, first_sequence: 42, synced: true };
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
