//! A worker of a pipeline that an injector elsewhere leads.
//!
//! It binds the pipeline's catalogue, makes the fences where there are none, and joins. From then on it does what it
//! is told: takes intervals over, gives them up, splits and merges them. What it runs it runs as any worker does;
//! only who owns what is decided elsewhere, and mail goes to other processes too.
//!
//! I1: an assignment that comes late, twice or from a deposed injector harms nobody, as the take-over requires the
//! journal's entry and a sequencer larger than the fence's.

use super::ingest::IngestLimits;
use super::serving::for_outside;
use super::subscribe::{NewsService, SubscribeService};
use super::{EngineOptions, PipelineFailed, Running, Shared, StartError, open};
use crate::engine::authority::Authority;
use crate::engine::channel::Party;
use crate::engine::peers::wire::AwayRoute;
use crate::engine::peers::{DeliveryService, Identity, Peers};
use crate::engine::session::{Event, JoinOptions, Link, Session};
use crate::pipeline::{Bound, Pipeline};
use bytes::Bytes;
use pelton_domain::KeyInterval;
use pelton_injector::Assigned;
use pelton_proto::injector;
use pelton_statestore::StoreHandle;
use pelton_transport::{ListenError, ListenOptions, Security, Server};
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How a worker joins a pipeline.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// The engine, and the worker's name.
    pub engine: EngineOptions,
    /// The addresses of all injectors of the pipeline, HOST:PORT.
    pub injectors: Vec<String>,
    /// Where other workers reach this one.
    pub listen: ListenOptions,
    /// What others are told to connect to, HOST:PORT; `None`: where it listens.
    pub advertise: Option<String>,
    /// How it connects to injectors and other workers.
    pub security: Security,
    /// The computations that it runs, by name; `None`: all.
    pub computations: Option<Vec<String>>,
    /// How much it takes from one client outside.
    pub ingest: IngestLimits,
}

/// Why a worker could not start.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The pipeline could not be opened on the store.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// It is to run a computation that the pipeline does not have.
    #[error("the pipeline has no computation {name:?}; it has {known}")]
    NoSuchComputation {
        /// Which name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// It is named no injector.
    #[error("a worker needs the address of at least one injector: name it with --injectors HOST:PORT")]
    NoInjector,
    /// A fence could not be made or read.
    #[error(transparent)]
    TakeOver(#[from] pelton_statestore::TakeOverError),
}

/// A worker that has joined, or is trying to.
pub struct JoinedWorker {
    shared: Arc<Shared>,
    session: Session,
    address: SocketAddr,
    drained: watch::Receiver<bool>,
    stop: CancellationToken,
}

impl std::fmt::Debug for JoinedWorker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JoinedWorker({} at {})", self.shared.options.worker, self.address)
    }
}

impl JoinedWorker {
    /// Opens `pipeline` on `store`, listens, and joins as soon as an injector can be reached.
    ///
    /// # Errors
    /// [`JoinError`], which says what to do.
    pub async fn start(
        pipeline: Pipeline,
        store: StoreHandle,
        options: WorkerOptions,
    ) -> Result<Self, JoinError> {
        if options.injectors.is_empty() {
            return Err(JoinError::NoInjector);
        }
        let Pipeline { name, steps, changes, .. } = pipeline;
        let bound = open::bind(&store, &name, &steps, &changes, open::Beside::Others).await?;
        let computations = hosted(&bound, options.computations.as_deref())?;
        let server = Server::bind(&options.listen).await?;
        let address = server.address();
        let process_number = (options.engine.tokens)().0;
        let process = Bytes::copy_from_slice(&process_number.to_be_bytes());
        let identity = Identity {
            pipeline: name.clone(),
            worker: options.engine.worker.clone(),
            process: process.clone(),
        };
        let hello = injector::Hello {
            protocol: pelton_proto::PROTOCOL,
            pipeline: name.to_string(),
            worker: options.engine.worker.to_string(),
            process,
            address: options.advertise.unwrap_or_else(|| address.to_string()),
            incarnation: Bytes::copy_from_slice(store.incarnation().0.as_bytes()),
            graph_version: bound.catalogue.graph_version,
            computations,
            running: Vec::new(),
            clock_us: None,
        };
        let graph = open::injector_graph(&bound)?;
        let (session, control) = Session::new(Arc::new(graph));
        let authority = Authority::Joined(session.clone());
        let shared = Arc::new(Shared::new(name, store, options.engine, authority, bound, steps));
        for hosted in shared.computations.values() {
            shared.fences(hosted).await?;
        }
        let join = JoinOptions {
            injectors: options.injectors,
            security: options.security.clone(),
            clock: shared.options.clock.clone(),
            hello,
        };
        let (events, received) = mpsc::unbounded_channel();
        let (drain, drained) = watch::channel(false);
        let stop = CancellationToken::new();
        // A worker that is drained hears nothing new: what it would say of streams grows old.
        let drained_or_stopped = stop.child_token();
        let routes = for_outside(&shared, process_number, options.ingest, &stop)
            .add_service(DeliveryService::server(identity.clone(), shared.router.clone()))
            .add_service(SubscribeService::server(
                shared.clone(),
                (identity.clone(), options.security.clone()),
                drained_or_stopped.clone(),
            ))
            .add_service(NewsService::server(shared.clone(), identity.clone(), stop.clone()));
        let peers = Peers::new(identity, options.security, shared.router.clone());
        let host = Host {
            shared: shared.clone(),
            session: session.clone(),
            peers,
            drain,
            subscriptions: drained_or_stopped,
        };
        let serving = server.serve(routes, stop.clone());
        let failed = shared.clone();
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                failed.fail(format!("other workers cannot reach this one any more: {error}"));
            }
        });
        let link = Link::new(session.clone(), join, control, events);
        tokio::spawn(until(stop.clone(), link.run()));
        tokio::spawn(until(stop.clone(), host.run(received)));
        Ok(Self { shared, session, address, drained, stop })
    }

    /// Where other workers reach it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until nothing is left here and nothing comes: after [`Self::leave`], or when an operator drains it.
    ///
    /// # Errors
    /// [`PipelineFailed`] where the worker cannot go on, or no injector will have it.
    pub async fn ended(&self) -> Result<(), PipelineFailed> {
        let mut failure = self.shared.failure.subscribe();
        let mut drained = self.drained.clone();
        tokio::select! {
            biased;
            failure = failure.wait_for(Option::is_some) => {
                let reason = failure.ok().and_then(|reason| reason.clone()).unwrap_or_default();
                Err(PipelineFailed { reason })
            }
            _ = drained.wait_for(|drained| *drained) => Ok(()),
        }
    }

    /// Asks the injector to give everything that runs here to others: [`Self::ended`] tells when it has.
    pub fn leave(&self) {
        self.session.leave();
    }

    /// Stops every interval once what it has begun is committed, and ends.
    pub async fn stop(self) {
        self.shared.stop_all().await;
        self.stop.cancel();
    }
}

