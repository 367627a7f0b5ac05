//! Which windows a record falls into: the trait, and the windows that need nothing but arithmetic.
//!
//! Pure. What becomes of the windows of a key is not decided here.

use super::bounds::Window;
use pelton_domain::EventTime;
use std::time::Duration;

/// Assigns records to windows, and says which windows of one key are to become one.
///
/// Implement it for windows of your own. Both calls must depend on their arguments only (I12).
///
/// ```
/// use pelton::EventTime;
/// use pelton::window::{AssignError, Window, WindowFn};
///
/// /// Everything up to the next full hour at which the shop closes.
/// #[derive(Clone)]
/// struct Shift;
///
/// impl<T> WindowFn<T> for Shift {
///     fn assign(&self, _: &T, at: EventTime) -> Result<Vec<Window>, AssignError> {
///         let hour = at.as_micros().div_euclid(3_600_000_000);
///         let (open, close) = if hour.rem_euclid(24) < 12 { (0, 12) } else { (12, 24) };
///         let day = hour - hour.rem_euclid(24);
///         let time = |hours: i64| EventTime::from_secs((day + hours) * 3600);
///         Ok(Window::new(time(open), time(close)).into_iter().collect())
///     }
/// }
/// ```
pub trait WindowFn<T>: Clone + Send + Sync + 'static {
    /// The windows of a record with this value and event time. With none, the record is dropped and counted.
    ///
    /// # Errors
    /// [`AssignError`] where the record can have no window: it becomes a dead letter.
    fn assign(&self, value: &T, at: EventTime) -> Result<Vec<Window>, AssignError>;

    /// For windows that merge: how long after the end of a window a record may still come that is in time and
    /// merges with it, as seen from that record's own window. Of sessions this is the gap. `None`: they do not merge.
    fn merge_reach(&self) -> Option<Duration> {
        None
    }

    /// Which of these windows of one key become one. They come sorted, and each one once. Only asked where there
    /// is a [`merge_reach`](Self::merge_reach).
    fn merge(&self, windows: &[Window]) -> Vec<Merge> {
        let _ = windows;
        Vec::new()
    }
}

/// Windows that become one. No window may be in two merges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// These,
    pub from: Vec<Window>,
    /// become this, which may be one of them.
    pub into: Window,
}

/// A record that can have no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no window for event time {at}: {reason}")]
pub struct AssignError {
    /// Its event time.
    pub at: EventTime,
    /// Why.
    pub reason: String,
}

/// Windows of one size, side by side: `[n * size + offset, (n + 1) * size + offset)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedWindows {
    size_us: i128,
    offset_us: i128,
}

impl FixedWindows {
    /// Windows of `size`, from the Unix epoch on.
    #[must_use]
    pub fn of(size: Duration) -> Self {
        Self { size_us: micros(size), offset_us: 0 }
    }

    /// Shifted by `offset`.
    #[must_use]
    pub fn offset(mut self, offset: Duration) -> Self {
        self.offset_us = whole_micros(offset) % self.size_us;
        self
    }
}

impl<T> WindowFn<T> for FixedWindows {
    fn assign(&self, _: &T, at: EventTime) -> Result<Vec<Window>, AssignError> {
        let start = floor(at, self.size_us, self.offset_us);
        Ok(Window::of_micros(start, start + self.size_us).into_iter().collect())
    }
}

/// Windows of one size that begin every period: `[n * period + offset, n * period + offset + size)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingWindows {
    size_us: i128,
    period_us: i128,
    offset_us: i128,
}

impl SlidingWindows {
    /// Windows of `size`, one beginning every `period`. A record is in `size / period` of them.
    #[must_use]
    pub fn of(size: Duration, period: Duration) -> Self {
        Self { size_us: micros(size), period_us: micros(period), offset_us: 0 }
    }

    /// Shifted by `offset`.
    #[must_use]
    pub fn offset(mut self, offset: Duration) -> Self {
        self.offset_us = whole_micros(offset) % self.period_us;
        self
    }
}

