//! A worker: hosts intervals of a pipeline, and takes them over again when they fail.
//!
//! | module | what |
//! |---|---|
//! | [`engine`] | a worker with the injector in the same process: what the local runner and the tests use |
//! | [`joined`] | a worker of a pipeline that an injector elsewhere leads |
//! | [`by_hand`] | one interval, driven step by step |
//! | [`open`] | the catalogue and the first fences |
//! | [`control`], [`dead_letters`], [`status`] | what can be asked of it |
//! | [`inspect`] | what can be asked from outside |
//! | [`ingest`] | records from outside |
//! | [`serving`], [`local_authority`] | the services of those two for whoever asks, and an engine's own |
//! | [`subscribe`] | records to the outside |

pub(crate) mod by_hand;
mod control;
mod dead_letters;
mod engine;
mod ingest;
mod inspect;
mod joined;
mod local_authority;
mod open;
mod serving;
mod status;
mod subscribe;

pub use control::{PipelineFailed, ReshapeFailed};
pub use dead_letters::{DeadLetterError, StoredDeadLetter};
pub use engine::Engine;
pub use ingest::IngestLimits;
pub use joined::{JoinError, JoinedWorker, WorkerOptions};
pub use open::StartError;
pub(crate) use open::refuse_other_pipelines;
pub use serving::Listening;
pub use status::{ComputationStatus, PipelineStatus};
pub(crate) use status::{Figures, IntervalStatus};

use super::authority::Authority;
use super::bundle::Processor;
use super::channel::Party;
use super::clock::{ClockHandle, WallClock};
use super::interval::IntervalOptions;
use super::interval::load::LoadMeter;
use super::interval::task::{Ended, IntervalTask, Request, Stopped};
use super::interval::written::{WriteBudget, Written};
use super::letter::MailFault;
use super::panics::panic_message;
use super::published::Grown;
use super::recovery::{Recovery, id_floor};
use super::router::Router;
use super::streams::Streams;
use crate::pipeline::{Bound, ComputationSpec, ErasedStep};
use futures_util::FutureExt;
use pelton_domain::{Key, KeyInterval, Name, Sequencer};
use pelton_injector::{Assigned, Worker};
use pelton_statestore::fence::{Fence, Tokens, random_tokens, take_over};
use pelton_statestore::{ComputationKeys, PipelineKeys, Reign, StoreHandle};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// Where it keeps the log of a published stream: news of that.
    grown: Option<Grown>,
    running: Mutex<BTreeMap<KeyInterval, Running>>,
}

struct Running {
    stop: CancellationToken,
    status: Arc<IntervalStatus>,
    requests: mpsc::Sender<Request>,
    /// Ends with the reign, when it was stopped.
    task: JoinHandle<Option<Stopped>>,
    /// The sequencer of the newest reign over it here.
    reign: Arc<AtomicU64>,
}

impl Running {
    fn reign(&self) -> Sequencer {
        Sequencer::new(self.reign.load(Ordering::Acquire)).unwrap_or(Sequencer::MIN)
    }
}

/// What outlives the reigns of one interval.
struct Life {
    stop: CancellationToken,
    status: Arc<IntervalStatus>,
    requests: Arc<AsyncMutex<mpsc::Receiver<Request>>>,
    reign: Arc<AtomicU64>,
}

/// Requests that wait for one interval.
const REQUESTS_MAX: usize = 16;

struct Shared {
    name: Name,
    store: StoreHandle,
    options: EngineOptions,
    authority: Authority,
    router: Router,
    computations: BTreeMap<u32, Hosted>,
    failure: watch::Sender<Option<String>>,
}

/// The longest wait between two take-overs of an interval that keeps failing.
const RESTART_DELAY_MAX: Duration = Duration::from_secs(5);

impl Shared {
    fn hosted(&self, computation: u32) -> Option<&Hosted> {
        self.computations.get(&computation)
    }

    /// A worker of the pipeline that `bound` is, which runs nothing yet.
    fn new(
        name: Name,
        store: StoreHandle,
        options: EngineOptions,
        authority: Authority,
        bound: Bound,
        steps: Vec<ErasedStep>,
    ) -> Self {
        let keys = PipelineKeys::new(&name);
        let router = Router::new(Streams::new(bound.subscribers, &bound.specs), options.mail_fault.clone());
        let host = |(spec, step): (ComputationSpec, ErasedStep)| {
            let keys = keys.computation(spec.number);
            let grown = spec.options.publishes.map(Grown::new);
            (spec.number, Hosted { spec: Arc::new(spec), keys, step, grown, running: Mutex::default() })
        };
        let computations = bound.specs.into_iter().zip(steps).map(host).collect();
        let failure = watch::Sender::new(None);
        Self { name, store, options, authority, router, computations, failure }
    }

