//! Logs that end in the middle of a frame, and logs that are damaged: the first are opened, the others never.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use common::{commit, copy_directory, dump, get, open, open_error, put, segments};
use pelton_statestore::OpenError;
use pelton_statestore::embedded::{Durability, Embedded, EmbeddedOptions};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const COMMITS: u8 = 4;

/// A store that was closed after some commits, the log's only segment, and where each frame of it ends.
struct Closed {
    _scratch: TempDir,
    store: PathBuf,
    segment: PathBuf,
    frame_ends: Vec<usize>,
}

fn value(number: u8) -> Vec<u8> {
    vec![number; 20]
}

fn closed(durability: Durability) -> Closed {
    let scratch = tempfile::tempdir().unwrap();
    let make = |name: &str, commits: u8| {
        let path = scratch.path().join(name);
        let store =
            Embedded::open(&path, EmbeddedOptions { durability, ..EmbeddedOptions::default() }).unwrap();
        for number in 0..commits {
            commit(&store, vec![put(vec![b'k', number], value(number)), put("newest", vec![number])])
                .unwrap();
        }
        // Closed cleanly, a segment ends where its last frame does.
        drop(store);
        let segment = segments(&path).pop().unwrap();
        let length = fs::metadata(&segment).unwrap().len();
        (path, segment, usize::try_from(length).unwrap())
    };
    let frame_ends =
        (0..COMMITS).map(|commits| make(&format!("with {commits}"), commits).2).collect::<Vec<_>>();
    let (store, segment, end) = make("store", COMMITS);
    let frame_ends = frame_ends.into_iter().chain([end]).collect();
    Closed { _scratch: scratch, store, segment, frame_ends }
}

impl Closed {
    /// A copy of the store whose segment has these bytes.
    fn with_log(&self, bytes: &[u8]) -> (TempDir, PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let store = scratch.path().join("store");
        copy_directory(&self.store, &store);
        fs::write(store.join("log").join(self.segment.file_name().unwrap()), bytes).unwrap();
        (scratch, store)
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.segment).unwrap()
    }
}

/// The store holds exactly the first `commits` commits, and goes on from there, through another opening.
fn assert_holds(path: &Path, commits: u8) {
    let store = open(path);
    for number in 0..COMMITS {
        let expected = (number < commits).then(|| value(number).into());
        assert_eq!(get(&store, vec![b'k', number]), expected, "commit {number} of {commits}");
    }
    assert_eq!(get(&store, "newest"), commits.checked_sub(1).map(|number| vec![number].into()));
    commit(&store, vec![put("after", "1")]).unwrap();
    drop(store);
    let store = open(path);
    assert_eq!(dump(&store).len(), usize::from(commits) + usize::from(commits > 0) + 1);
    assert_eq!(get(&store, "after"), Some("1".into()));
}

#[test]
fn a_log_cut_at_any_byte_of_its_last_frame_keeps_every_frame_before() {
    let closed = closed(Durability::Fsync);
    let (bytes, ends) = (closed.bytes(), &closed.frame_ends);
    let last = ends[ends.len() - 2]..=ends[ends.len() - 1];
    for cut in last {
        let (_scratch, store) = closed.with_log(&bytes[..cut]);
        assert_holds(&store, if cut == bytes.len() { COMMITS } else { COMMITS - 1 });
    }
}

/// What a torn write into blocks that were there already looks like.
#[test]
fn a_last_frame_that_is_old_bytes_from_any_byte_on_does_not_count() {
    let closed = closed(Durability::Fsync);
    let (bytes, ends) = (closed.bytes(), &closed.frame_ends);
    for old in [0x00, 0xff, 0x5a] {
        for cut in (ends[ends.len() - 2]..bytes.len()).step_by(3) {
            let mut torn = bytes.clone();
            torn[cut..].fill(old);
            torn.extend(vec![old; 3000]);
            let (_scratch, store) = closed.with_log(&torn);
            // The frame may end in such bytes anyway.
            assert_holds(&store, if torn[..bytes.len()] == bytes { COMMITS } else { COMMITS - 1 });
        }
    }
}

#[test]
fn damage_before_the_last_frame_is_never_skipped() {
    let closed = closed(Durability::Fsync);
    let bytes = closed.bytes();
    // From the first byte of the first frame (the description of the store) to the last of the last but one.
    let header = 40;
    for at in (header..closed.frame_ends[closed.frame_ends.len() - 2]).step_by(5) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x20;
        let (_scratch, store) = closed.with_log(&damaged);
        let error = open_error(&store).to_string();
        assert!(error.contains("damaged") && error.contains("good frame"), "byte {at}: {error}");
        assert_eq!(fs::read(&segments(&store)[0]).unwrap(), damaged, "it was touched");
    }
}

#[test]
fn a_damaged_header_is_never_skipped() {
    let closed = closed(Durability::Fsync);
    for at in 0..40 {
        let mut damaged = closed.bytes();
        damaged[at] ^= 1;
        let (_scratch, store) = closed.with_log(&damaged);
        let error = open_error(&store).to_string();
        assert!(error.contains("does not begin as"), "byte {at}: {error}");
    }
}

