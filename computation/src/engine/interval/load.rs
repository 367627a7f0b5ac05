//! How much work an interval is: what splits and merges are decided on.

use super::core::Core;
use pelton_domain::ProcessingTime;
use pelton_injector::Load;

/// Over what time the load is measured, in microseconds.
const WINDOW_US: i64 = 1_000_000;
/// What a timer in memory takes, about.
const TIMER_BYTES: u64 = 350;

/// Measures the time that an interval works, waiting for the store within its calls included.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LoadMeter {
    began: Option<ProcessingTime>,
    busy_us: i64,
    busy_permille: u32,
}

impl LoadMeter {
    /// It has worked from `from` to `to`.
    pub(crate) fn worked(&mut self, from: ProcessingTime, to: ProcessingTime) {
        let began = self.began.get_or_insert(from);
        self.busy_us += (to.as_micros() - from.as_micros()).max(0);
        let elapsed_us = to.as_micros() - began.as_micros();
        // A clock that was set back begins a new window too.
        if !(0..WINDOW_US).contains(&elapsed_us) {
            let permille = self.busy_us.saturating_mul(1000) / elapsed_us.max(1);
            self.busy_permille = u32::try_from(permille.clamp(0, 1000)).unwrap_or(0);
            *self = Self { began: Some(to), busy_us: 0, busy_permille: self.busy_permille };
        }
    }

    /// The load as of the last full window, and the memory as of now.
    pub(crate) fn load(&self, core: &Core) -> Load {
        let bytes = core.scope.cached_bytes() + core.outbox.bytes();
        let timers = u64::try_from(core.scope.timers.len()).unwrap_or(u64::MAX).saturating_mul(TIMER_BYTES);
        let memory_bytes = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(timers);
        Load { busy_permille: self.busy_permille, memory_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: i64) -> ProcessingTime {
        ProcessingTime::from_micros(us)
    }

    #[test]
    fn half_the_time_at_work_is_500_permille_and_a_clock_set_back_is_no_load() {
        let mut meter = LoadMeter::default();
        (0..11).for_each(|i| meter.worked(at(i * 100_000), at(i * 100_000 + 50_000)));
        assert!((400..=600).contains(&meter.busy_permille), "{}", meter.busy_permille);
        meter.worked(at(-5_000_000), at(-5_000_000));
        meter.worked(at(-4_000_000), at(-4_000_000));
        assert_eq!(meter.busy_permille, 0);
    }
}
