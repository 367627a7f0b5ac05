//! A store whose commits of one interval can be held: what lies between "the call has run" and "it is durable".

use bytes::Bytes;
use futures_util::future::BoxFuture;
use pelton_domain::Incarnation;
use pelton_statestore::{Commit, CommitError, Limits, Page, ReadError, Scan, StateStore, StoreHandle};
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// Whether commits are held, and whether one has come.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// The commits that require this key's value are those that can be held.
    fence: OnceLock<Bytes>,
    holding: watch::Sender<bool>,
    caught: watch::Sender<bool>,
}

impl Hold {
    /// Says which commits are meant.
    pub(super) fn watch(&self, fence: Bytes) {
        // There is one interval, and so one fence.
        let _ = self.fence.set(fence);
    }

    /// From here on commits are held.
    pub(super) fn begin(&self) {
        self.holding.send_replace(true);
    }

    /// Lets a held commit go on, if there still is one, and every later one.
    pub(super) fn end(&self) {
        self.holding.send_replace(false);
        self.caught.send_replace(false);
    }

    /// Waits until a commit is being held.
    pub(super) async fn caught(&self) {
        if self.caught.subscribe().wait_for(|caught| *caught).await.is_err() {
            // The sender is in `self`.
            std::future::pending::<()>().await;
        }
    }

    async fn pass(&self, commit: &Commit) {
        let is_meant = |fence: &Bytes| commit.preconditions.iter().any(|required| required.at() == fence);
        if *self.holding.borrow() && self.fence.get().is_some_and(is_meant) {
            self.caught.send_replace(true);
            // As above: it ends when `end` is called, or when the commit is cancelled.
            let _ = self.holding.subscribe().wait_for(|holding| !holding).await;
        }
    }
}

/// A store behind a [`Hold`].
#[derive(Debug)]
pub(super) struct HeldStore {
    pub(super) store: StoreHandle,
    pub(super) hold: Arc<Hold>,
}

impl StateStore for HeldStore {
    fn read(&self, keys: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, ReadError>> {
        self.store.read(keys)
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, ReadError>> {
        self.store.scan(scan)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            self.hold.pass(&commit).await;
            self.store.commit(commit).await
        })
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }

    fn incarnation(&self) -> Incarnation {
        self.store.incarnation()
    }
}
