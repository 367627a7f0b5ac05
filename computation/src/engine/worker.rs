//! A worker: hosts intervals of a pipeline, and takes them over again when they fail.
//!
//! [`Engine`] is a worker with the injector in the same process: what the local runner and the tests use.

pub(crate) mod by_hand;
mod control;
mod dead_letters;
mod open;
mod status;

pub use control::{PipelineFailed, ReshapeFailed};
pub use dead_letters::{DeadLetterError, StoredDeadLetter};
pub use open::StartError;
pub(crate) use open::refuse_other_pipelines;
pub(crate) use status::IntervalStatus;
pub use status::{ComputationStatus, PipelineStatus};

use super::bundle::{Processor, panic_message};
use super::channel::Party;
use super::clock::{ClockHandle, WallClock};
use super::interval::IntervalOptions;
use super::interval::task::{Ended, IntervalTask, Request, Stopped};
use super::interval::written::{WriteBudget, Written};
use super::recovery::{Recovery, id_floor};
use super::router::{MailFault, Router, address};
use crate::pipeline::{ComputationSpec, ErasedStep, Pipeline};
use futures_util::FutureExt;
use pelton_domain::{Key, KeyInterval, Name};
use pelton_injector::{Assigned, Injector, InjectorOptions, Worker};
use pelton_statestore::fence::{Tokens, random_tokens, take_over};
use pelton_statestore::{ComputationKeys, PipelineKeys, Reign, StoreHandle};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How an engine runs.
#[derive(Clone)]
pub struct EngineOptions {
    /// Limits and delays of each interval.
    pub interval: IntervalOptions,
    /// Into how many intervals a computation is cut when the store first sees it, unless its step says. Default 2.
    pub intervals: u32,
    /// The clock.
    pub clock: ClockHandle,
    /// The name of this worker in assignments.
    pub worker: Worker,
    /// Loses, repeats and reorders mail, for tests.
    pub mail_fault: Option<MailFault>,
    /// Where attempt tokens come from.
    pub tokens: Tokens,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            interval: IntervalOptions::default(),
            intervals: 2,
            clock: Arc::new(WallClock),
            worker: Worker::from("local"),
            mail_fault: None,
            tokens: random_tokens(),
        }
    }
}

impl std::fmt::Debug for EngineOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineOptions")
            .field("interval", &self.interval)
            .field("intervals", &self.intervals)
            .finish_non_exhaustive()
    }
}

/// One computation as this worker hosts it.
struct Hosted {
    spec: Arc<ComputationSpec>,
    keys: ComputationKeys,
    step: ErasedStep,
    running: Mutex<BTreeMap<KeyInterval, Running>>,
}

struct Running {
    stop: CancellationToken,
    status: Arc<IntervalStatus>,
    requests: mpsc::Sender<Request>,
    /// Ends with the reign, when it was stopped.
    task: JoinHandle<Option<Stopped>>,
}

/// What outlives the reigns of one interval.
struct Life {
    stop: CancellationToken,
    status: Arc<IntervalStatus>,
    requests: Arc<AsyncMutex<mpsc::Receiver<Request>>>,
}

/// Requests that wait for one interval.
const REQUESTS_MAX: usize = 16;

struct Shared {
    name: Name,
    store: StoreHandle,
    options: EngineOptions,
    injector: Injector,
    router: Router,
    computations: BTreeMap<u32, Hosted>,
    failure: watch::Sender<Option<String>>,
}

/// A pipeline that runs in this process.
pub struct Engine {
    shared: Arc<Shared>,
    driver: JoinHandle<()>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({})", self.shared.name)
    }
}

/// The longest wait between two take-overs of an interval that keeps failing.
const RESTART_DELAY_MAX: Duration = Duration::from_secs(5);

impl Engine {
    /// Opens the pipeline on `store` and starts every interval where it was.
    ///
    /// # Errors
    /// [`StartError`], which says what to do.
    pub async fn start(
        pipeline: Pipeline,
        store: StoreHandle,
        options: EngineOptions,
    ) -> Result<Self, StartError> {
        let clock = options.clock.clone();
        let injector_options = InjectorOptions::new(Arc::new(move || clock.now()));
        let engine = Self::open(pipeline, store, options, injector_options).await?;
        for number in engine.shared.computations.keys().copied() {
            engine.shared.clone().start_computation(number).await?;
        }
        Ok(engine)
    }