impl<T> WindowFn<T> for SlidingWindows {
    fn assign(&self, _: &T, at: EventTime) -> Result<Vec<Window>, AssignError> {
        let count = (self.size_us + self.period_us - 1) / self.period_us;
        if count > WINDOWS_PER_RECORD_MAX as i128 {
            let reason = format!(
                "{count} sliding windows overlap, and a record may be in {WINDOWS_PER_RECORD_MAX}: \
                 take a longer period or a smaller size"
            );
            return Err(AssignError { at, reason });
        }
        let last = floor(at, self.period_us, self.offset_us);
        let starts = (0..count).map(|n| last - n * self.period_us);
        let own = starts.filter(|start| start + self.size_us > i128::from(at.as_micros()));
        Ok(own.filter_map(|start| Window::of_micros(start, start + self.size_us)).collect())
    }
}

/// One window for all of time. It ends when the input does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GlobalWindow;

impl<T> WindowFn<T> for GlobalWindow {
    fn assign(&self, _: &T, _: EventTime) -> Result<Vec<Window>, AssignError> {
        Ok(vec![Window::GLOBAL])
    }
}

/// At most so many windows of one record: each costs an entry of state.
pub const WINDOWS_PER_RECORD_MAX: usize = 1_024;

/// A duration in whole microseconds, as far as times go.
pub(super) fn whole_micros(duration: Duration) -> i128 {
    i128::try_from(duration.as_micros()).unwrap_or(i128::MAX).min(i128::from(i64::MAX))
}

/// As [`whole_micros`], and at least one, for what must not be empty.
pub(super) fn micros(duration: Duration) -> i128 {
    whole_micros(duration).max(1)
}

/// The last multiple of `step`, counted from `offset`, that is not after `at`.
fn floor(at: EventTime, step: i128, offset: i128) -> i128 {
    let at = i128::from(at.as_micros());
    at - (at - offset).rem_euclid(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(windows: &impl WindowFn<()>, at: i64) -> Vec<(i64, i64)> {
        let windows = windows.assign(&(), EventTime::from_secs(at)).unwrap();
        windows.iter().map(|w| (w.start().as_micros() / 1_000_000, w.end().as_micros() / 1_000_000)).collect()
    }

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn fixed_windows_lie_side_by_side_before_and_after_the_epoch() {
        let windows = FixedWindows::of(secs(10)).offset(secs(23));
        assert_eq!(seconds(&windows, 3), [(3, 13)]);
        assert_eq!(seconds(&windows, 2), [(-7, 3)]);
        assert_eq!(seconds(&windows, -8), [(-17, -7)]);
    }

    #[test]
    fn a_record_is_in_every_sliding_window_that_covers_it_and_no_other() {
        assert_eq!(seconds(&SlidingWindows::of(secs(15), secs(5)), 7), [(5, 20), (0, 15), (-5, 10)]);
        assert_eq!(seconds(&SlidingWindows::of(secs(12), secs(5)), 9), [(5, 17), (0, 12)]);
        let gaps = SlidingWindows::of(secs(2), secs(5)).offset(secs(1));
        assert_eq!(seconds(&gaps, 2), [(1, 3)]);
        assert_eq!(seconds(&gaps, 4), [], "between two windows");
    }

    #[test]
    fn too_many_sliding_windows_are_refused_in_words() {
        let error = WindowFn::assign(&SlidingWindows::of(secs(86_400), secs(1)), &(), EventTime::MIN);
        assert!(error.unwrap_err().to_string().contains("86400 sliding windows overlap"));
    }

    #[test]
    fn windows_at_the_infinities_are_cut_and_do_not_panic() {
        for at in [EventTime::MIN, EventTime::MAX, EventTime::from_micros(i64::MAX - 1)] {
            for window in WindowFn::assign(&SlidingWindows::of(secs(10), secs(3)), &(), at).unwrap() {
                assert!(window.contains(at) || at == EventTime::MAX);
            }
            let _ = WindowFn::assign(&FixedWindows::of(Duration::MAX), &(), at).unwrap();
        }
    }
}
