//! What the log says when a store is opened: every frame that was acknowledged, in order, and nothing else.
//!
//! | what is found | what it means | what is done |
//! |---|---|---|
//! | frames that are settled already | the process died before it removed the segment | the segment is removed |
//! | no good frame where the next should be, in the last segment | the log ends there; perhaps the process died while it wrote | the log goes on in a new segment |
//! | the same, with good frames behind it | damage | the store is not opened |
//! | the same, in an earlier segment, and the next does not go on with that number | damage, or a segment is missing | the store is not opened |
//! | no good frame in the last segment | it was created, perhaps in vain: then the one before went on | the segment is removed |
//!
//! Where frames were not synced one by one ([`Durability::Buffered`](super::Durability)), loss of power may leave
//! a hole in the last segment, and what is behind the hole does not count: that much durability was not asked for.
//!
//! Nothing is repaired in place. The segment that comes next begins with the number at which the last one ended,
//! and so says from then on where that was.

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
    /// The payload of the last frame of these.
    pub(super) last_frame: Option<Bytes>,
    /// The segments that hold them.
    pub(super) segments: Vec<PathBuf>,
    /// The bytes of these.
    pub(super) log_bytes: u64,
    /// The number of the next segment.
    pub(super) next_segment: u64,
    /// The number of the next frame.
    pub(super) next_sequence: u64,
}

/// Reads the log in `directory` behind the frame `flushed`. Removes segments that nothing depends on any more.
pub(super) fn recover(directory: &Path, flushed: u64) -> Result<Recovered, StoreFault> {
    let mut segments = list(directory).map_err(|error| log_error(directory, &error))?;
    let mut recovered = Recovered {
        next_segment: segments.last().map_or(1, |found| found.number + 1),
        next_sequence: flushed + 1,
        ..Recovered::default()
    };
    if let Some(last) = segments.pop_if(|last| last.has_no_frame()) {
        last.check_empty()?;
        remove(&last.path)?;
    }
    for (at, found) in segments.iter().enumerate() {
        let following =
            segments.get(at + 1).and_then(|found| found.header).map(|header| header.first_sequence);
        if following.is_some_and(|following| following <= flushed + 1) {
            remove(&found.path)?;
        } else {
            replay(found, following, flushed, &mut recovered)?;
        }
    }
    sync_directory(directory).map_err(|error| log_error(directory, &error))?;
    Ok(recovered)
}

/// A segment that was read. The log is bounded, and so is what this holds.
#[derive(Debug)]
struct Found {
    number: u64,
    path: PathBuf,
    bytes: Bytes,
    header: Option<Header>,
}

impl Found {
    /// Its header, which every segment has but a last one that was never begun.
    fn header(&self) -> Result<Header, StoreFault> {
        let path = self.path.display();
        let fault = || StoreFault(format!("{path} does not begin as this segment of the commit log does"));
        self.header.filter(|header| header.number == self.number).ok_or_else(fault)
    }

    /// The good frame `sequence` at byte `at`.
    fn frame(&self, at: usize, sequence: u64, salt: u64) -> Option<Frame> {
        Frame::read(&self.rest(at), salt).filter(|frame| frame.sequence == sequence)
    }

    fn rest(&self, at: usize) -> Bytes {
        self.bytes.slice(at.min(self.bytes.len())..)
    }

    fn has_no_frame(&self) -> bool {
        let first = |header: Header| self.frame(segment::HEADER_BYTES, header.first_sequence, header.salt);
        self.header.and_then(first).is_none()
    }

    /// Refuses a segment whose first frame is bad, and that was yet more than created.
    fn check_empty(&self) -> Result<(), StoreFault> {
        if self.header.is_none() && self.bytes.len() <= segment::HEADER_BYTES {
            tracing::warn!(segment = %self.path.display(), "a segment of the commit log was never begun");
            return Ok(());
        }
        let header = self.header()?;
        check_end(self, header, segment::HEADER_BYTES, header.first_sequence, None)
    }
}