    /// Opens the pipeline on `store`; no interval runs yet.
    async fn open(
        pipeline: Pipeline,
        store: StoreHandle,
        options: EngineOptions,
        injector_options: InjectorOptions,
    ) -> Result<Self, StartError> {
        let Pipeline { name, steps, .. } = pipeline;
        let bound = open::bind(&store, &name, &steps).await?;
        let keys = PipelineKeys::new(&name);
        let graph = open::injector_graph(&bound)?;
        let (injector, driver) =
            Injector::start(store.clone(), keys.clone(), graph, options.tokens.clone(), injector_options)
                .await?;
        let driver = tokio::spawn(async move {
            let end = driver.await;
            tracing::debug!(%end, "the injector has ended");
        });
        let router = Router::new(bound.subscribers, options.mail_fault.clone());
        let host = |(spec, step): (ComputationSpec, ErasedStep)| {
            let keys = keys.computation(spec.number);
            (spec.number, Hosted { spec: Arc::new(spec), keys, step, running: Mutex::default() })
        };
        let computations = bound.specs.into_iter().zip(steps).map(host).collect();
        let failure = watch::Sender::new(None);
        let shared = Arc::new(Shared { name, store, options, injector, router, computations, failure });
        Ok(Self { shared, driver })
    }

    /// The pipeline's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.shared.name
    }
}

impl Shared {
    fn hosted(&self, computation: u32) -> Option<&Hosted> {
        self.computations.get(&computation)
    }

    async fn start_computation(self: Arc<Self>, number: u32) -> Result<(), StartError> {
        for assigned in self.assign(number).await? {
            self.clone().spawn(number, assigned, None);
        }
        Ok(())
    }

    /// Makes the computation's fences, where it has none, and assigns its intervals to this worker.
    async fn assign(&self, number: u32) -> Result<Vec<Assigned>, StartError> {
        let Some(hosted) = self.hosted(number) else { return Ok(Vec::new()) };
        let count = hosted.spec.options.intervals.unwrap_or(self.options.intervals);
        let start = open::start_timers(hosted, self.options.clock.now());
        let intervals = KeyInterval::partition(count);
        let fences = pelton_statestore::fence::create_fences(
            &self.store,
            &hosted.keys,
            &intervals,
            start,
            &self.options.tokens,
        );
        let fences = fences.await?;
        let wanted = fences.iter().map(|fence| (fence.interval, self.options.worker.clone())).collect();
        Ok(self.injector.assign(number, wanted).await?)
    }

    /// Starts the task that keeps one interval running; `reign` is given where it was just split or merged.
    fn spawn(self: Arc<Self>, computation: u32, assigned: Assigned, reign: Option<Reign>) {
        let Some(hosted) = self.hosted(computation) else { return };
        let (stop, status) = (CancellationToken::new(), Arc::new(IntervalStatus::default()));
        let interval = assigned.assignment.interval;
        let (requests, received) = mpsc::channel(REQUESTS_MAX);
        let life = Life {
            stop: stop.clone(),
            status: status.clone(),
            requests: Arc::new(AsyncMutex::new(received)),
        };
        let task = self.clone().supervise(computation, assigned, reign, life);
        let task = tokio::spawn(task);
        let mut running = hosted.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(interval, Running { stop, status, requests, task });
    }

    /// Takes the interval over and runs it, again and again, until it is stopped or cannot go on.
    async fn supervise(
        self: Arc<Self>,
        computation: u32,
        mut assigned: Assigned,
        mut reign: Option<Reign>,
        life: Life,
    ) -> Option<Stopped> {
        let mut delay = Duration::from_millis(10);
        let interval = assigned.assignment.interval;
        loop {
            let run = AssertUnwindSafe(self.run_once(computation, &assigned, reign.take(), &life))
                .catch_unwind()
                .await;
            // User code's panics are caught around each call: this is the engine's own, a broken invariant.
            let ended = run
                .unwrap_or_else(|panic| Ended::Failed(format!("a bug: {}", panic_message(panic.as_ref()))));
            let reason = match ended {
                Ended::Stopped(stopped) => return Some(*stopped),
                Ended::Failed(reason) => {
                    self.fail(reason);
                    return None;
                }
                Ended::Abandoned(reason) => reason,
            };
            tracing::warn!(computation, %interval, reason, "an interval was abandoned and is taken over again");
            metrics::counter!("pelton_intervals_abandoned_total").increment(1);
            tokio::select! {
                () = life.stop.cancelled() => return None,
                () = tokio::time::sleep(delay) => {}
            }
            delay = (delay * 2).min(RESTART_DELAY_MAX);
            match self.injector.assign(computation, vec![(interval, self.options.worker.clone())]).await {
                Ok(mut again) => match again.pop() {
                    Some(next) => assigned = next,
                    None => return None,
                },
                Err(error) => {
                    self.fail(error.to_string());
                    return None;
                }
            }
        }
    }

