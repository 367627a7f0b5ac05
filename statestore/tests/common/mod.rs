//! What the tests of the embedded store share.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test; not every test uses all of it"
)]

use bytes::Bytes;
use pelton_statestore::embedded::{Embedded, EmbeddedOptions};
use pelton_statestore::{Commit, CommitError, KeyRange, OpenError, Scan, StateStore, Write};
use std::path::{Path, PathBuf};

pub(crate) fn open(path: &Path) -> Embedded {
    try_open(path).expect("the store opens")
}

pub(crate) fn try_open(path: &Path) -> Result<Embedded, OpenError> {
    Embedded::open(path, EmbeddedOptions::default())
}

/// Why it does not open.
pub(crate) fn open_error(path: &Path) -> OpenError {
    try_open(path).expect_err("the store opened")
}

pub(crate) fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Write {
    Write::Put { key: key.into(), value: value.into() }
}

/// Commits on a runtime of its own.
pub(crate) fn commit(store: &Embedded, writes: Vec<Write>) -> Result<(), CommitError> {
    block_on(store.commit(Commit { preconditions: vec![], writes }))
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(crate) fn get(store: &Embedded, key: impl Into<Bytes>) -> Option<Bytes> {
    block_on(store.read(vec![key.into()])).expect("the store reads").pop().flatten()
}

/// Everything but the description of the store.
pub(crate) fn dump(store: &Embedded) -> Vec<(Bytes, Bytes)> {
    let range = KeyRange { start: Bytes::from_static(&[2]), end: Bytes::from_static(&[0xff; 40]) };
    let page = block_on(store.scan(Scan { range, entries_max: usize::MAX, bytes_max: usize::MAX }));
    page.expect("the store scans").entries
}

/// The segments of a store's log, oldest first.
pub(crate) fn segments(store: &Path) -> Vec<PathBuf> {
    let names = std::fs::read_dir(store.join("log")).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<PathBuf> =
        names.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    segments.sort();
    segments
}

pub(crate) fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
