//! The one place where the engine reads a clock: everything else is handed times.

use pelton_domain::{ProcessingTime, SystemTime};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A source of wall-clock time.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Now.
    fn now(&self) -> ProcessingTime;
}

/// A shared clock.
pub type ClockHandle = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "this is the module that provides the clock")]
    fn now(&self) -> ProcessingTime {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        ProcessingTime::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn at(now: ProcessingTime) -> Self {
        Self(AtomicI64::new(now.as_micros()))
    }

    /// Sets it to `now`, also backwards.
    pub fn set(&self, now: ProcessingTime) {
        self.0.store(now.as_micros(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> ProcessingTime {
        ProcessingTime::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A wall-clock time as the system time of ids.
pub(crate) fn system_time(now: ProcessingTime) -> SystemTime {
    SystemTime::from_millis(u64::try_from(now.as_micros() / 1000).unwrap_or(0))
}