    async fn run_once(
        &self,
        computation: u32,
        assigned: &Assigned,
        reign: Option<Reign>,
        life: &Life,
    ) -> Ended {
        let task = match self.take_over(computation, assigned, reign, life).await {
            Ok(task) => task,
            Err(ended) => return ended,
        };
        let party = task.core.me;
        let ended = task.run().await;
        life.status.unobserved();
        self.router.remove(party);
        ended
    }

    /// Takes the interval over, where `reign` does not say that this is done, and reads it from the store.
    async fn take_over(
        &self,
        computation: u32,
        assigned: &Assigned,
        reign: Option<Reign>,
        life: &Life,
    ) -> Result<IntervalTask, Ended> {
        let Some(hosted) = self.hosted(computation) else {
            return Err(Ended::Failed("no such computation".into()));
        };
        let (interval, sequencer) = (assigned.assignment.interval, assigned.assignment.sequencer);
        let requires = vec![assigned.require.clone()];
        let reign = match reign {
            Some(reign) => reign,
            None => {
                match take_over(
                    &self.store,
                    &hosted.keys,
                    interval,
                    sequencer,
                    requires,
                    &self.options.tokens,
                )
                .await
                {
                    Ok(reign) => reign,
                    Err(error) => return Err(after_take_over(&error)),
                }
            }
        };
        let recovery = Recovery {
            store: &self.store,
            keys: &hosted.keys,
            spec: &hosted.spec,
            options: self.options.interval,
            clock: &self.options.clock,
            id_floor: id_floor(&self.injector.announced()),
        };
        let table = self.router.table();
        let core = match recovery.recover(&reign, &*table).await {
            Ok(core) => core,
            Err(failure) => {
                return Err(Ended::Failed(format!(
                    "{} {interval} cannot be read: {failure}",
                    hosted.spec.name
                )));
            }
        };
        life.status.recovered(&core.totals);
        let (mailbox, mail) = mpsc::unbounded_channel();
        let party = Party { address: address(computation, interval), sequencer };
        self.router.add(interval, party, mailbox);
        let processor: Box<dyn Processor> = (hosted.step.make)(&hosted.spec.inputs);
        Ok(IntervalTask {
            core,
            processor,
            reign,
            mailbox: mail,
            router: self.router.clone(),
            injector: self.injector.clone(),
            clock: self.options.clock.clone(),
            stop: life.stop.clone(),
            status: life.status.clone(),
            requests: life.requests.clone(),
            answers: Vec::new(),
            budget: WriteBudget::new(&hosted.spec.name),
            writing: Written::default(),
        })
    }

    fn fail(&self, reason: String) {
        tracing::error!(reason, "the pipeline cannot go on");
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert(reason);
            first
        });
    }
}

fn after_take_over(error: &pelton_statestore::TakeOverError) -> Ended {
    use pelton_statestore::TakeOverError as E;
    match error {
        E::Superseded { .. } | E::NoSuchInterval { .. } => Ended::Abandoned(error.to_string()),
        E::OtherIncarnation { .. } | E::Malformed(_) | E::Fatal(_) => Ended::Failed(error.to_string()),
    }
}

/// The key under which a start timer waits.
pub(crate) fn start_timer(key: &Key) -> pelton_statestore::keys::TimerAddress {
    pelton_statestore::keys::TimerAddress {
        key: key.clone(),
        domain: crate::timer::TimeDomain::Processing,
        namespace: bytes::Bytes::new(),
        tag: bytes::Bytes::from_static(b"start"),
    }
}