/// The segments of a log, oldest first.
fn list(directory: &Path) -> io::Result<Vec<Found>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Some(number) = entry.file_name().to_str().and_then(segment::read_file_name) else { continue };
        let path = entry.path();
        let bytes = Bytes::from(fs::read(&path)?);
        let header = Header::read(&bytes);
        segments.push(Found { number, path, bytes, header });
    }
    segments.sort_unstable_by_key(|found| found.number);
    Ok(segments)
}

/// Puts the frames of one segment behind `flushed` into the table, up to the first frame of the `following`.
fn replay(
    found: &Found,
    following: Option<u64>,
    flushed: u64,
    recovered: &mut Recovered,
) -> Result<(), StoreFault> {
    let header = found.header()?;
    if header.first_sequence > recovered.next_sequence {
        let (from, to) = (recovered.next_sequence, header.first_sequence - 1);
        let path = found.path.display();
        return Err(StoreFault(format!(
            "the commit log misses frames {from} to {to}, before the segment {path}"
        )));
    }
    let (mut at, mut expected) = (segment::HEADER_BYTES, header.first_sequence);
    let mut last = None;
    while following != Some(expected) {
        let Some(frame) = found.frame(at, expected, header.salt) else { break };
        if expected > flushed {
            let mut writes = frame.writes();
            for (key, value) in writes.by_ref() {
                recovered.table.put(key, value);
            }
            if !writes.is_whole() {
                return Err(damaged(&found.path, at, "its writes make no sense"));
            }
            last = Some(frame.payload);
        }
        (at, expected) = (at + frame.length, expected + 1);
    }
    check_end(found, header, at, expected, following)?;
    let Some(last) = last else {
        // Everything in it is settled, or stands in the next one too.
        return if following == Some(expected) || expected <= flushed + 1 {
            remove(&found.path)
        } else {
            Err(damaged(&found.path, at, "it has no good frame"))
        };
    };
    // What was replayed is shown to readers, so it must outlive a loss of power from here on.
    let written = OpenOptions::new().write(true).open(&found.path).and_then(|file| file.sync_all());
    written.map_err(|error| log_error(&found.path, &error))?;
    recovered.log_bytes += at as u64;
    recovered.segments.push(found.path.clone());
    recovered.last_frame = Some(last);
    recovered.next_sequence = expected;
    Ok(())
}

/// Refuses a log that cannot end where its good frames end: at byte `at`, before the frame `expected`.
fn check_end(
    found: &Found,
    header: Header,
    at: usize,
    expected: u64,
    following: Option<u64>,
) -> Result<(), StoreFault> {
    if let Some(following) = following {
        let missing = || format!("frames {expected} to {} are missing", following - 1);
        return if following == expected { Ok(()) } else { Err(damaged(&found.path, at, &missing())) };
    }
    // Where each frame was durable before the next was written, a torn one is the last, whatever length it
    // claims: no good frame may begin anywhere behind it.
    let rest = found.rest(at);
    let frames_max = (rest.len() / frame::HEADER_BYTES) as u64;
    let may_be_good = |start: &[u8]| {
        Frame::claimed_sequence(start).is_some_and(|found| found > expected && found - expected <= frames_max)
    };
    // Looked through byte by byte, so what is unlikely is ruled out before anything is computed.
    let candidates =
        rest.windows(frame::HEADER_BYTES).enumerate().skip(1).filter(|(_, start)| may_be_good(start));
    let good =
        || candidates.map(|(at, _)| at).find(|&at| Frame::read(&rest.slice(at..), header.salt).is_some());
    if header.synced
        && let Some(offset) = good()
    {
        return Err(damaged(&found.path, at, &format!("there is a good frame at byte {}", at + offset)));
    }
    if Frame::claimed_sequence(&rest) == Some(expected) {
        tracing::warn!(
            segment = %found.path.display(),
            byte = at,
            "the commit log ends in a torn frame, which nobody was told of; it does not count"
        );
    }
    Ok(())
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