async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// The numbers of the computations that a worker runs.
fn hosted(bound: &Bound, names: Option<&[String]>) -> Result<Vec<u32>, JoinError> {
    let Some(names) = names else { return Ok(bound.specs.iter().map(|spec| spec.number).collect()) };
    let number = |name: &String| {
        let found = bound.specs.iter().find(|spec| spec.name.as_str() == name);
        found.map(|spec| spec.number).ok_or_else(|| JoinError::NoSuchComputation {
            name: name.clone(),
            known: bound.specs.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    };
    names.iter().map(number).collect()
}

/// Does what the injector asks.
struct Host {
    shared: Arc<Shared>,
    session: Session,
    peers: Peers,
    drain: watch::Sender<bool>,
    /// Ends them.
    subscriptions: CancellationToken,
}

impl Host {
    async fn run(self, mut events: mpsc::UnboundedReceiver<Event>) {
        while let Some(event) = events.recv().await {
            match event {
                Event::Assign(assign) => self.assign(assign.computation, assign.assigned),
                Event::Release(intervals) => self.release(intervals),
                Event::Reshape { computation, old, new } => self.reshape(computation, old, new),
                Event::Routes(routes) => self.learn(routes),
                Event::Drained => {
                    self.subscriptions.cancel();
                    self.drain.send_replace(true);
                }
                Event::Refused(reason) => self.shared.fail(reason),
            }
        }
    }

    fn learn(&self, routes: Vec<pelton_proto::worker::Route>) {
        let routes = routes.into_iter().filter_map(|route| {
            let read = AwayRoute::try_from(route);
            read.inspect_err(|malformed| tracing::warn!(%malformed, "a route was ignored")).ok()
        });
        self.peers.learn(routes.collect());
    }

    /// Takes an interval over, in the place of whatever runs here in its bounds.
    fn assign(&self, computation: u32, assigned: Assigned) {
        let Some(hosted) = self.shared.hosted(computation) else {
            tracing::warn!(computation, "an interval of an unknown computation was assigned here");
            return;
        };
        let overlapping: Vec<Running> = {
            let mut running = hosted.running.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = running.extract_if(.., |interval, _| interval.overlaps(assigned.assignment.interval));
            taken.map(|(_, running)| running).collect()
        };
        if overlapping.is_empty() {
            return self.shared.clone().spawn(computation, assigned, None);
        }
        let shared = self.shared.clone();
        tokio::spawn(async move {
            for running in overlapping {
                running.stop.cancel();
                // However it ended, the newer reign takes over from it.
                let _ = running.task.await;
            }
            shared.spawn(computation, assigned, None);
        });
    }

    /// Stops reigns and says so; a newer reign over the same interval runs on.
    fn release(&self, intervals: Vec<(KeyInterval, Party)>) {
        for (interval, party) in intervals {
            let stopped = self.shared.take_running(interval, party);
            let session = self.session.clone();
            tokio::spawn(async move {
                if let Some(running) = stopped {
                    running.stop.cancel();
                    let _ = running.task.await;
                }
                session.released(&[(interval, party)], String::new());
            });
        }
    }

    fn reshape(&self, computation: u32, old: Vec<KeyInterval>, new: Vec<KeyInterval>) {
        let shared = self.shared.clone();
        tokio::spawn(async move {
            if let Err(error) = shared.reshape(computation, old, new).await {
                tracing::warn!(computation, %error, "intervals were not split or merged");
            }
        });
    }
}

impl Shared {
    /// Takes the interval from what runs here, if its reign is not newer than `party`'s.
    fn take_running(&self, interval: KeyInterval, party: Party) -> Option<Running> {
        let hosted = self.hosted(party.address.computation)?;
        let mut running = hosted.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.get(&interval)?.reign() > party.sequencer {
            return None;
        }
        running.remove(&interval)
    }

    /// Stops every interval once what it has begun is committed.
    pub(super) async fn stop_all(&self) {
        let mut tasks = Vec::new();
        for hosted in self.computations.values() {
            let running = std::mem::take(&mut *hosted.running.lock().unwrap_or_else(PoisonError::into_inner));
            for running in running.into_values() {
                running.stop.cancel();
                tasks.push(running.task);
            }
        }
        for task in tasks {
            // A task that panicked has nothing left to commit.
            let _ = task.await;
        }
    }
}
