//! What the tests on FoundationDB share: clusters, stores in them, and a counter under a fence.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test; not every test uses all of it"
)]

pub(crate) mod counter;

use bytes::Bytes;
use pelton_statestore::{Commit, CommitError, KeyRange, Precondition, Scan, StateStore, Write};
use pelton_statestore_foundationdb::{FoundationDb, FoundationDbOptions};
use pelton_tests::fdb::{Cluster, Shape};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The cluster that the quiet tests of this binary share: one process. `None` where FoundationDB is not installed.
pub(crate) fn shared_cluster() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    let start = || {
        // It is never dropped, so its directory stays until the next run; its server ends with this process.
        let name = std::env::current_exe().unwrap().file_stem().unwrap().to_owned();
        Cluster::start_in(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), Shape::One).unwrap()
    };
    SHARED.get_or_init(start).as_ref()
}

/// A cluster of the test's own.
pub(crate) fn own_cluster(shape: Shape) -> Option<Cluster> {
    Cluster::start(shape).unwrap()
}

/// A prefix that no other test has.
pub(crate) fn fresh_prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) async fn open(url: &str) -> FoundationDb {
    FoundationDb::open(FoundationDbOptions::parse(url).unwrap()).await.unwrap()
}

/// Why a store does not open.
pub(crate) async fn open_error(url: &str) -> String {
    FoundationDb::open(FoundationDbOptions::parse(url).unwrap()).await.expect_err("it opened").to_string()
}

pub(crate) fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Write {
    Write::Put { key: key.into(), value: value.into() }
}

pub(crate) fn is(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Precondition {
    Precondition::Value { key: key.into(), expected: Some(value.into()) }
}

pub(crate) async fn write(store: &dyn StateStore, writes: Vec<Write>) {
    store.commit(Commit { preconditions: vec![], writes }).await.unwrap();
}

pub(crate) async fn commit(
    store: &dyn StateStore,
    preconditions: Vec<Precondition>,
    writes: Vec<Write>,
) -> Result<(), CommitError> {
    store.commit(Commit { preconditions, writes }).await
}

pub(crate) async fn get(store: &dyn StateStore, key: impl Into<Bytes>) -> Option<Bytes> {
    store.read(vec![key.into()]).await.unwrap().pop().flatten()
}

/// Everything that begins with the layout version.
pub(crate) fn everything() -> KeyRange {
    KeyRange { start: Bytes::from_static(&[1]), end: Bytes::from_static(&[2]) }
}

/// Every entry of a store.
pub(crate) async fn dump(store: &dyn StateStore) -> Vec<(Bytes, Bytes)> {
    let mut range = everything();
    let mut entries = Vec::new();
    loop {
        let page = store.scan(Scan::page_of(range.clone())).await.unwrap();
        entries.extend(page.entries);
        match page.next {
            Some(next) => range.start = next,
            None => return entries,
        }
    }
}
