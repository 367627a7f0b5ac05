//! A store behind a network that loses answers, loses requests, delays them and breaks: deterministically.

use super::support;
use crate::store::{Commit, CommitError, Limits, Page, ReadError, Scan, StateStore, StoreFault, StoreHandle};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use pelton_domain::Incarnation;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What becomes of one commit on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It happens, and is answered.
    Through,
    /// It happens; the answer is lost.
    AnswerLost,
    /// It never gets there.
    RequestLost,
    /// It is on its way until [`Wire::land`]; its caller is told that the outcome is unknown.
    Late,
    /// The same, and the network breaks: what comes behind it finds the store away until [`Wire::heal`].
    LateThenCut,
}

/// One caller's way to a store. Two callers have two.
pub struct Wire {
    store: StoreHandle,
    state: Mutex<State>,
    is_late: Notify,
}

#[derive(Debug, Default)]
struct State {
    fates: VecDeque<Fate>,
    late: VecDeque<Commit>,
    is_cut: bool,
}

impl Wire {
    /// A way to `store` that works.
    #[must_use]
    pub fn to(store: StoreHandle) -> Arc<Self> {
        Arc::new(Self { store, state: Mutex::default(), is_late: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what becomes of the next commit that nothing was said of yet.
    pub fn next_commit(&self, fate: Fate) {
        self.lock().fates.push_back(fate);
    }

    /// Waits until a commit is late.
    pub async fn until_late(&self) {
        while self.lock().late.is_empty() {
            self.is_late.notified().await;
        }
    }

    /// Waits until the network is cut.
    pub async fn until_cut(&self) {
        while !self.lock().is_cut {
            self.is_late.notified().await;
        }
    }

    /// Lets the oldest late commit arrive now, and again while the store is away. `None` where there is none.
    pub async fn land(&self) -> Option<Result<(), CommitError>> {
        let Commit { preconditions, writes } = self.lock().late.pop_front()?;
        Some(support::commit(&self.store, preconditions, writes).await)
    }

    /// Breaks the network.
    pub fn cut(&self) {
        self.lock().is_cut = true;
    }

    /// Mends it.
    pub fn heal(&self) {
        self.lock().is_cut = false;
    }

    fn fate(&self, commit: &Commit) -> Result<Fate, CommitError> {
        let mut state = self.lock();
        if state.is_cut {
            return Err(CommitError::Unavailable(fault("the network is cut")));
        }
        let fate = state.fates.pop_front().unwrap_or(Fate::Through);
        if matches!(fate, Fate::Late | Fate::LateThenCut) {
            state.late.push_back(commit.clone());
            state.is_cut = fate == Fate::LateThenCut;
            self.is_late.notify_one();
        }
        Ok(fate)
    }

    fn check(&self) -> Result<(), ReadError> {
        if self.lock().is_cut { Err(ReadError::Unavailable(fault("the network is cut"))) } else { Ok(()) }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("to", &self.store).finish_non_exhaustive()
    }
}

impl StateStore for Wire {
    fn read(&self, keys: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, ReadError>> {
        Box::pin(async move {
            self.check()?;
            self.store.read(keys).await
        })
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, ReadError>> {
        Box::pin(async move {
            self.check()?;
            self.store.scan(scan).await
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            match self.fate(&commit)? {
                Fate::Through => self.store.commit(commit).await,
                Fate::AnswerLost => {
                    let _ = self.store.commit(commit).await;
                    Err(CommitError::Unknown(fault("the answer was lost")))
                }
                Fate::RequestLost | Fate::Late | Fate::LateThenCut => {
                    Err(CommitError::Unknown(fault("no answer came")))
                }
            }
        })
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }

    fn incarnation(&self) -> Incarnation {
        self.store.incarnation()
    }
}

fn fault(text: &str) -> StoreFault {
    StoreFault(text.to_owned())
}
