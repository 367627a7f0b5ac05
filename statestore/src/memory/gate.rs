//! One commit held in flight, until a test says what becomes of it.

use super::state::State;
use crate::store::{Commit, CommitError, StoreFault};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{Notify, oneshot};

type Answer = oneshot::Sender<Result<(), CommitError>>;

/// Holds the commit it was made for, from the moment the store receives it.
///
/// The commit stays in flight when its caller is cancelled: that is what cancelling a request means.
/// A gate that is dropped loses the commit: it never lands, and a caller that still waits is told "unknown".
#[derive(Debug)]
pub struct Gate {
    slot: Arc<Slot>,
    state: Weak<Mutex<State>>,
}

#[derive(Debug, Default)]
struct Slot {
    held: Mutex<Held>,
    caught: Notify,
}

#[derive(Debug, Default)]
struct Held {
    commit: Option<Commit>,
    answer: Option<Answer>,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    pub(super) fn new(state: Weak<Mutex<State>>) -> Self {
        Self { slot: Arc::default(), state }
    }

    pub(super) fn hook(&self) -> Hook {
        Hook { slot: Arc::downgrade(&self.slot) }
    }

    /// Waits until the commit has arrived. Safe to cancel.
    pub async fn caught(&self) {
        while !self.has_caught() {
            self.slot.caught.notified().await;
        }
    }

    /// Whether the commit has arrived and is still in flight.
    #[must_use]
    pub fn has_caught(&self) -> bool {
        self.slot.lock().commit.is_some()
    }

    /// Tells the caller that the outcome is unknown; the commit stays in flight.
    pub fn lose_answer(&self) {
        self.answer(Err(CommitError::Unknown(StoreFault("the answer was lost".to_owned()))));
    }

    /// Lets the commit land now, subject to its preconditions as they are now, and tells the caller if it still
    /// waits. `None` where no commit was caught.
    pub fn land(self) -> Option<Result<(), CommitError>> {
        let commit = self.slot.lock().commit.take()?;
        let state = self.state.upgrade()?;
        let result = state.lock().unwrap_or_else(PoisonError::into_inner).apply(&commit);
        self.answer(result.clone());
        Some(result)
    }

    /// Answers the caller without anything landing: what a store does that refuses for its own reasons.
    pub fn refuse(self, error: CommitError) {
        self.slot.lock().commit = None;
        self.answer(Err(error));
    }

    fn answer(&self, result: Result<(), CommitError>) {
        if let Some(answer) = self.slot.lock().answer.take() {
            // A caller that was cancelled does not listen.
            let _ = answer.send(result);
        }
    }
}

/// The store's end of a gate.
#[derive(Debug)]
pub(super) struct Hook {
    slot: Weak<Slot>,
}

impl Hook {
    /// Whether the gate is still there.
    pub(super) fn is_wanted(&self) -> bool {
        self.slot.strong_count() > 0
    }

    /// Takes the commit; the answer comes when the gate decides.
    pub(super) fn catch(self, commit: Commit) -> oneshot::Receiver<Result<(), CommitError>> {
        let (answer, receiver) = oneshot::channel();
        if let Some(slot) = self.slot.upgrade() {
            *slot.lock() = Held { commit: Some(commit), answer: Some(answer) };
            slot.caught.notify_one();
        }
        receiver
    }
}
