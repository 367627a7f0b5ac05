//! What the processes of a cluster do: each is what its binary runs in production, with clocks and tokens handed in.

use super::plan::Plan;
use super::process::Surroundings;
use crate::engine::clock::Clock;
use crate::engine::letter::MailFault;
use crate::engine::worker::{EngineOptions, IngestLimits, JoinedWorker, WorkerOptions};
use crate::pipeline::Pipeline;
use pelton_domain::Name;
use pelton_injector::Worker;
use pelton_injector::assign::heat::HeatLimits;
use pelton_injector::report::Load;
use pelton_injector::service::{InjectorService, Role, ServiceOptions, run};
use pelton_proto::injector::injector_client::InjectorClient;
use pelton_proto::injector::{DrainRequest, StatusRequest};
use pelton_statestore::StoreHandle;
use pelton_statestore::fence::Tokens;
use pelton_statestore::remote::Remote;
use pelton_transport::{ListenOptions, Security, Server, connect};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// How long a leader, and a worker, may be silent.
pub(crate) const LEADER_LEASE: Duration = Duration::from_millis(400);
pub(crate) const WORKER_LEASE: Duration = Duration::from_millis(600);

/// The port at which everything listens, each at its own address.
pub(crate) const PORT: u16 = 4_000;

/// The store in this process, or the one that is served at an address.
#[derive(Clone, Debug)]
pub(crate) enum StoreAt {
    Here(StoreHandle),
    Away(SocketAddr),
}

impl StoreAt {
    pub(crate) async fn open(&self) -> Result<StoreHandle, String> {
        match self {
            Self::Here(store) => Ok(store.clone()),
            Self::Away(address) => {
                let remote = Remote::open(&address.to_string(), &Security::none()).await;
                Ok(Arc::new(remote.map_err(|error| error.to_string())?))
            }
        }
    }
}

/// Serves the store.
pub(crate) async fn statestore(store: StoreHandle, address: SocketAddr) -> Result<(), String> {
    let server = Server::bind(&ListenOptions::new(address)).await.map_err(|error| error.to_string())?;
    let served = pelton_statestore::served::serve(server, store, CancellationToken::new()).await;
    served.map_err(|error| error.to_string())
}

/// An injector, which leads or stands by.
pub(crate) async fn injector(
    pipeline: Name,
    store: StoreHandle,
    address: SocketAddr,
    plan: Plan,
    (surroundings, tokens): (Surroundings, Tokens),
) -> Result<(), String> {
    let server = Server::bind(&ListenOptions::new(address)).await.map_err(|error| error.to_string())?;
    let (roles, watched) = watch::channel(Role::StandingBy { leader: None });
    let routes = Routes::new(InjectorService::new(watched).server());
    let (wall, monotonic) = (surroundings.clock.clone(), surroundings.clock);
    let clock = Arc::new(move || wall.now());
    let monotonic = Arc::new(move || monotonic.virtual_now());
    let mut options = ServiceOptions::new(pipeline, address.to_string(), clock, monotonic);
    options.tokens = tokens;
    options.lease = LEADER_LEASE;
    options.limits.lease = WORKER_LEASE;
    options.reshape_every = Duration::ZERO;
    if plan.has(super::FaultKind::Reshaping) {
        options.reshape_every = Duration::from_millis(150);
        let hot = Load { busy_permille: 20, memory_bytes: 2_000 };
        options.heat = HeatLimits::new(hot, 400, 1, 1, 12).map_err(|error| error.to_string())?;
    }
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.serve(routes, stop.clone()));
    let ended = run(store, options, roles, stop.clone()).await;
    serving.abort();
    ended.map_err(|error| error.to_string())
}

/// What a worker is.
pub(crate) struct WorkerRole {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) injectors: Vec<String>,
    pub(crate) plan: Plan,
    pub(crate) mail_fault: MailFault,
    pub(crate) tokens: Tokens,
}

/// A worker, until it is drained or cannot go on.
pub(crate) async fn worker(
    role: WorkerRole,
    pipeline: Pipeline,
    store: StoreHandle,
    surroundings: Surroundings,
) -> Result<(), String> {
    let WorkerRole { name, address, injectors, plan, mail_fault, tokens } = role;
    let engine = EngineOptions {
        interval: plan.interval,
        intervals: 2,
        clock: Arc::new(surroundings.clock),
        worker: Worker::from(name.as_str()),
        mail_fault: Some(mail_fault),
        tokens,
    };
    let options = WorkerOptions {
        engine,
        injectors,
        listen: ListenOptions::new(address),
        advertise: None,
        security: Security::none(),
        computations: None,
        ingest: IngestLimits::default(),
    };
    let worker = JoinedWorker::start(pipeline, store, options).await.map_err(|error| error.to_string())?;
    worker.ended().await.map_err(|error| error.to_string())
}

/// What the operator has been asked for, and has found out.
#[derive(Clone, Default)]
pub(crate) struct Orders(Arc<Mutex<Ordered>>);

#[derive(Default)]
struct Ordered {
    drain: Option<String>,
    done: bool,
    intervals: usize,
    reshaped: u64,
}

impl Orders {
    fn ordered(&self) -> std::sync::MutexGuard<'_, Ordered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn drain(&self, worker: String) {
        self.ordered().drain = Some(worker);
    }

    pub(crate) fn is_done(&self) -> bool {
        self.ordered().done
    }

    /// How often the number of intervals was seen to change.
    pub(crate) fn reshaped(&self) -> u64 {
        self.ordered().reshaped
    }
}

/// Asks the injectors, again and again, whether all is done, and passes orders on.
pub(crate) async fn operator(injectors: Vec<String>, orders: Orders) -> Result<(), String> {
    let mut clients = Vec::new();
    for address in &injectors {
        let channel = connect(address, &Security::none()).map_err(|error| error.to_string())?;
        clients.push(InjectorClient::new(channel));
    }
    loop {
        for client in &mut clients {
            let drain = orders.ordered().drain.take();
            if let Some(worker) = drain {
                let asked = client.drain(DrainRequest { worker: worker.clone() });
                let taken = tokio::time::timeout(Duration::from_millis(300), asked).await;
                if !matches!(taken, Ok(Err(_))) {
                    continue;
                }
                orders.drain(worker);
            }
            let asked = client.status(StatusRequest { intervals: true });
            let Ok(Ok(status)) = tokio::time::timeout(Duration::from_secs(1), asked).await else { continue };
            let status = status.into_inner();
            let mut ordered = orders.ordered();
            let intervals = status.computations.iter().map(|c| c.intervals as usize).sum();
            ordered.reshaped += u64::from(ordered.intervals != 0 && ordered.intervals != intervals);
            ordered.intervals = intervals;
            ordered.done = status.is_done();
            if ordered.done {
                return Ok(());
            }
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}
