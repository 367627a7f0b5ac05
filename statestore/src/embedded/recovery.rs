//! What the log says when a store is opened: every frame that was acknowledged, in order, and nothing else.
//!
//! | what is found | what it means | what is done |
//! |---|---|---|
//! | frames that are settled already | the process died before it removed the segment | the segment is removed |
//! | a bad frame at the end of the last segment | the process died while it wrote | it is cut off, with a warning |
//! | a bad frame with good ones behind it, or in an earlier segment | damage | the store is not opened |
//! | a sequence number missing | a segment is missing | the store is not opened |
//!
//! Where frames were not synced one by one ([`Durability::Buffered`](super::Durability)), loss of power may leave
//! a hole in the last segment, and everything from the hole on is cut off: that much durability was not asked for.

use super::disk::sync_directory;
use super::frame::{self, Frame};
use super::segment::{self, Header};
use super::table::Table;
use crate::store::StoreFault;
use bytes::Bytes;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// What was recovered.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    /// The writes that are not settled yet.
    pub(super) table: Table,
    /// The segments that hold them.
    pub(super) segments: Vec<PathBuf>,
    /// The bytes of these.
    pub(super) log_bytes: u64,
    /// The number of the next frame.
    pub(super) next_sequence: u64,
}

/// Reads the log in `directory` behind the frame `flushed`, and repairs what an unclean stop left.
pub(super) fn recover(directory: &Path, flushed: u64) -> Result<Recovered, StoreFault> {
    let segments = list(directory).map_err(|error| log_error(directory, &error))?;
    let mut recovered = Recovered { next_sequence: flushed + 1, ..Recovered::default() };
    for (at, (first, path)) in segments.iter().enumerate() {
        let following = segments.get(at + 1).map(|(first, _)| *first);
        if following.is_some_and(|following| following <= flushed + 1) {
            remove(path)?;
            continue;
        }
        if *first > recovered.next_sequence {
            return Err(StoreFault(format!(
                "the commit log misses frames {} to {}: the segment {} goes on behind them",
                recovered.next_sequence,
                first - 1,
                path.display()
            )));
        }
        replay(path, *first, flushed, following.is_none(), &mut recovered)?;
    }
    sync_directory(directory).map_err(|error| log_error(directory, &error))?;
    Ok(recovered)
}

/// The segments of a log, oldest first.
fn list(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(first) = entry.file_name().to_str().and_then(segment::read_file_name) {
            found.push((first, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// Puts the frames of one segment behind `flushed` into the table.
fn replay(
    path: &Path,
    first: u64,
    flushed: u64,
    is_last: bool,
    recovered: &mut Recovered,
) -> Result<(), StoreFault> {
    let bytes = Bytes::from(fs::read(path).map_err(|error| log_error(path, &error))?);
    let Some(header) = Header::read(&bytes).filter(|header| header.first_sequence == first) else {
        if is_last && bytes.len() <= segment::HEADER_BYTES {
            tracing::warn!(segment = %path.display(), "a segment of the commit log was never begun, and is removed");
            return remove(path);
        }
        return Err(StoreFault(format!(
            "{} does not begin as a segment of the commit log does",
            path.display()
        )));
    };
    let (mut at, mut expected) = (segment::HEADER_BYTES, first);
    while at < bytes.len() {
        let rest = bytes.slice(at..);
        let frame = Frame::read(&rest, header.salt).filter(|frame| frame.sequence == expected);
        let Some(frame) = frame else {
            check_torn(path, header, &rest, at, expected, is_last)?;
            cut(path, at, bytes.len()).map_err(|error| log_error(path, &error))?;
            break;
        };
        if frame.sequence > flushed {
            let writes = frame.writes().ok_or_else(|| damaged(path, at, "its writes make no sense"))?;
            for (key, value) in writes {
                recovered.table.put(key, value);
            }
        }
        (at, expected) = (at + frame.length, expected + 1);
    }
    if expected <= flushed + 1 || expected == first {
        // Everything in it is settled, or it holds nothing.
        return remove(path);
    }
    // What was replayed is shown to readers, so it must outlive a loss of power from here on.
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| log_error(path, &error))?;
    recovered.log_bytes += at as u64;
    recovered.segments.push(path.to_owned());
    recovered.next_sequence = expected;
    Ok(())
}

/// Refuses a bad frame that cannot be the trace of a process that died while writing.
fn check_torn(
    path: &Path,
    header: Header,
    rest: &Bytes,
    at: usize,
    expected: u64,
    is_last: bool,
) -> Result<(), StoreFault> {
    if !is_last {
        return Err(damaged(path, at, "there are later segments"));
    }
    if !header.synced {
        return Ok(());
    }
    // A torn frame is the last one, whatever its length claims: so no good frame may begin anywhere behind it.
    let frames_max = (rest.len() / frame::HEADER_BYTES) as u64;
    let is_good = |offset: usize| {
        let candidate = rest.slice(offset..);
        Frame::claimed_sequence(&candidate)
            .is_some_and(|sequence| sequence > expected && sequence - expected <= frames_max)
            && Frame::read(&candidate, header.salt).is_some()
    };
    match (1..rest.len()).find(|&offset| is_good(offset)) {
        Some(offset) => Err(damaged(path, at, &format!("there is a good frame at byte {}", at + offset))),
        None => Ok(()),
    }
}

fn cut(path: &Path, length: usize, found: usize) -> io::Result<()> {
    tracing::warn!(
        segment = %path.display(),
        cut_bytes = found - length,
        "the commit log ends in a torn frame, which nobody was told of; it is cut off"
    );
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(length as u64)?;
    file.sync_all()
}

fn remove(path: &Path) -> Result<(), StoreFault> {
    fs::remove_file(path).map_err(|error| log_error(path, &error))
}

fn log_error(path: &Path, error: &io::Error) -> StoreFault {
    StoreFault(format!("the commit log {}: {error}", path.display()))
}

fn damaged(path: &Path, at: usize, why: &str) -> StoreFault {
    StoreFault(format!(
        "the commit log {} is damaged at byte {at}, and {why}: restore the store from a backup",
        path.display()
    ))
}