/// A hole after loss of power is what "buffered" allows; frames behind it cannot count.
#[test]
fn a_buffered_log_ends_at_its_first_hole() {
    let closed = closed(Durability::Buffered);
    for (commits, ends) in (0..COMMITS).zip(closed.frame_ends.windows(2)) {
        let mut holed = closed.bytes();
        holed[ends[0]..ends[1]].fill(0);
        let (_scratch, store) = closed.with_log(&holed);
        assert_holds(&store, commits);
    }
}

/// The process died between creating a segment and its first frame, or even its header.
#[test]
fn a_segment_that_was_never_begun_does_not_matter() {
    let closed = closed(Durability::Fsync);
    for length in [0, 1, 39, 40] {
        let (_scratch, store) = closed.with_log(&closed.bytes());
        let next = store.join("log").join("00000000000000000099.log");
        fs::write(&next, vec![0; length]).unwrap();
        assert_holds(&store, COMMITS);
        assert!(!next.exists());
    }
}

/// The header of a segment.
fn header(number: u64, first_sequence: u64) -> Vec<u8> {
    let mut header = b"PELTLOG\x01saltsalt".to_vec();
    header.extend(number.to_le_bytes());
    header.extend(first_sequence.to_le_bytes());
    header.extend(1u32.to_le_bytes());
    header.extend(crc32fast::hash(&header).to_le_bytes());
    header
}

/// It could not be made durable, so the store went on in the one before; and then it was there after all.
#[test]
fn a_segment_that_was_created_in_vain_does_not_end_the_one_before() {
    let closed = closed(Durability::Fsync);
    for (first_sequence, behind) in [(2, 0), (3, 0), (3, 5_000), (5, 100)] {
        let (_scratch, store) = closed.with_log(&closed.bytes());
        let mut bytes = header(2, first_sequence);
        bytes.resize(bytes.len() + behind, 0x5a);
        fs::write(store.join("log").join("00000000000000000002.log"), bytes).unwrap();
        assert_holds(&store, COMMITS);
    }
}

/// A store with three segments, each with commits of its own.
fn with_three_segments() -> (TempDir, PathBuf, Vec<PathBuf>) {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("store");
    for life in 0..3u8 {
        let store = open(&path);
        for number in 0..3u8 {
            commit(&store, vec![put(vec![b'k', life, number], "1")]).unwrap();
        }
    }
    let segments = segments(&path);
    assert_eq!(segments.len(), 3);
    (scratch, path, segments)
}

#[test]
fn a_missing_segment_is_noticed() {
    for missing in 0..2 {
        let (_scratch, path, segments) = with_three_segments();
        fs::remove_file(&segments[missing]).unwrap();
        let error = open_error(&path).to_string();
        assert!(error.contains("miss"), "segment {missing}: {error}");
    }
}

#[test]
fn damage_in_an_earlier_segment_is_never_skipped() {
    for segment in 0..2 {
        let (_scratch, path, segments) = with_three_segments();
        let bytes = fs::read(&segments[segment]).unwrap();
        // The last frame of a segment stands once more at the start of the next; the ones before do not.
        let last_frame = bytes.len() - 16 - (1 + 4 + 3 + 4 + 1);
        for cut in [41, 50, last_frame - 1] {
            fs::write(&segments[segment], &bytes[..cut]).unwrap();
            let error = open_error(&path);
            assert!(error.to_string().contains("damaged"), "segment {segment} cut at {cut}: {error}");
        }
        fs::write(&segments[segment], &bytes[..last_frame]).unwrap();
        assert_eq!(dump(&open(&path)).len(), 9);
    }
}

#[test]
fn swapped_segments_are_noticed() {
    let (_scratch, path, segments) = with_three_segments();
    let (first, second) = (fs::read(&segments[0]).unwrap(), fs::read(&segments[1]).unwrap());
    fs::write(&segments[0], second).unwrap();
    fs::write(&segments[1], first).unwrap();
    assert!(matches!(open_error(&path), OpenError::Failed { .. }));
}

/// The process died between settling a table and taking its segments away.
#[test]
fn a_settled_segment_that_comes_back_changes_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("store");
    let options = EmbeddedOptions { log_bytes_max: 1_000, ..EmbeddedOptions::default() };
    let store = Embedded::open(&path, options).unwrap();
    let old = segments(&path).pop().unwrap();
    commit(&store, vec![put("a", "old"), put("b", "old")]).unwrap();
    let old_bytes = fs::read(&old).unwrap();
    for number in 0..50 {
        commit(&store, vec![put("a", format!("{number}")), put("filler", vec![7; 200])]).unwrap();
    }
    drop(store);
    assert!(!old.exists(), "it was settled");
    fs::write(&old, old_bytes).unwrap();
    let store = open(&path);
    assert_eq!(get(&store, "a"), Some("49".into()));
    assert_eq!(get(&store, "b"), Some("old".into()));
    assert!(!old.exists());
}
