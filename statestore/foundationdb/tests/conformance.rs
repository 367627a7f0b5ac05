//! The conformance suite on FoundationDB, with and without the fast path.

#![allow(clippy::expect_used, reason = "a test")]

mod common;

use common::{fresh_prefix, open, shared_cluster};
use futures_util::future::BoxFuture;
use pelton_statestore::StoreHandle;
use pelton_statestore::conformance::Fixture;
use pelton_statestore::memory::Memory;
use std::marker::PhantomData;
use std::sync::Arc;

trait More: Send + Sync + 'static {
    /// Further options of the URL.
    const OPTIONS: &'static str;
}

struct Fast;

impl More for Fast {
    const OPTIONS: &'static str = "";
}

struct Slow;

impl More for Slow {
    const OPTIONS: &'static str = "&fast_fence=off";
}

/// A store under a prefix of its own. Where FoundationDB is not installed, one in memory stands in, and nothing is
/// proved; the cluster has said so.
struct FoundationDbFixture<M> {
    store: StoreHandle,
    url: Option<String>,
    more: PhantomData<M>,
}

impl<M: More> Fixture for FoundationDbFixture<M> {
    fn open() -> BoxFuture<'static, Self> {
        Box::pin(async {
            let Some(cluster) = shared_cluster() else {
                return Self { store: Arc::new(Memory::new()), url: None, more: PhantomData };
            };
            let url = cluster.url(&fresh_prefix(), M::OPTIONS);
            Self { store: Arc::new(open(&url).await), url: Some(url), more: PhantomData }
        })
    }

    fn store(&self) -> StoreHandle {
        self.store.clone()
    }

    /// Another handle, as another process would have it: nothing that this one knows is left.
    fn reopen(self) -> BoxFuture<'static, Option<Self>> {
        Box::pin(async move {
            let Self { store, url, more } = self;
            let Some(url) = url else { return Some(Self { store, url, more }) };
            drop(store);
            Some(Self { store: Arc::new(open(&url).await), url: Some(url), more })
        })
    }
}

type FastFixture = FoundationDbFixture<Fast>;
type SlowFixture = FoundationDbFixture<Slow>;

pelton_statestore::conformance_suite!(fast_fence, FastFixture);
pelton_statestore::conformance_suite!(without_fast_fence, SlowFixture);
