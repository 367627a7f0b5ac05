//! A computation with one interval, its fences, and who reigns over them.

use super::Fixture;
use super::support::read_keys;
use super::wire::Wire;
use crate::fence::{FencedError, Reign, TakeOverError, Tokens, create_fences, take_over};
use crate::keys::{ComputationKeys, PipelineKeys};
use crate::store::{CommitError, Limits, Page, ReadError, Scan, StateStore, StoreHandle, Write};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use pelton_domain::{AttemptToken, Incarnation, Key, KeyInterval, Name, Sequencer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One computation of one interval.
pub(super) struct World<F> {
    fixture: F,
    pub(super) keys: ComputationKeys,
    pub(super) tokens: Tokens,
}

impl<F: Fixture> World<F> {
    pub(super) async fn open() -> Self {
        let fixture = F::open().await;
        let name = Name::new("conformance").unwrap_or_else(|error| panic!("{error}"));
        let numbers = AtomicU64::new(1);
        let tokens: Tokens = Arc::new(move || AttemptToken(numbers.fetch_add(1, Ordering::Relaxed).into()));
        let world = Self { fixture, keys: PipelineKeys::new(&name).computation(1), tokens };
        create_fences(&world.store(), &world.keys, &[KeyInterval::FULL], vec![], &world.tokens)
            .await
            .unwrap_or_else(|error| panic!("no fences: {error}"));
        world
    }

    pub(super) fn store(&self) -> StoreHandle {
        self.fixture.store()
    }

    /// A way of one's own to the store.
    pub(super) fn wire(&self) -> Arc<Wire> {
        Wire::to(self.store())
    }

    pub(super) async fn try_take(
        &self,
        store: StoreHandle,
        interval: KeyInterval,
        sequencer: u64,
    ) -> Result<Reign, TakeOverError> {
        take_over(&store, &self.keys, interval, number(sequencer), vec![], &self.tokens).await
    }

    pub(super) async fn take(&self, store: StoreHandle, interval: KeyInterval, sequencer: u64) -> Reign {
        self.try_take(store, interval, sequencer)
            .await
            .unwrap_or_else(|error| panic!("no take-over: {error}"))
    }

    /// What a state cell of the key `name` holds.
    pub(super) async fn state(&self, name: &str) -> Option<Bytes> {
        read_keys(self.store().as_ref(), vec![self.key(name)]).await.pop().flatten()
    }

    pub(super) fn key(&self, name: &str) -> Bytes {
        self.keys.state(&Key::from(name), b"", b"cell", b"")
    }

    pub(super) fn put(&self, name: &str, value: &str) -> Vec<Write> {
        vec![Write::Put { key: self.key(name), value: Bytes::copy_from_slice(value.as_bytes()) }]
    }
}

pub(super) fn number(sequencer: u64) -> Sequencer {
    Sequencer::new(sequencer).unwrap_or_else(|| panic!("0 is no sequencer"))
}

pub(super) async fn commit(reign: &mut Reign, writes: Vec<Write>) -> Result<(), FencedError> {
    let update = reign.fence().unchanged();
    reign.commit(writes, &update).await
}

pub(super) fn assert_refused(landed: Option<Result<(), CommitError>>) {
    assert!(matches!(landed, Some(Err(CommitError::Refused { .. }))), "landed: {landed:?}");
}

/// The same data under another incarnation.
#[derive(Debug)]
pub(super) struct Cloned(pub(super) StoreHandle);

impl StateStore for Cloned {
    fn read(&self, keys: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, ReadError>> {
        self.0.read(keys)
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, ReadError>> {
        self.0.scan(scan)
    }

    fn commit(&self, commit: crate::store::Commit) -> BoxFuture<'_, Result<(), CommitError>> {
        self.0.commit(commit)
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }

    fn incarnation(&self) -> Incarnation {
        Incarnation(uuid::Uuid::from_u128(!self.0.incarnation().0.as_u128()))
    }
}