    /// The fences of a computation; where it has none yet, they are made, with its first timers.
    async fn fences(&self, hosted: &Hosted) -> Result<Vec<Fence>, pelton_statestore::TakeOverError> {
        let count = hosted.spec.options.intervals.unwrap_or(self.options.intervals);
        let start = open::start_timers(hosted, self.options.clock.now());
        let intervals = KeyInterval::partition(count);
        pelton_statestore::fence::create_fences(
            &self.store,
            &hosted.keys,
            &intervals,
            start,
            &self.options.tokens,
        )
        .await
    }

    /// Starts the task that keeps one interval running; `reign` is given where it was just split or merged.
    fn spawn(self: Arc<Self>, computation: u32, assigned: Assigned, reign: Option<Reign>) {
        let Some(hosted) = self.hosted(computation) else { return };
        let (stop, status) = (CancellationToken::new(), Arc::new(IntervalStatus::default()));
        let interval = assigned.assignment.interval;
        let (requests, received) = mpsc::channel(REQUESTS_MAX);
        let number = Arc::new(AtomicU64::new(assigned.assignment.sequencer.get()));
        let life = Life {
            stop: stop.clone(),
            status: status.clone(),
            requests: Arc::new(AsyncMutex::new(received)),
            reign: number.clone(),
        };
        let shared = self.clone();
        let mine = status.clone();
        let mut running = hosted.running.lock().unwrap_or_else(PoisonError::into_inner);
        let task = tokio::spawn(async move {
            let stopped = shared.clone().supervise(computation, assigned, reign, life).await;
            shared.forget(computation, interval, &mine);
            stopped
        });
        running.insert(interval, Running { stop, status, requests, task, reign: number });
    }

    /// An interval's task has ended by itself: where it was not asked to, it is another's now.
    fn forget(&self, computation: u32, interval: KeyInterval, status: &Arc<IntervalStatus>) {
        let (Authority::Joined(_), Some(hosted)) = (&self.authority, self.hosted(computation)) else {
            return;
        };
        let mut running = hosted.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.get(&interval).is_some_and(|running| Arc::ptr_eq(&running.status, status)) {
            running.remove(&interval);
        }
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
                Ended::Gone(reason) => {
                    let reign = (interval, assigned.assignment.sequencer);
                    if self.authority.left(computation, &[reign], &reason) {
                        return None;
                    }
                    reason
                }
            };
            tracing::warn!(computation, %interval, reason, "an interval was abandoned and is taken over again");
            metrics::counter!("pelton_intervals_abandoned_total").increment(1);
            tokio::select! {
                biased;
                () = life.stop.cancelled() => return None,
                () = tokio::time::sleep(delay) => {}
            }
            delay = (delay * 2).min(RESTART_DELAY_MAX);
            let again = tokio::select! {
                biased;
                () = life.stop.cancelled() => return None,
                again = self.authority.again(computation, interval, assigned.assignment.sequencer) => again,
            };
            match again {
                Ok(Some(next)) => {
                    life.reign.store(next.assignment.sequencer.get(), Ordering::Release);
                    assigned = next;
                }
                Ok(None) => return None,
                Err(reason) => {
                    self.fail(reason);
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
        let (interval, party) = (task.core.interval, task.core.me);
        self.authority.running(interval, party, &life.status);
        let ended = task.run().await;
        life.status.unobserved();
        self.router.remove(party);
        self.authority.ended(party);
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
            pipeline: &PipelineKeys::new(&self.name),
            keys: &hosted.keys,
            spec: &hosted.spec,
            options: self.options.interval,
            clock: &self.options.clock,
            id_floor: id_floor(&self.authority.announced()),
            id_ceiling: self.authority.id_ceiling(),
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
        let party = Party::of(computation, interval, sequencer);
        self.router.add(interval, party, mailbox);
        let processor: Box<dyn Processor> = (hosted.step.make)(&hosted.spec.inputs);
        Ok(IntervalTask {
            core,
            processor,
            reign,
            mailbox: mail,
            router: self.router.clone(),
            authority: self.authority.clone(),
            clock: self.options.clock.clone(),
            stop: life.stop.clone(),
            status: life.status.clone(),
            requests: life.requests.clone(),
            answers: Vec::new(),
            budget: WriteBudget::new(&hosted.spec.name),
            writing: Written::default(),
            grown: hosted.grown.clone(),
            publishing: Vec::new(),
            meter: LoadMeter::default(),
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
        E::Superseded { .. } => Ended::Abandoned(error.to_string()),
        E::NoSuchInterval { .. } => Ended::Gone(error.to_string()),
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
