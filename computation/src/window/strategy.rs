//! How windows fire and what they keep: everything but the windows themselves.

use super::assign::{micros, whole_micros};
use super::bounds::Window;
use super::trigger::Trigger;
use pelton_domain::EventTime;
use std::time::Duration;

/// What a pane holds of what earlier panes of its window have told already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accumulation {
    /// Nothing: only what has come since.
    #[default]
    Discarding,
    /// All of it: each pane replaces the one before.
    Accumulating,
    /// All of it, and the pane before is taken back first, by a pane with [`retraction`](super::Pane::retraction) set.
    /// Panes of windows that have been merged away are taken back too.
    Retracting,
}

/// The event time of a pane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampCombiner {
    /// The last moment of the window.
    #[default]
    EndOfWindow,
    /// The earliest of its records that was in time when it came. The output watermark waits there, so it holds
    /// everything behind it back the most.
    Earliest,
    /// The latest of its records.
    Latest,
}

/// What becomes of a window whose lateness is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Closing {
    /// A last pane, if anything has come that no pane has told.
    #[default]
    FireIfNonEmpty,
    /// A last pane in any case, unless the trigger has finished before.
    FireAlways,
    /// No pane. What no pane has told is dropped, and counted as late (I10).
    Discard,
}

/// What becomes of the pane on time where nothing has come since the last pane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTime {
    /// It fires: whoever waits for it learns that the window is over.
    #[default]
    FireAlways,
    /// It does not.
    FireIfNonEmpty,
}

/// How windows fire and what they keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strategy {
    /// When panes fire. Default: [`Trigger::Default`].
    pub trigger: Trigger,
    /// What a pane holds. Default: discarding.
    pub accumulation: Accumulation,
    /// How long after a window's end, by the watermark, it still takes records. Default 0.
    pub allowed_lateness: Duration,
    /// The event time of panes. Default: the end of the window.
    pub timestamps: TimestampCombiner,
    /// What becomes of a window whose lateness is over. Default: a last pane if there is anything to tell.
    pub closing: Closing,
    /// What becomes of an empty pane on time. Default: it fires.
    pub on_time: OnTime,
}

impl Strategy {
    /// Whether `window` takes no record any more at this watermark.
    pub(super) fn is_expired(&self, window: Window, watermark: EventTime) -> bool {
        watermark > window.end().plus(self.allowed_lateness)
    }

    /// When the state of `window` is collected: from then on no record can reach it.
    pub(super) fn collect_at(&self, window: Window, merge_reach: Option<Duration>) -> EventTime {
        let reach = merge_reach.unwrap_or_default();
        window.end().plus(self.allowed_lateness).plus(reach).plus(Duration::from_micros(1))
    }

    /// The event time that a record gives the pane it goes into, where the watermark has not passed it.
    pub(super) fn hold_of(&self, window: Window, at: EventTime, watermark: EventTime) -> Option<EventTime> {
        let hold = match self.timestamps {
            TimestampCombiner::EndOfWindow => window.latest(),
            TimestampCombiner::Earliest | TimestampCombiner::Latest => at,
        };
        (hold >= watermark).then_some(hold)
    }

    /// Whether a pane's event time is that of its window, whatever its records say.
    pub(super) fn is_at_end(&self) -> bool {
        self.timestamps == TimestampCombiner::EndOfWindow
    }

    /// The event time of a pane from those of its records.
    pub(super) fn combine_holds(&self, a: Option<EventTime>, b: Option<EventTime>) -> Option<EventTime> {
        match (a, b) {
            (Some(a), Some(b)) => Some(match self.timestamps {
                TimestampCombiner::Earliest => a.min(b),
                TimestampCombiner::EndOfWindow | TimestampCombiner::Latest => a.max(b),
            }),
            (one, other) => one.or(other),
        }
    }
}

/// A delay by the clock, from a pane's first record on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    delay_us: i64,
    align_us: Option<(i64, i64)>,
}

impl Delay {
    /// `delay` after the first record.
    #[must_use]
    pub fn of(delay: Duration) -> Self {
        let delay_us = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
        Self { delay_us, align_us: None }
    }

    /// Then on to the next multiple of `period`, counted from `offset` after the Unix epoch, if it is not one: so
    /// the panes of many keys fire together.
    #[must_use]
    pub fn aligned_to(mut self, period: Duration, offset: Duration) -> Self {
        let narrow = |us: i128| i64::try_from(us).unwrap_or(i64::MAX);
        let period = micros(period);
        self.align_us = Some((narrow(period), narrow(whole_micros(offset) % period)));
        self
    }

    /// When a pane is due whose first record comes at `now_us`.
    pub(super) fn due_us(self, now_us: i64) -> i64 {
        let due = now_us.saturating_add(self.delay_us);
        match self.align_us {
            None => due,
            Some((period, offset)) => {
                let past = due.saturating_sub(offset).rem_euclid(period);
                due.saturating_add(if past == 0 { 0 } else { period - past })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_aligned_upwards() {
        let delay = Delay::of(Duration::from_micros(5));
        assert_eq!(delay.due_us(10), 15);
        let aligned = delay.aligned_to(Duration::from_micros(10), Duration::from_micros(3));
        assert_eq!((aligned.due_us(8), aligned.due_us(9), aligned.due_us(-12)), (13, 23, -7));
        assert_eq!(Delay::of(Duration::MAX).aligned_to(Duration::MAX, Duration::ZERO).due_us(5), i64::MAX);
    }

    #[test]
    fn a_window_expires_only_once_its_lateness_is_exceeded() {
        let strategy = Strategy { allowed_lateness: Duration::from_secs(5), ..Strategy::default() };
        let window = Window::new(EventTime::from_secs(0), EventTime::from_secs(10)).unwrap();
        assert!(!strategy.is_expired(window, EventTime::from_secs(15)));
        assert!(strategy.is_expired(window, EventTime::from_micros(15_000_001)));
        assert_eq!(strategy.collect_at(window, None), EventTime::from_micros(15_000_001));
        assert!(!strategy.is_expired(Window::GLOBAL, EventTime::MAX));
    }
}
