//! The store as one process reaches it: where the process may crash in the middle of a commit.

use super::process::Fuse;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use pelton_domain::Incarnation;
use pelton_statestore::store::Limits;
use pelton_statestore::{Commit, CommitError, Page, ReadError, Scan, StateStore, StoreHandle};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// When a process is to crash: at its so many-th commit from now; 0: not.
#[derive(Clone, Debug, Default)]
pub(crate) struct CrashPoint {
    before: Arc<AtomicU32>,
    after: Arc<AtomicU32>,
}

impl CrashPoint {
    /// Crashes it right before it sends a commit.
    pub(crate) fn before(&self, commits: u32) {
        self.before.store(commits, Ordering::SeqCst);
    }

    /// Crashes it after a commit has happened and before the answer is there.
    pub(crate) fn after(&self, commits: u32) {
        self.after.store(commits, Ordering::SeqCst);
    }

    pub(crate) fn disarm(&self) {
        self.before.store(0, Ordering::SeqCst);
        self.after.store(0, Ordering::SeqCst);
    }

    fn is_now(counter: &AtomicU32) -> bool {
        let left = counter.load(Ordering::SeqCst);
        counter.store(left.saturating_sub(1), Ordering::SeqCst);
        left == 1
    }
}

/// A handle on the store in one process.
#[derive(Debug)]
pub(crate) struct ProcessStore {
    pub(crate) store: StoreHandle,
    pub(crate) point: CrashPoint,
    pub(crate) fuse: Fuse,
}

impl StateStore for ProcessStore {
    fn read(&self, keys: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, ReadError>> {
        self.store.read(keys)
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, ReadError>> {
        self.store.scan(scan)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            if CrashPoint::is_now(&self.point.before) {
                self.fuse.blow().await;
            }
            let outcome = self.store.commit(commit).await;
            if CrashPoint::is_now(&self.point.after) {
                self.fuse.blow().await;
            }
            outcome
        })
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }

    fn incarnation(&self) -> Incarnation {
        self.store.incarnation()
    }
}
