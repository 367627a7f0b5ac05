//! The conformance suite on the backends of this crate.

#![allow(clippy::expect_used, reason = "a test")]

use futures_util::future::BoxFuture;
use pelton_statestore::StoreHandle;
use pelton_statestore::conformance::Fixture;
use pelton_statestore::embedded::{Durability, Embedded, EmbeddedOptions};
use pelton_statestore::memory::{FaultPlan, Memory};
use std::sync::Arc;
use tempfile::TempDir;

/// The store in memory: an unclean stop of a process leaves it as it is.
struct MemoryFixture(Memory);

impl Fixture for MemoryFixture {
    fn open() -> BoxFuture<'static, Self> {
        Box::pin(async { Self(Memory::new()) })
    }

    fn store(&self) -> StoreHandle {
        Arc::new(self.0.clone())
    }

    fn reopen(self) -> BoxFuture<'static, Option<Self>> {
        Box::pin(async { Some(self) })
    }
}

/// The same with every fault that the suite's callers survive: conflicts, absences and short pages.
struct FaultyMemoryFixture(Memory);

impl Fixture for FaultyMemoryFixture {
    fn open() -> BoxFuture<'static, Self> {
        let plan = FaultPlan { conflict: 0.2, unavailable: 0.1, short_page: 0.5, ..FaultPlan::none() };
        Box::pin(async move { Self(Memory::with_faults(7, plan)) })
    }

    fn store(&self) -> StoreHandle {
        Arc::new(self.0.clone())
    }

    fn reopen(self) -> BoxFuture<'static, Option<Self>> {
        Box::pin(async { Some(self) })
    }
}

/// An embedded store in a directory of its own.
struct EmbeddedFixture<O> {
    store: Arc<Embedded>,
    directory: TempDir,
    options: std::marker::PhantomData<O>,
}

trait Options: Send + Sync + 'static {
    fn get() -> EmbeddedOptions;
}

/// As in production.
struct Production;

impl Options for Production {
    fn get() -> EmbeddedOptions {
        EmbeddedOptions::default()
    }
}

/// With a log so small that tables are frozen, settled and merged all the time.
struct SmallLog;

impl Options for SmallLog {
    fn get() -> EmbeddedOptions {
        EmbeddedOptions { log_bytes_max: 2000, group_bytes_max: 1000, ..EmbeddedOptions::default() }
    }
}

/// Without syncing each group.
struct Buffered;

impl Options for Buffered {
    fn get() -> EmbeddedOptions {
        EmbeddedOptions {
            durability: Durability::Buffered,
            log_bytes_max: 2000,
            ..EmbeddedOptions::default()
        }
    }
}

impl<O: Options> EmbeddedFixture<O> {
    fn in_directory(directory: TempDir) -> Self {
        let store = Embedded::open(&directory.path().join("store"), O::get()).expect("the store opens");
        Self { store: Arc::new(store), directory, options: std::marker::PhantomData }
    }
}

impl<O: Options> Fixture for EmbeddedFixture<O> {
    fn open() -> BoxFuture<'static, Self> {
        Box::pin(async { Self::in_directory(tempfile::tempdir().expect("a directory")) })
    }

    fn store(&self) -> StoreHandle {
        self.store.clone()
    }

    fn reopen(self) -> BoxFuture<'static, Option<Self>> {
        Box::pin(async move {
            let Self { store, directory, .. } = self;
            Arc::into_inner(store).expect("every handle was dropped").stop_uncleanly();
            Some(Self::in_directory(directory))
        })
    }
}

type EmbeddedProduction = EmbeddedFixture<Production>;
type EmbeddedSmallLog = EmbeddedFixture<SmallLog>;
type EmbeddedBuffered = EmbeddedFixture<Buffered>;

pelton_statestore::conformance_suite!(memory, MemoryFixture);
pelton_statestore::conformance_suite!(faulty_memory, FaultyMemoryFixture);
pelton_statestore::conformance_suite!(embedded, EmbeddedProduction);
pelton_statestore::conformance_suite!(embedded_small_log, EmbeddedSmallLog);
pelton_statestore::conformance_suite!(embedded_buffered, EmbeddedBuffered);
