//! One interval of an engine, driven by hand: what [`crate::testing`] stands on.
//!
//! Opening, take-over, recovery, task, router and injector are those of production. Only the loop that waits
//! for whatever comes next, [`IntervalTask::run`], is left out: here the caller brings what comes, and
//! [`ByHand::turn`] does with it what one round of the loop does. So nothing runs between two calls, and time
//! passes only as the caller's clock says.

use super::{Engine, EngineOptions, Life, StartError};
use crate::engine::interval::core::Core;
use crate::engine::interval::task::{CommitTask, Ended, IntervalTask, Request};
use crate::engine::router::{RouteTable, Router};
use crate::engine::worker::IntervalStatus;
use crate::pipeline::{ComputationSpec, Pipeline};
use pelton_domain::{EventTime, KeyInterval};
use pelton_injector::{Announced, AssignError, Assigned, End, Injector, InjectorOptions};
use pelton_statestore::StoreHandle;
use pelton_statestore::fence::Counters;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// A computation whose only interval is driven by hand, in an engine that runs nothing else.
pub(crate) struct ByHand {
    pub(crate) engine: Engine,
    computation: u32,
    driven: Option<Driven>,
}

/// The interval, from a take-over until it is killed.
struct Driven {
    task: IntervalTask,
    commit: Option<CommitTask>,
    table: Arc<RouteTable>,
}

impl Engine {
    /// Gives this worker the whole of a computation that nobody runs, to speak for it; with its number.
    pub(crate) async fn assign_whole(&self, computation: &str) -> Result<(u32, Assigned), StartError> {
        let number = self.number(computation).unwrap_or(0);
        let whole = vec![(KeyInterval::FULL, self.shared.options.worker.clone())];
        let assigned = self.injector.assign(number, whole).await?.pop();
        Ok((number, assigned.ok_or(AssignError::Ended(End::Abandoned))?))
    }
}

impl ByHand {
    /// Opens `pipeline`, of which `computation` is to be driven; [`Self::start`] comes next.
    pub(crate) async fn open(
        pipeline: Pipeline,
        store: StoreHandle,
        options: EngineOptions,
        computation: &str,
    ) -> Result<Self, StartError> {
        let clock = options.clock.clone();
        let injector = InjectorOptions::new(Arc::new(move || clock.now()));
        let injector = InjectorOptions { journal_gap_ms_min: 0, ..injector };
        let engine = Engine::open(pipeline, store, options, injector).await?;
        let computation = engine.number(computation).unwrap_or(0);
        Ok(Self { engine, computation, driven: None })
    }

    /// Takes the interval over and reads it from the store, as the first start and as the one after a crash.
    pub(crate) async fn start(&mut self) -> Result<(), Ended> {
        self.kill().await;
        let shared = &self.engine.shared;
        let failed = |error: StartError| Ended::Failed(error.to_string());
        let assigned = self.engine.assign(self.computation).await.map_err(failed)?;
        let [assigned] = assigned.as_slice() else {
            let count = assigned.len();
            return Err(Ended::Failed(format!(
                "the store has it in {count} intervals, and only one can be driven by hand: use another store"
            )));
        };
        let (_, requests) = mpsc::channel(1);
        let life = Life {
            stop: CancellationToken::new(),
            status: Arc::new(IntervalStatus::default()),
            requests: Arc::new(AsyncMutex::new(requests)),
            reign: Arc::default(),
        };
        let mut task = shared.take_over(self.computation, assigned, None, &life).await?;
        let table = shared.router.table();
        task.core.scope.now = shared.options.clock.now();
        task.apply(&shared.authority.announced());
        task.reroute(&table);
        self.driven = Some(Driven { task, commit: None, table });
        Ok(())
    }

    /// Drops everything that is not committed. A commit that has not reached the store never does.
    pub(crate) async fn kill(&mut self) {
        let Some(Driven { task, commit, .. }) = self.driven.take() else { return };
        self.engine.shared.router.remove(task.core.me);
        if let Some(commit) = commit {
            commit.abort();
            // It was cancelled, or had ended: the fence knows, and the next take-over reads it (I3).
            let _ = commit.await;
        }
    }

    /// Lets the commit under way end, and tells nobody that it did.
    pub(crate) async fn land(&mut self) {
        if let Some(commit) = self.driven.as_mut().and_then(|driven| driven.commit.take()) {
            // Its outcome is what nobody hears of.
            let _ = commit.await;
        }
    }

