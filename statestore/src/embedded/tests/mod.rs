//! Tests that need to get between the store and its disk.

mod faults;
mod groups;
mod lossy_disk;
mod power;
mod swapping;

use super::{Embedded, EmbeddedOptions};
use crate::store::{Commit, CommitError, KeyRange, Precondition, Scan, StateStore, Write};
use bytes::Bytes;
use futures_util::FutureExt;
use lossy_disk::LossyDisk;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

fn open(directory: &Path, options: EmbeddedOptions, disk: &LossyDisk) -> Embedded {
    Embedded::open_on(directory, options, Arc::new(disk.clone())).expect("the store opens")
}

/// A store in a directory of its own, on a disk that obeys the test.
fn new_store(options: EmbeddedOptions) -> (Embedded, LossyDisk, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = LossyDisk::new(directory.path());
    (open(directory.path(), options, &disk), disk, directory)
}

fn put(key: &str, value: &str) -> Write {
    Write::Put {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
    }
}

fn is(key: &str, value: Option<&str>) -> Precondition {
    let expected = value.map(|value| Bytes::copy_from_slice(value.as_bytes()));
    Precondition::Value { key: Bytes::copy_from_slice(key.as_bytes()), expected }
}

fn commit_of(preconditions: Vec<Precondition>, writes: Vec<Write>) -> Commit {
    Commit { preconditions, writes }
}

async fn write(store: &Embedded, writes: Vec<Write>) -> Result<(), CommitError> {
    store.commit(commit_of(vec![], writes)).await
}

async fn read(store: &Embedded, key: &str) -> Option<Bytes> {
    let found = store.read(vec![Bytes::copy_from_slice(key.as_bytes())]).await;
    found.expect("the store reads").pop().flatten()
}

/// Everything but the description of the store.
fn dump(store: &Embedded) -> Vec<(Bytes, Bytes)> {
    let range = KeyRange { start: Bytes::from_static(&[2]), end: Bytes::from_static(&[0xff; 40]) };
    let scan = Scan { range, entries_max: usize::MAX, bytes_max: usize::MAX };
    let page = store.scan(scan).now_or_never().expect("a scan does not wait").expect("the store scans");
    assert_eq!(page.next, None);
    page.entries
}

/// Dice with a seed that is printed, and that can be given.
fn dice(case: &str) -> StdRng {
    let given = std::env::var("PELTON_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("{case}: PELTON_SEED={seed}");
    StdRng::seed_from_u64(seed)
}
