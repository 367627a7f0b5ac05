//! What the cases share. A call that fails for a passing reason is made again; anything else ends the case.

use crate::store::{
    Commit, CommitError, KeyRange, Page, Precondition, ReadError, Scan, StateStore, StoreHandle, Write,
};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

/// How often a passing failure is met before a case gives up.
const ATTEMPTS_MAX: u32 = 1000;

/// A key of the suite.
pub(super) fn key(name: impl AsRef<[u8]>) -> Bytes {
    [b"\x01test/", name.as_ref()].concat().into()
}

/// Every key of the suite.
pub(super) fn all() -> KeyRange {
    KeyRange::of_prefix(&key(b""))
}

pub(super) fn range(start: &str, end: &str) -> KeyRange {
    KeyRange { start: key(start), end: key(end) }
}

pub(super) fn put(name: impl AsRef<[u8]>, value: impl Into<Bytes>) -> Write {
    Write::Put { key: key(name), value: value.into() }
}

pub(super) fn delete(name: impl AsRef<[u8]>) -> Write {
    Write::Delete { key: key(name) }
}

pub(super) fn is(name: impl AsRef<[u8]>, value: impl Into<Bytes>) -> Precondition {
    Precondition::Value { key: key(name), expected: Some(value.into()) }
}

pub(super) fn is_absent(name: impl AsRef<[u8]>) -> Precondition {
    Precondition::Value { key: key(name), expected: None }
}

/// Commits writes without preconditions.
pub(super) async fn write(store: &StoreHandle, writes: Vec<Write>) {
    commit(store, vec![], writes).await.unwrap_or_else(|error| panic!("a plain commit failed: {error}"));
}

/// Commits, and makes the commit again where it met another or the store was away.
pub(super) async fn commit(
    store: &StoreHandle,
    preconditions: Vec<Precondition>,
    writes: Vec<Write>,
) -> Result<(), CommitError> {
    let commit = Commit { preconditions, writes };
    for attempt in 0..ATTEMPTS_MAX {
        match store.commit(commit.clone()).await {
            Err(CommitError::Conflict | CommitError::Unavailable(_)) => back_off(attempt).await,
            Err(CommitError::Unknown(fault)) => panic!("an answer was lost where nothing loses any: {fault}"),
            result => return result,
        }
    }
    panic!("the store stayed away")
}

/// Asserts that a commit is refused.
pub(super) async fn refuse(store: &StoreHandle, preconditions: Vec<Precondition>, writes: Vec<Write>) {
    let result = commit(store, preconditions, writes).await;
    assert!(matches!(result, Err(CommitError::Refused { .. })), "not refused: {result:?}");
}

pub(super) async fn read(store: &StoreHandle, names: &[&str]) -> Vec<Option<Bytes>> {
    read_keys(store.as_ref(), names.iter().map(key).collect()).await
}

pub(super) async fn read_keys(store: &dyn StateStore, keys: Vec<Bytes>) -> Vec<Option<Bytes>> {
    for attempt in 0..ATTEMPTS_MAX {
        match store.read(keys.clone()).await {
            Ok(values) => return values,
            Err(ReadError::Unavailable(_)) => back_off(attempt).await,
            Err(error @ ReadError::Fatal(_)) => panic!("a read failed: {error}"),
        }
    }
    panic!("the store stayed away")
}

pub(super) async fn page(store: &StoreHandle, scan: Scan) -> Page {
    for attempt in 0..ATTEMPTS_MAX {
        match store.scan(scan.clone()).await {
            Ok(page) => {
                check_page(&scan, &page);
                return page;
            }
            Err(ReadError::Unavailable(_)) => back_off(attempt).await,
            Err(error @ ReadError::Fatal(_)) => panic!("a scan failed: {error}"),
        }
    }
    panic!("the store stayed away")
}

/// What every page promises, whatever is in the store.
fn check_page(scan: &Scan, page: &Page) {
    assert!(page.entries.len() <= scan.entries_max.max(1), "a page of {} entries", page.entries.len());
    assert!(page.entries.windows(2).all(|pair| matches!(pair, [a, b] if a.0 < b.0)), "a page out of order");
    assert!(page.entries.iter().all(|(key, _)| scan.range.contains(key)), "a page beyond its range");
    if let Some(next) = &page.next {
        assert!(*next > scan.range.start, "a page that makes no progress");
        assert!(page.entries.last().is_none_or(|(last, _)| last < next), "a page that comes again");
    }
}

/// Everything in a range, in pages of at most `entries_max`.
pub(super) async fn scan(store: &StoreHandle, range: KeyRange, entries_max: usize) -> Vec<(Bytes, Bytes)> {
    let mut entries = Vec::new();
    let mut rest = range;
    loop {
        let found = page(store, Scan { range: rest.clone(), entries_max, bytes_max: usize::MAX }).await;
        entries.extend(found.entries);
        match found.next {
            Some(next) => rest.start = next,
            None => return entries,
        }
    }
}

/// The names of the keys in a range.
pub(super) async fn names(store: &StoreHandle, range: KeyRange) -> Vec<String> {
    let prefix = key(b"");
    let name = |(key, _): (Bytes, Bytes)| {
        String::from_utf8_lossy(key.strip_prefix(prefix.as_ref()).unwrap_or_default()).into_owned()
    };
    scan(store, range, 1000).await.into_iter().map(name).collect()
}

/// Waits a moment, longer each time: a real store needs it, one that never fails never gets here.
async fn back_off(attempt: u32) {
    tokio::time::sleep(Duration::from_millis(u64::from(attempt.min(50)))).await;
}

/// Dice with a seed that is printed, and that can be given.
pub(super) fn dice(case: &str) -> StdRng {
    let given = std::env::var("PELTON_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("{case}: PELTON_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// One of `choices`.
pub(super) fn pick<'a, T>(choices: &'a [T], dice: &mut StdRng) -> &'a T {
    let at = dice.random_range(0..choices.len().max(1));
    choices.get(at).unwrap_or_else(|| panic!("nothing to choose from"))
}
