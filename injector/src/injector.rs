//! The handle on a running injector: report, assign, subscribe, ask. A thin shell around [`Aggregate`].
//!
//! A report goes straight into the aggregate, under a lock that nothing waits under: the interval's slot there is
//! the only place it is kept (I11), and the reporter learns at once whether it counts. All that waits for
//! the store happens in the driver's future, which the caller of [`Injector::start`] runs.

use crate::aggregate::{Aggregate, Explanation, IntervalView, ReassignRefused};
use crate::announced::{Announced, AnnouncedTable};
use crate::assign::{Assignment, Worker};
use crate::driver::{AssignRequest, Driver};
use crate::end::End;
use crate::graph::Graph;
use crate::instruments::Instruments;
use crate::journal::{self, StartError};
use crate::leader::Leader;
use crate::options::{Clock, InjectorOptions};
use crate::report::{Accepted, IntervalReport, ReportRefused};
use crate::sequencers::Sequencers;
use pelton_domain::KeyInterval;
use pelton_statestore::fence::Tokens;
use pelton_statestore::{PipelineKeys, Precondition, StoreHandle};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// At most this many assignments wait for the driver; more callers wait their turn (I11).
const REQUESTS_MAX: usize = 16;

/// A handle on the authority of one pipeline. Clones are handles on the same; it stops when the last is dropped.
#[derive(Clone, Debug)]
pub struct Injector {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    graph: Arc<Graph>,
    clock: Clock,
    requests: mpsc::Sender<AssignRequest>,
    tables: watch::Receiver<Arc<AnnouncedTable>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Injector").field("end", &self.tables.borrow().end()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stop.notify_one();
    }
}

/// What handles and driver share.
#[derive(Debug)]
pub(crate) struct Shared {
    aggregate: Mutex<Aggregate>,
    pub(crate) instruments: Instruments,
    /// Something may be announced.
    pub(crate) advance: Notify,
    pub(crate) stop: Notify,
    pub(crate) ended: AtomicBool,
}

impl Shared {
    pub(crate) fn aggregate(&self) -> MutexGuard<'_, Aggregate> {
        // Every change of the aggregate is checked before it begins, so a panic left nothing half done.
        self.aggregate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An assignment that stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// What is assigned to whom, and under which sequencer.
    pub assignment: Assignment,
    /// What the take-over of the interval must require: that this assignment still stands (I1).
    pub require: Precondition,
    /// What stands announced of the computation, and will until the new owner reports: it assigns no id of an
    /// earlier system time than this, whatever its clock says (I6).
    pub announced: Announced,
}

