//! The conformance suite, over the wire.

use crate::server::{Process, Served, any, connect};
use futures_util::future::BoxFuture;
use pelton_statestore::StoreHandle;
use pelton_statestore::conformance::Fixture;
use pelton_statestore::memory::{FaultPlan, Memory};
use std::sync::Arc;
use tempfile::TempDir;

/// A service of a store in memory. An unclean stop leaves it as it is, and the client is another.
struct RemoteMemory {
    served: Served,
    store: StoreHandle,
}

impl RemoteMemory {
    async fn of(memory: Memory) -> Self {
        let served = Served::start(Arc::new(memory)).await;
        let store = Arc::new(connect(served.address).await);
        Self { served, store }
    }
}

impl Fixture for RemoteMemory {
    fn open() -> BoxFuture<'static, Self> {
        Box::pin(Self::of(Memory::new()))
    }

    fn store(&self) -> StoreHandle {
        self.store.clone()
    }

    fn reopen(self) -> BoxFuture<'static, Option<Self>> {
        Box::pin(async {
            let store: StoreHandle = Arc::new(connect(self.served.address).await);
            Some(Self { store, ..self })
        })
    }
}

/// The same with every fault that the suite's callers survive: conflicts, absences and short pages.
struct RemoteFaultyMemory(RemoteMemory);

impl Fixture for RemoteFaultyMemory {
    fn open() -> BoxFuture<'static, Self> {
        let plan = FaultPlan { conflict: 0.2, unavailable: 0.1, short_page: 0.5, ..FaultPlan::none() };
        Box::pin(async move { Self(RemoteMemory::of(Memory::with_faults(7, plan)).await) })
    }

    fn store(&self) -> StoreHandle {
        self.0.store()
    }

    fn reopen(self) -> BoxFuture<'static, Option<Self>> {
        Box::pin(async { Some(Self(self.0.reopen().await?)) })
    }
}

/// The program on a directory, killed and started again.
struct RemoteEmbedded {
    process: Process,
    store: StoreHandle,
    directory: TempDir,
}

impl RemoteEmbedded {
    async fn in_directory(directory: TempDir) -> Self {
        let url = format!("embedded:{}", directory.path().join("store").display());
        let process = Process::start(&url, any());
        let store = Arc::new(connect(process.address).await);
        Self { process, store, directory }
    }
}

impl Fixture for RemoteEmbedded {
    fn open() -> BoxFuture<'static, Self> {
        Box::pin(async { Self::in_directory(tempfile::tempdir().unwrap()).await })
    }

    fn store(&self) -> StoreHandle {
        self.store.clone()
    }

    fn reopen(self) -> BoxFuture<'static, Option<Self>> {
        Box::pin(async move {
            self.process.kill();
            Some(Self::in_directory(self.directory).await)
        })
    }
}

pelton_statestore::conformance_suite!(memory, RemoteMemory);
pelton_statestore::conformance_suite!(faulty_memory, RemoteFaultyMemory);
pelton_statestore::conformance_suite!(embedded, RemoteEmbedded);
