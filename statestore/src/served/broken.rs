//! Whether the store behind the service failed, and with what first (I3).

use crate::store::StoreFault;
use std::sync::OnceLock;
use tokio_util::sync::CancellationToken;

/// Set once, by whichever call notices first.
#[derive(Debug, Default)]
pub(super) struct Broken {
    fault: OnceLock<StoreFault>,
    noticed: CancellationToken,
}

impl Broken {
    /// The store failed with `fault`.
    pub(super) fn notice(&self, fault: &StoreFault) {
        if self.fault.set(fault.clone()).is_ok() {
            tracing::error!(%fault, "the store failed: the service ends");
        }
        self.noticed.cancel();
    }

    /// Waits until it has failed.
    pub(super) async fn noticed(&self) {
        self.noticed.cancelled().await;
    }

    /// What it failed with.
    pub(super) fn fault(&self) -> Option<StoreFault> {
        self.fault.get().cloned()
    }
}
