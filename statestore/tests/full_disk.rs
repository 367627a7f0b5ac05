//! A disk that is really full.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test")]

mod common;

use common::{commit, get, put};
use pelton_statestore::CommitError;
use pelton_statestore::embedded::{Embedded, EmbeddedOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A file system of a few megabytes, unmounted in the end.
struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    /// `None`, and it says so, where this process may not mount anything.
    fn mount(megabytes: u32) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(directory.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { directory });
        }
        println!("SKIPPED: this process may not mount a small file system, so no disk gets full here");
        None
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.directory.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn open(path: &Path, log_bytes_max: u64) -> Embedded {
    Embedded::open(path, EmbeddedOptions { log_bytes_max, ..EmbeddedOptions::default() })
        .expect("the store opens")
}

fn value(number: u32) -> Vec<u8> {
    // No compression makes it small.
    (0..5_000u32)
        .flat_map(|at| (at.wrapping_mul(2_654_435_761) ^ number.wrapping_mul(40_503)).to_le_bytes())
        .collect()
}

/// Commits new keys until the disk is full; how many.
fn fill(store: &Embedded, from: u32) -> u32 {
    for number in from.. {
        match commit(store, vec![put(format!("{number:06}"), value(number))]) {
            Ok(()) => {}
            Err(CommitError::Unavailable(fault)) => {
                println!("full after {number} commits: {fault}");
                return number;
            }
            Err(error) => panic!("a full disk gave: {error}"),
        }
    }
    from
}

fn assert_holds(store: &Embedded, count: u32) {
    for number in 0..count {
        assert_eq!(get(store, format!("{number:06}")), Some(value(number).into()), "commit {number}");
    }
    assert_eq!(get(store, format!("{count:06}")), None, "a commit that was refused");
}

/// Once in the log, once while tables are settled: with a small log the tables fill the disk, with a large one
/// the log does.
#[test]
fn a_full_disk_refuses_commits_and_goes_on_when_there_is_room() {
    for log_bytes_max in [64 << 20, 500_000] {
        let Some(disk) = SmallDisk::mount(16) else { return };
        let (path, ballast) = (disk.path("store"), disk.path("ballast"));
        std::fs::write(&ballast, vec![7; 8 << 20]).unwrap();
        let store = open(&path, log_bytes_max);
        let first = fill(&store, 0);
        assert_holds(&store, first);
        // Still full, still there.
        assert!(matches!(commit(&store, vec![put("x", value(1))]), Err(CommitError::Unavailable(_))));
        std::fs::remove_file(&ballast).unwrap();
        let second = commit_when_there_is_room(&store, first);
        assert_holds(&store, second);
        let third = fill(&store, second);
        assert!(third > first + 50, "the room was used: {first}, then {third}");
        store.stop_uncleanly();
        // Recovery needs a little room of its own.
        let reopened = Embedded::open(&path, EmbeddedOptions { log_bytes_max, ..EmbeddedOptions::default() });
        match reopened {
            Ok(store) => assert_holds(&store, third),
            Err(error) => println!("not opened on a full disk: {error}"),
        }
    }
}

/// The flusher tries again after a pause, so the first commits may still find the store unavailable.
fn commit_when_there_is_room(store: &Embedded, number: u32) -> u32 {
    for _ in 0..200 {
        match commit(store, vec![put(format!("{number:06}"), value(number))]) {
            Ok(()) => return number + 1,
            Err(CommitError::Unavailable(_)) => std::thread::sleep(std::time::Duration::from_millis(100)),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("there is room, and the store does not use it")
}
