//! A window: a half-open range of event time.

use pelton_domain::EventTime;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The bytes of a window as a namespace of state and timers.
const NAMESPACE_BYTES: usize = 16;

/// A range of event time, from `start` up to and without `end`. Never empty.
///
/// ```
/// use pelton::EventTime;
/// use pelton::window::Window;
/// let hour = Window::new(EventTime::from_secs(0), EventTime::from_secs(3600)).unwrap();
/// assert_eq!(hour.latest().as_micros(), 3_599_999_999);
/// assert!(Window::new(hour.end(), hour.start()).is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "(i64, i64)", try_from = "(i64, i64)")]
pub struct Window {
    start: EventTime,
    end: EventTime,
}

impl Window {
    /// All of time: the one window of [`GlobalWindow`](super::GlobalWindow).
    pub const GLOBAL: Self = Self { start: EventTime::MIN, end: EventTime::MAX };

    /// The window from `start` up to and without `end`; `None` where that is empty.
    #[must_use]
    pub fn new(start: EventTime, end: EventTime) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// The window of these microseconds, cut at the infinities.
    pub(super) fn of_micros(start: i128, end: i128) -> Option<Self> {
        let cut = |at: i128| {
            EventTime::from_micros(i64::try_from(at).unwrap_or(if at < 0 { i64::MIN } else { i64::MAX }))
        };
        Self::new(cut(start), cut(end))
    }

    /// Its first moment.
    #[must_use]
    pub const fn start(self) -> EventTime {
        self.start
    }

    /// The first moment that is not in it any more.
    #[must_use]
    pub const fn end(self) -> EventTime {
        self.end
    }

    /// Its last moment: what a pane that speaks for the whole window has as its event time.
    #[must_use]
    pub const fn latest(self) -> EventTime {
        EventTime::from_micros(self.end.as_micros().saturating_sub(1))
    }

    /// Whether `at` is in it.
    #[must_use]
    pub fn contains(self, at: EventTime) -> bool {
        self.start <= at && at < self.end
    }

    /// Whether the two have a moment in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// The least window that both are in.
    #[must_use]
    pub fn spanning(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// What its state and timers are kept under: in the order of starts, then of ends.
    pub(crate) fn namespace(self) -> [u8; NAMESPACE_BYTES] {
        let mut bytes = [0; NAMESPACE_BYTES];
        let (start, end) = bytes.split_at_mut(NAMESPACE_BYTES / 2);
        start.copy_from_slice(&ordered(self.start).to_be_bytes());
        end.copy_from_slice(&ordered(self.end).to_be_bytes());
        bytes
    }

    /// The window of a namespace; `None` where it is none.
    pub(crate) fn of_namespace(bytes: &[u8]) -> Option<Self> {
        let (start, end) = bytes.split_first_chunk::<8>()?;
        let end: &[u8; 8] = end.try_into().ok()?;
        let time =
            |bytes: &[u8; 8]| EventTime::from_micros((u64::from_be_bytes(*bytes) ^ SIGN).cast_signed());
        Self::new(time(start), time(end))
    }
}

/// Flipped, so that negative times come first.
const SIGN: u64 = 1 << 63;

fn ordered(time: EventTime) -> u64 {
    time.as_micros().cast_unsigned() ^ SIGN
}

impl From<Window> for (i64, i64) {
    fn from(window: Window) -> Self {
        (window.start.as_micros(), window.end.as_micros())
    }
}

impl TryFrom<(i64, i64)> for Window {
    type Error = String;

    fn try_from((start, end): (i64, i64)) -> Result<Self, String> {
        let (start, end) = (EventTime::from_micros(start), EventTime::from_micros(end));
        Self::new(start, end).ok_or_else(|| format!("a window from {start} to {end} is empty"))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn namespaces_give_windows_back_and_sort_as_they_do(
            a in (any::<i64>(), any::<i64>()),
            b in (any::<i64>(), any::<i64>()),
        ) {
            if let (Ok(a), Ok(b)) = (Window::try_from(a), Window::try_from(b)) {
                prop_assert_eq!(Window::of_namespace(&a.namespace()), Some(a));
                prop_assert_eq!(a.namespace().cmp(&b.namespace()), a.cmp(&b));
            }
        }

        #[test]
        fn bytes_that_are_no_window_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            if let Some(window) = Window::of_namespace(&bytes) {
                prop_assert_eq!(&window.namespace()[..], &bytes[..]);
            }
        }
    }
}
