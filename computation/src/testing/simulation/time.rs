//! Virtual time: one scale for the whole cluster, and what each process takes it for.

use crate::engine::clock::Clock;
use pelton_domain::ProcessingTime;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Where virtual time begins, on the clocks of the cluster: the first of January 2026.
const EPOCH_US: i64 = 1_767_225_600_000_000;

/// Virtual time since the simulation began.
pub(crate) type Virtual = Duration;

/// The clock of one run of one process. Its runtime's clock stands still until it is moved, and began at `since`.
#[derive(Clone, Debug)]
pub(crate) struct ProcessClock {
    since: Virtual,
    began: Instant,
    skew: Skew,
}

/// By how much a process's wall clock is wrong; it outlives the process, as the machine's clock does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Skew(Arc<AtomicI64>);

impl Skew {
    pub(crate) fn set_us(&self, us: i64) {
        self.0.store(us, Ordering::Relaxed);
    }
}

impl ProcessClock {
    /// The clock of the runtime that this is called in, which begins now.
    #[expect(clippy::disallowed_methods, reason = "this is the module that provides the clock")]
    pub(crate) fn begin(since: Virtual, skew: Skew) -> Self {
        Self { since, began: Instant::now(), skew }
    }

    /// Virtual time.
    #[expect(clippy::disallowed_methods, reason = "this is the module that provides the clock")]
    pub(crate) fn virtual_now(&self) -> Virtual {
        self.since + Instant::now().duration_since(self.began)
    }

    /// The moment of this runtime at which virtual time is `at`.
    pub(crate) fn moment(&self, at: Virtual) -> Instant {
        self.began + at.saturating_sub(self.since)
    }
}

impl Clock for ProcessClock {
    fn now(&self) -> ProcessingTime {
        let since = i64::try_from(self.virtual_now().as_micros()).unwrap_or(i64::MAX);
        let skew = self.skew.0.load(Ordering::Relaxed);
        ProcessingTime::from_micros(EPOCH_US.saturating_add(since).saturating_add(skew))
    }
}
