//! Injectors served on loopback over a store in memory, and scripted workers that speak with them.

#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test that called it")]
#![allow(clippy::disallowed_methods, reason = "the clocks are the test's")]

mod store;
mod worker;

pub(crate) use store::{catalogue, fences, prepare};
pub(crate) use worker::{FakeWorker, GOOD, Id, Manners, hello, id, interval_id, process, report};

use pelton_domain::{Name, ProcessingTime};
use pelton_injector::service::{InjectorService, Role, ServiceError, ServiceOptions, run};
use pelton_proto::injector::injector_client::InjectorClient;
use pelton_statestore::StoreHandle;
use pelton_statestore::memory::Memory;
use pelton_transport::{Limits, ListenOptions, Security, Server, connect};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Channel;

/// How long a condition is waited for: generous, since it decides nothing where all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) type Client = InjectorClient<Channel>;

/// One injector process.
pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    pub(crate) roles: watch::Receiver<Role>,
    stop: CancellationToken,
    service: JoinHandle<Result<(), ServiceError>>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
}

pub(crate) fn name() -> Name {
    Name::new("flights").unwrap()
}

/// Options with short leases, which a loaded machine can keep all the same.
pub(crate) fn options(address: &str) -> ServiceOptions {
    let clock = Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
        ProcessingTime::from_micros(i64::try_from(since.as_micros()).unwrap())
    });
    let started = Instant::now();
    let monotonic = Arc::new(move || started.elapsed());
    let mut options = ServiceOptions::new(name(), address.to_owned(), clock, monotonic);
    options.reshape_every = Duration::ZERO;
    options
}

impl Process {
    pub(crate) async fn start(store: &Memory) -> Self {
        Self::start_with(store, |_| {}).await
    }

    pub(crate) async fn start_with(store: &Memory, change: impl FnOnce(&mut ServiceOptions)) -> Self {
        Self::start_within(store, Limits::default(), change).await
    }

    pub(crate) async fn start_within(
        store: &Memory,
        limits: Limits,
        change: impl FnOnce(&mut ServiceOptions),
    ) -> Self {
        let listen = ListenOptions { limits, ..ListenOptions::new("127.0.0.1:0".parse().unwrap()) };
        let server = Server::bind(&listen).await.unwrap();
        let address = server.address();
        let (sender, roles) = watch::channel(Role::StandingBy { leader: None });
        let stop = CancellationToken::new();
        let routes = Routes::new(InjectorService::new(roles.clone()).server());
        let handle: StoreHandle = Arc::new(store.clone());
        let mut options = options(&address.to_string());
        change(&mut options);
        let service = tokio::spawn(run(handle, options, sender, stop.clone()));
        let server = tokio::spawn(server.serve(routes, stop.clone()));
        Self { address, roles, stop, service, server }
    }

    pub(crate) async fn leads(&self) -> u64 {
        let mut roles = self.roles.clone();
        let leading = roles.wait_for(|role| matches!(role, Role::Leading { .. }));
        let role = tokio::time::timeout(PATIENCE, leading).await.expect("it takes the lead").unwrap();
        match &*role {
            Role::Leading { epoch, .. } => *epoch,
            Role::StandingBy { .. } => unreachable!(),
        }
    }

    pub(crate) async fn stands_by(&self) {
        let mut roles = self.roles.clone();
        let standing = roles.wait_for(|role| matches!(role, Role::StandingBy { .. }));
        tokio::time::timeout(PATIENCE, standing).await.expect("it stands by").unwrap();
    }

    pub(crate) fn client(&self) -> Client {
        InjectorClient::new(connect(&self.address.to_string(), &Security::none()).unwrap())
    }

    /// As a crash: nothing more is done, and every connection is lost.
    pub(crate) fn kill(self) {
        self.service.abort();
        self.server.abort();
    }

    pub(crate) async fn stop(self) -> Result<(), ServiceError> {
        self.stop.cancel();
        self.service.await.unwrap()
    }

    /// Stops it, and waits until every connection has ended.
    pub(crate) async fn stop_all(self) {
        self.stop.cancel();
        self.service.await.unwrap().unwrap();
        tokio::time::timeout(PATIENCE, self.server).await.expect("its calls end").unwrap().unwrap();
    }
}

/// Waits until `condition` says so.
pub(crate) async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"))
}