    /// One round of the interval's loop: what was announced and what is in the mailbox, then a bundle and a
    /// commit. It waits for the end of the commit, or until `held` says that the commit is being held.
    /// Returns whether anything happened.
    pub(crate) async fn turn(&mut self, held: impl Future<Output = ()>) -> Result<bool, Ended> {
        announcements(&self.engine.injector).await?;
        let Some(Driven { task, commit, table }) = &mut self.driven else {
            return Err(Ended::Abandoned("it is not running".into()));
        };
        let announced = task.authority.announced();
        task.apply(&announced);
        let mut busy = false;
        while let Ok(mail) = task.mailbox.try_recv() {
            task.take_mail(mail);
            busy = true;
        }
        task.core.scope.now = task.clock.now();
        busy |= task.core.may_run() && task.core.has_work();
        task.step(table, commit).await?;
        if let Some(running) = commit {
            let ended = tokio::select! {
                biased;
                ended = running => Some(ended),
                () = held => None,
            };
            if let Some(ended) = ended {
                *commit = None;
                task.core.scope.now = task.clock.now();
                task.commit_ended(ended, table)?;
                busy = true;
            }
        }
        announcements(&self.engine.injector).await?;
        Ok(busy)
    }

    /// Takes the dead letters up again; answered once the batch they are in has committed.
    pub(crate) async fn replay_dead_letters(&mut self) -> Result<oneshot::Receiver<usize>, Ended> {
        let (reply, answer) = oneshot::channel();
        if let Some(driven) = &mut self.driven {
            driven.task.take_request(Request::ReplayDeadLetters(reply)).await?;
        }
        Ok(answer)
    }

    /// How long nothing is to be done unless something arrives; `None`: for ever.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.driven.as_ref().and_then(|driven| driven.task.wait())
    }

    /// Everything the interval holds, while it runs.
    pub(crate) fn core(&mut self) -> Option<&mut Core> {
        let clock = &self.engine.shared.options.clock;
        self.driven.as_mut().map(|driven| {
            driven.task.core.scope.now = clock.now();
            &mut driven.task.core
        })
    }

    /// The totals that its last commit has written. What is counted without a reason for a commit, such as
    /// duplicates, goes into the next one, and is added here.
    pub(crate) fn counters(&self) -> Counters {
        let Some(Driven { task, .. }) = &self.driven else { return Counters::default() };
        let (mut counters, open) = (task.reign.fence().counters, &task.core.scope.batch);
        if open.is_empty() {
            counters.add(&open.counters);
        }
        counters
    }

    /// The low watermark that is announced of it.
    pub(crate) fn output_watermark(&self) -> EventTime {
        self.injector().announced().of(self.computation).low_watermark
    }

    /// The computation, as the store knows it.
    pub(crate) fn spec(&self) -> Option<&Arc<ComputationSpec>> {
        self.engine.shared.hosted(self.computation).map(|hosted| &hosted.spec)
    }

    /// The key of its fence: every commit of it requires that key's value (I1).
    pub(crate) fn fence_key(&self) -> Option<bytes::Bytes> {
        let hosted = self.engine.shared.hosted(self.computation)?;
        Some(hosted.keys.fence(KeyInterval::FULL.last()))
    }

    pub(crate) fn router(&self) -> &Router {
        &self.engine.shared.router
    }

    pub(crate) fn injector(&self) -> &Injector {
        &self.engine.injector
    }
}

/// Waits until everything that can be announced is.
async fn announcements(injector: &Injector) -> Result<(), Ended> {
    let mut news = injector.subscribe();
    while injector.graph().computations().any(|computation| is_behind(injector, computation)) {
        if news.changed().await.is_err() || injector.end().is_some() {
            let reason = injector.end().map_or("it is gone".to_owned(), |end| end.to_string());
            return Err(Ended::Failed(format!("the injector ended: {reason}")));
        }
    }
    Ok(())
}

/// Whether the intervals of a computation have reported more than is announced of it.
fn is_behind(injector: &Injector, computation: u32) -> bool {
    let reported = injector.intervals(computation).into_iter().map(|view| view.reported.unwrap_or_default());
    let reached = reported.reduce(Announced::least_of);
    reached.is_some_and(|reached| !injector.announced().of(computation).is_at_least(reached))
}
