//! The store in memory, for tests and simulation: exact semantics, and every fault a real store has, from a seed.
//!
//! A handle is a view of one store: clone it, and a zombie and its successor share the data. What it can do wrong:
//!
//! | fault | what happens |
//! |---|---|
//! | conflict | nothing is written, [`CommitError::Conflict`] |
//! | unavailable | nothing is written or read |
//! | unknown | the commit happened, or did not, or **lands later**: the caller knows none of it |
//! | delay | the request, and its answer, take their (simulated) time |
//! | short page | a scan returns fewer entries than asked for, with [`Page::next`] |
//!
//! A late commit is kept in flight, and lands, subject to its preconditions at that moment, at the start of a
//! later call (each has an even chance to let each of them land), or when [`Memory::land_pending`] is called.
//! Nothing is spawned, so the same seed and the same order of calls give the same faults. A [`Gate`] holds one
//! chosen commit in flight until the test releases it.
//!
//! Kept here: I1 and I2 (preconditions and writes are one step under one lock), and what I3 needs to be tested.
//! Not for production: nothing survives the process.

mod faults;
mod gate;
mod state;
mod table;

pub use faults::FaultPlan;
pub use gate::Gate;
pub use state::{Counts, FaultCounts};

use crate::store::{Commit, CommitError, Limits, Page, ReadError, Scan, StateStore, StoreFault};
use bytes::Bytes;
use faults::Fate;
use futures_util::future::BoxFuture;
use pelton_domain::Incarnation;
use rand::Rng;
use state::{Passage, State};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// A handle on a store in memory. Clones share the data, the faults and the counts.
#[derive(Clone)]
pub struct Memory {
    state: Arc<Mutex<State>>,
    limits: Limits,
    incarnation: Incarnation,
}

impl Memory {
    /// An empty store without faults, with a random incarnation.
    #[must_use]
    pub fn new() -> Self {
        Self::build(0, FaultPlan::none(), Incarnation(Uuid::new_v4()))
    }

    /// An empty store whose faults follow `plan`, drawn from `seed`. The incarnation comes from the seed too.
    #[must_use]
    pub fn with_faults(seed: u64, plan: FaultPlan) -> Self {
        let mut bytes = [0; 16];
        faults::rng(!seed).fill_bytes(&mut bytes);
        Self::build(seed, plan, Incarnation(uuid::Builder::from_random_bytes(bytes).into_uuid()))
    }

    fn build(seed: u64, plan: FaultPlan, incarnation: Incarnation) -> Self {
        let state = State::new(faults::rng(seed), plan);
        Self { state: Arc::new(Mutex::new(state)), limits: Limits::default(), incarnation }
    }

    /// The same store, seen through other limits: what a test needs to make "too large" small.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The same data under another incarnation: a store that was cloned or restored.
    #[must_use]
    pub fn with_incarnation(mut self, incarnation: Incarnation) -> Self {
        self.incarnation = incarnation;
        self
    }

    /// Changes the faults from now on; what is in flight stays so.
    pub fn set_faults(&self, plan: FaultPlan) {
        self.lock().plan = plan;
    }

    /// Lets every late commit land now, oldest first; a [`Gate`] still holds its own. How many there were.
    pub fn land_pending(&self) -> usize {
        self.lock().land_all()
    }

    /// How many late commits are in flight, those behind a [`Gate`] not counted.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.lock().pending_len()
    }

    /// Holds the next commit that is not held by an earlier gate.
    #[must_use]
    pub fn hold_next_commit(&self) -> Gate {
        self.hold_next_commit_where(|_| true)
    }

    /// Holds the next commit for which `matches` holds.
    #[must_use]
    pub fn hold_next_commit_where(&self, matches: impl Fn(&Commit) -> bool + Send + 'static) -> Gate {
        let gate = Gate::new(Arc::downgrade(&self.state));
        self.lock().add_gate(gate.hook(), Box::new(matches));
        gate
    }

    /// Has `watcher` told of every commit from now on that is applied, in order. It must not call this store.
    pub fn watch(&self, watcher: impl FnMut(&Commit) + Send + 'static) {
        self.lock().watcher = Some(Box::new(watcher));
    }

    /// What was asked of the store so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Everything in the store, in order, without faults and uncounted: for assertions and for printing.
    #[must_use]
    pub fn dump(&self) -> Vec<(Bytes, Bytes)> {
        self.lock().table.dump()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No user code runs under the lock, so a panic there left nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn commit_with_faults(&self, commit: Commit) -> Result<(), CommitError> {
        commit.check(&self.limits)?;
        let arrival = self.lock().arrive(commit);
        let (commit, trip) = match arrival {
            Passage::Through(commit, trip) => (commit, trip),
            Passage::Held(answer) => {
                return answer
                    .await
                    .unwrap_or_else(|_| Err(CommitError::Unknown(fault("the request was lost"))));
            }
        };
        pause(trip.there).await;
        let result = match trip.fate {
            Fate::Happens => self.lock().apply(&commit),
            Fate::Conflict => Err(CommitError::Conflict),
            Fate::Unavailable => Err(CommitError::Unavailable(fault("an injected fault"))),
            Fate::UnknownHappens => {
                // Whether a precondition refused it is as unknown to the caller as everything else.
                let _ = self.lock().apply(&commit);
                Err(CommitError::Unknown(fault("the answer was lost")))
            }
            Fate::UnknownNever => Err(CommitError::Unknown(fault("the request was lost"))),
            Fate::UnknownLate => {
                self.lock().keep_pending(commit);
                Err(CommitError::Unknown(fault("the answer is late")))
            }
        };
        pause(trip.back).await;
        result
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("incarnation", &self.incarnation).finish_non_exhaustive()
    }
}

impl StateStore for Memory {
    fn read(&self, keys: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, ReadError>> {
        Box::pin(async move {
            let trip = self.lock().arrive_read(keys.len())?;
            pause(trip.there).await;
            let values = self.lock().table.read(&keys);
            pause(trip.back).await;
            Ok(values)
        })
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, ReadError>> {
        Box::pin(async move {
            let trip = self.lock().arrive_scan(scan.entries_max)?;
            pause(trip.there).await;
            let page = self.lock().table.page(&Scan { entries_max: trip.entries_max, ..scan });
            pause(trip.back).await;
            Ok(page)
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(self.commit_with_faults(commit))
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn incarnation(&self) -> Incarnation {
        self.incarnation
    }
}

fn fault(text: &str) -> StoreFault {
    StoreFault(text.to_owned())
}

/// Sleeps where there is a delay; without one it does not even yield, and needs no timer.
async fn pause(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}
