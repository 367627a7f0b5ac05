//! Cuts the bytes of a file into rows, in bounded memory, and knows where each one stands.
//!
//! A row is a line, or several where a quoted field holds line breaks. Lines end with `\n` or `\r\n`; blank
//! ones are no rows. What is cut ([`Knife`]) depends on the bytes alone and not on how they arrive, so reading
//! again from any row on gives the same rows.
//!
//! Two kinds of row have no place in memory (I11), and are cut as rows of their own, to be rejected:
//!
//! * over the row limit: its beginning, and the rest of its line is dropped;
//! * with a quote that is never closed, or not within the row limit: its first line. The next line is a row
//!   again, so one stray quote costs one line and not the file.

use super::cut::{Knife, RowKind};
use super::decoded::{Decoded, Fingerprint, shown};
use super::fields::Quoting;
use crate::source::error::SourceProblem;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::Path;

/// Room for what is read at a time, beside the longest row. Tests meet its end at every byte.
const READ_BYTES: usize = if cfg!(test) { 7 } else { 256 * 1024 };

/// A place between two rows of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The decoded byte where the next row begins.
    pub(crate) offset: u64,
    /// The number of its line, from 1.
    pub(crate) line: u64,
    /// The CRC-32 of every decoded byte before it.
    pub(crate) crc: u32,
    /// The next bytes are the rest of a row over the limit, which has been rejected.
    pub(crate) in_long_row: bool,
}

/// What was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The number of its first line.
    pub(crate) line: u64,
    /// Its bytes, without the line's end.
    pub(crate) bytes: &'a [u8],
    pub(crate) kind: RowKind,
}

/// The rows of one file.
pub struct Rows {
    decoded: Decoded,
    knife: Knife,
    data: Vec<u8>,
    /// What is read and not yet cut.
    unread: Range<usize>,
    /// Where in `data` the bytes begin that are cut and not yet in `crc`.
    unhashed: usize,
    crc: crc32fast::Hasher,
    offset: u64,
    line: u64,
    in_long_row: bool,
    end: End,
}

/// What follows `data`.
enum End {
    Unknown,
    Reached,
    Fault(String),
}

impl Rows {
    /// Opens the file before its first row, behind a byte order mark.
    ///
    /// # Errors
    /// Where it cannot be read, is empty, or is UTF-16.
    pub(crate) fn open(
        path: &Path,
        quoting: Option<Quoting>,
        row_bytes_max: usize,
    ) -> Result<Self, SourceProblem> {
        let mut rows = Self {
            decoded: Decoded::open(path)?,
            knife: Knife { quoting, row_bytes_max },
            data: vec![0; row_bytes_max + READ_BYTES],
            unread: 0..0,
            unhashed: 0,
            crc: crc32fast::Hasher::new(),
            offset: 0,
            line: 1,
            in_long_row: false,
            end: End::Unknown,
        };
        while rows.unread.len() < 3 && matches!(rows.end, End::Unknown) {
            rows.fill();
        }
        match (rows.unread_bytes(), &rows.end) {
            ([], End::Fault(reason)) => {
                Err(SourceProblem::Unreadable { path: shown(path), reason: reason.clone() })
            }
            ([], _) => Err(SourceProblem::Empty { path: shown(path) }),
            ([0xff, 0xfe, ..] | [0xfe, 0xff, ..], _) => Err(SourceProblem::Utf16 { path: shown(path) }),
            ([0xef, 0xbb, 0xbf, ..], _) => {
                rows.consume(3, 0);
                Ok(rows)
            }
            _ => Ok(rows),
        }
    }