/// Why intervals were not assigned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignError {
    /// The change is not sound. Nothing changed.
    #[error(transparent)]
    Refused(#[from] ReassignRefused),
    /// One step of it is too large for the store. Steps before it happened: look at the assignments.
    #[error("a {what} of {size_bytes} bytes is over the store's limit of {limit_bytes}; assign less at once")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        size_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The injector has ended. The change may stand in the journal, and nobody may act on it.
    #[error(transparent)]
    Ended(#[from] End),
}

impl Injector {
    /// Takes leadership of the pipeline, reads its journal and starts the authority from there (I7).
    ///
    /// Nothing happens unless the returned future runs: spawn it or drive it. It ends with the reason.
    /// Waits while the store is unavailable.
    ///
    /// # Errors
    /// [`StartError`]: the store is broken, or holds what this program cannot read.
    pub async fn start(
        store: StoreHandle,
        keys: PipelineKeys,
        graph: Graph,
        tokens: Tokens,
        options: InjectorOptions,
    ) -> Result<(Self, impl Future<Output = End> + Send + 'static), StartError> {
        let leader = Leader::take(&store, &keys, &tokens, &options.address).await?;
        Self::lead(leader, store, keys, graph, options).await
    }

    /// Reads the journal and starts the authority from there, under a leadership that was taken already. As
    /// [`Injector::start`].
    ///
    /// # Errors
    /// [`StartError`]: the store is broken, or holds what this program cannot read.
    pub async fn lead(
        leader: Leader,
        store: StoreHandle,
        keys: PipelineKeys,
        graph: Graph,
        options: InjectorOptions,
    ) -> Result<(Self, impl Future<Output = End> + Send + 'static), StartError> {
        let graph = Arc::new(graph);
        // Leadership came first: no earlier leader can change the journal that is read here.
        let announced = journal::read_announced(&store, &keys, &graph).await?;
        let mut aggregate = Aggregate::new(graph.clone(), announced);
        for computation in graph.computations() {
            let assignments = journal::read_assignments(&store, &keys, computation).await?;
            let contradiction = |reason| StartError::Contradiction { computation, reason };
            aggregate.reassign(computation, assignments).map_err(contradiction)?;
        }
        let table = AnnouncedTable::new(leader.epoch(), aggregate.all_announced());
        let shared = Arc::new(Shared {
            instruments: Instruments::new(&graph),
            aggregate: Mutex::new(aggregate),
            advance: Notify::new(),
            stop: Notify::new(),
            ended: AtomicBool::new(false),
        });
        shared.instruments.announced(table.iter());
        let (announce, tables) = watch::channel(Arc::new(table));
        let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
        let sequencers = Sequencers::new(store, &keys);
        let driver = Driver::new(shared.clone(), leader, sequencers, keys, inbox, announce, &options);
        let inner = Inner { shared, graph, clock: options.clock, requests, tables };
        Ok((Self { inner: Arc::new(inner) }, driver.run()))
    }

    /// Takes in what the owner of an interval reports. Never waits: it replaces the interval's last report, and
    /// wakes the driver where the computation can advance by it.
    ///
    /// # Errors
    /// [`ReportRefused`]: the report changed nothing, and its sender has nothing to report there.
    pub fn report(&self, report: IntervalReport) -> Result<Accepted, ReportRefused> {
        let shared = &self.inner.shared;
        let at = (self.inner.clock)();
        let accepted = if shared.ended.load(Ordering::Acquire) {
            Err(ReportRefused::Ended)
        } else {
            shared.aggregate().report(report, at)
        };
        shared.instruments.reported(&accepted);
        if accepted == Ok(Accepted::Advances) {
            shared.advance.notify_one();
        }
        accepted
    }

    /// Assigns intervals, each under a new sequencer, in the place of all that they overlap: first
    /// assignments, take-overs, and whatever bounds the fences turned out to have.
    ///
    /// When it returns, the assignments are in the journal, and reports of earlier reigns are refused; the new
    /// owners may take over, and each must require what comes with its assignment. Answers in the order of
    /// positions. Until a new owner reports, the computation holds. A cancelled call may still happen: then
    /// nobody takes over by it.
    ///
    /// # Errors
    /// [`AssignError`].
    pub async fn assign(
        &self,
        computation: u32,
        new: Vec<(KeyInterval, Worker)>,
    ) -> Result<Vec<Assigned>, AssignError> {
        self.request(computation, None, new).await
    }

    /// Turns the intervals `old` into `new`: a split or a merge. As [`Injector::assign`], and refused where
    /// other intervals than `old` would be replaced. The fences change next, in a transaction that requires what
    /// comes with the assignments.
    ///
    /// # Errors
    /// [`AssignError`].
    pub async fn reassign(
        &self,
        computation: u32,
        old: Vec<KeyInterval>,
        new: Vec<(KeyInterval, Worker)>,
    ) -> Result<Vec<Assigned>, AssignError> {
        self.request(computation, Some(old), new).await
    }

    async fn request(
        &self,
        computation: u32,
        old: Option<Vec<KeyInterval>>,
        new: Vec<(KeyInterval, Worker)>,
    ) -> Result<Vec<Assigned>, AssignError> {
        let (reply, answer) = oneshot::channel();
        let request = AssignRequest { computation, old, new, reply };
        let ended = || AssignError::Ended(self.end().unwrap_or(End::Abandoned));
        self.inner.requests.send(request).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    /// What stands announced now.
    #[must_use]
    pub fn announced(&self) -> Arc<AnnouncedTable> {
        self.inner.tables.borrow().clone()
    }

    /// What stands announced, as it changes: a slow reader skips to the latest. When the injector ends, the last
    /// table says why ([`AnnouncedTable::end`]), and the channel closes.
    ///
    /// The first value is there at once, whether or not `changed` says so. Who follows injectors one after the
    /// other keeps, of each value, the greatest seen: an earlier leader may still be heard.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<AnnouncedTable>> {
        self.inner.tables.clone()
    }

    /// The intervals of a computation with their last reports, ascending: what [`crate::assign`] decides on.
    /// Looks at each under the lock that reports take, so not for every record.
    #[must_use]
    pub fn intervals(&self, computation: u32) -> Vec<IntervalView> {
        self.inner.shared.aggregate().intervals(computation).collect()
    }

    /// Who holds the low watermark of a computation; `None` where it is not in the graph.
    #[must_use]
    pub fn explain(&self, computation: u32) -> Option<Explanation> {
        self.inner.shared.aggregate().explain(computation)
    }

    /// The pipeline's graph.
    #[must_use]
    pub fn graph(&self) -> &Arc<Graph> {
        &self.inner.graph
    }

    /// Why it ended; `None` while it works.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.inner.tables.borrow().end().cloned()
    }

    /// Ends it, for all handles. What is not journaled yet is not announced.
    pub fn stop(&self) {
        self.inner.shared.stop.notify_one();
    }
}
