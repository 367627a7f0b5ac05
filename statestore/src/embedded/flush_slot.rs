//! The place where the committer leaves one frozen table for the flusher, and waits when it is taken (I11).

use super::table::Table;
use crate::store::StoreFault;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A frozen table and the log that holds the same.
#[derive(Clone, Debug)]
pub(super) struct FlushJob {
    pub(super) table: Arc<Table>,
    /// To be removed once the table is settled.
    pub(super) segments: Vec<PathBuf>,
    /// The last frame in them.
    pub(super) last_sequence: u64,
}

#[derive(Debug, Default)]
struct Slot {
    job: Option<FlushJob>,
    /// Why the flusher does not get on, while it does not.
    failing: Option<StoreFault>,
    is_closing: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct FlushSlot {
    slot: Mutex<Slot>,
    changed: Condvar,
}

impl FlushSlot {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the slot is free.
    ///
    /// # Errors
    /// Why it does not get free for now: then waiting is up to the callers of commits, not to this thread.
    pub(super) fn wait_until_free(&self) -> Result<(), StoreFault> {
        let is_busy = |slot: &mut Slot| slot.job.is_some() && slot.failing.is_none() && !slot.is_closing;
        let slot = self.changed.wait_while(self.lock(), is_busy).unwrap_or_else(PoisonError::into_inner);
        match (&slot.job, &slot.failing) {
            (None, _) => Ok(()),
            (Some(_), Some(fault)) => Err(fault.clone()),
            (Some(_), None) => Err(StoreFault("the store is being closed".to_owned())),
        }
    }

    /// Puts a job into the free slot.
    pub(super) fn submit(&self, job: FlushJob) {
        let mut slot = self.lock();
        debug_assert!(slot.job.is_none(), "I11: at most one frozen table");
        slot.job = Some(job);
        self.changed.notify_all();
    }

    /// The next job, left in the slot until [`FlushSlot::done`]; `None` once the store is being closed.
    pub(super) fn next(&self) -> Option<FlushJob> {
        let is_idle = |slot: &mut Slot| slot.job.is_none() && !slot.is_closing;
        let slot = self.changed.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner);
        slot.job.clone().filter(|_| !slot.is_closing)
    }

    /// The job is done; the slot is free.
    pub(super) fn done(&self) {
        let mut slot = self.lock();
        (slot.job, slot.failing) = (None, None);
        self.changed.notify_all();
    }

    /// Waits a moment; `false` once the store is being closed.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let waiting = self.changed.wait_timeout_while(self.lock(), pause, |slot| !slot.is_closing);
        !waiting.unwrap_or_else(PoisonError::into_inner).0.is_closing
    }

    /// The job failed and will be tried again after `pause`; `false` once the store is being closed.
    pub(super) fn failed(&self, fault: StoreFault, pause: Duration) -> bool {
        self.lock().failing = Some(fault);
        self.changed.notify_all();
        self.pause(pause)
    }

    /// Lets everyone go who waits here.
    pub(super) fn close(&self) {
        self.lock().is_closing = true;
        self.changed.notify_all();
    }
}