    /// What the file was when it was opened.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.decoded.fingerprint()
    }

    /// Which file.
    pub(crate) fn path(&self) -> &Path {
        self.decoded.path()
    }

    /// Where the next row begins.
    pub(crate) fn place(&mut self) -> Place {
        self.hash_cut();
        let crc = self.crc.clone().finalize();
        Place { offset: self.offset, line: self.line, crc, in_long_row: self.in_long_row }
    }

    /// Goes to `place` without reading what is before it; `false` where the file has to be read from its beginning.
    ///
    /// # Errors
    /// The disk's, in words.
    pub(crate) fn seek(&mut self, place: &Place) -> Result<bool, String> {
        if !self.decoded.seek(place.offset).map_err(|error| error.to_string())? {
            return Ok(false);
        }
        self.unread = 0..0;
        self.unhashed = 0;
        self.crc = crc32fast::Hasher::new_with_initial_len(place.crc, place.offset);
        self.end = End::Unknown;
        self.set_place(place);
        Ok(true)
    }

    /// Reads on towards `place`, at most about `bytes_max` bytes.
    ///
    /// # Errors
    /// In words: where the file ends or breaks off before it, or is not what it was when the place was noted.
    pub(crate) fn skip(&mut self, place: &Place, bytes_max: usize) -> Result<bool, String> {
        let mut skipped = 0;
        while self.offset < place.offset {
            if skipped >= bytes_max {
                return Ok(false);
            }
            if self.unread.is_empty() && !self.read_more()? {
                return Err(format!(
                    "ends at byte {}, and had been read to byte {}",
                    self.offset, place.offset
                ));
            }
            let wanted = usize::try_from(place.offset - self.offset).unwrap_or(usize::MAX);
            let bytes = wanted.min(self.unread.len());
            self.consume(bytes, 0);
            skipped += bytes;
        }
        let found = self.place();
        if (found.offset, found.crc) != (place.offset, place.crc) {
            return Err(format!("the {} bytes that had been read are not the same any more", place.offset));
        }
        self.set_place(place);
        Ok(true)
    }

    fn set_place(&mut self, place: &Place) {
        (self.offset, self.line, self.in_long_row) = (place.offset, place.line, place.in_long_row);
    }

    /// The next row, and how many bytes of the file went by; `None` at the end.
    ///
    /// # Errors
    /// In words, where the file cannot be read on. What could be read has been returned before; calling again
    /// gives the same error.
    pub(crate) fn next(&mut self) -> Result<Option<(Row<'_>, usize)>, String> {
        let cut = loop {
            let all = matches!(self.end, End::Reached);
            let cut = match self.unread_bytes() {
                [] => None,
                unread => self.knife.cut(unread, self.in_long_row, all),
            };
            match (cut, &self.end) {
                (Some(cut), _) => break cut,
                (None, End::Unknown) => self.fill(),
                (None, End::Reached) => return Ok(None),
                (None, End::Fault(reason)) => return Err(reason.clone()),
            }
        };
        let (line, begin) = (self.line, self.unread.start);
        self.in_long_row = cut.in_long_row;
        self.consume(cut.bytes, u64::try_from(cut.lines).unwrap_or(u64::MAX));
        let bytes = self.data.get(begin..begin + cut.row_bytes).unwrap_or_default();
        let bytes = match cut.kind {
            RowKind::TooLong => bytes,
            _ => bytes.strip_suffix(b"\r").unwrap_or(bytes),
        };
        Ok(Some((Row { line, bytes, kind: cut.kind }, cut.bytes)))
    }

    fn unread_bytes(&self) -> &[u8] {
        self.data.get(self.unread.clone()).unwrap_or_default()
    }

    fn consume(&mut self, bytes: usize, lines: u64) {
        self.unread.start += bytes;
        debug_assert!(self.unread.start <= self.unread.end, "only what was read is cut");
        self.offset += u64::try_from(bytes).unwrap_or(u64::MAX);
        self.line += lines;
    }

    fn hash_cut(&mut self) {
        self.crc.update(self.data.get(self.unhashed..self.unread.start).unwrap_or_default());
        self.unhashed = self.unread.start;
    }

    /// Reads some more: `false` at the end.
    fn read_more(&mut self) -> Result<bool, String> {
        self.fill();
        match &self.end {
            End::Fault(reason) => Err(reason.clone()),
            End::Reached => Ok(!self.unread.is_empty()),
            End::Unknown => Ok(true),
        }
    }

    fn fill(&mut self) {
        self.hash_cut();
        self.data.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        self.unhashed = 0;
        let room = self.data.get_mut(self.unread.end..).unwrap_or_default();
        debug_assert!(!room.is_empty(), "I11: a row over the limit has been cut before");
        match self.decoded.read(room) {
            Ok(0) => self.end = End::Reached,
            Ok(count) => self.unread.end += count,
            Err(reason) => self.end = End::Fault(reason),
        }
    }
}

#[cfg(test)]
mod tests;
