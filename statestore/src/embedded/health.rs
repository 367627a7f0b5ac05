//! Whether a store can still be trusted. Once it is broken it stays so until it is reopened.

use crate::store::StoreFault;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Broken or not, and by what first.
#[derive(Debug, Default)]
pub(super) struct Health {
    fault: OnceLock<StoreFault>,
    is_abandoned: AtomicBool,
}

impl Health {
    /// The threads of the store end as they would if the process were killed: nothing is closed.
    pub(super) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
    }

    /// See [`Health::abandon`].
    pub(super) fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(Ordering::Relaxed)
    }

    /// The store is broken from now on: what its log holds is known only after reopening it (I3).
    pub(super) fn break_with(&self, fault: StoreFault) {
        let text = fault.0.clone();
        if self.fault.set(fault).is_ok() {
            tracing::error!(fault = %text, "the store is broken: stop the process and reopen the store");
        }
    }

    /// What broke it.
    pub(super) fn fault(&self) -> Option<StoreFault> {
        self.fault.get().cloned()
    }

    /// Breaks the store if the current thread panics before the guard is dropped.
    pub(super) fn guard<'a>(&'a self, thread: &'static str) -> PanicGuard<'a> {
        PanicGuard { health: self, thread }
    }
}

/// See [`Health::guard`].
#[derive(Debug)]
pub(super) struct PanicGuard<'a> {
    health: &'a Health,
    thread: &'static str,
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.health.break_with(StoreFault(format!("the store's {} thread panicked", self.thread)));
        }
    }
}
