//! Sessions: windows that grow with what falls into them.

use super::assign::{AssignError, Merge, WindowFn, micros};
use super::bounds::Window;
use pelton_domain::EventTime;
use std::time::Duration;

/// Windows that last as long as a key's records come less than a gap apart: each record opens a window of `gap`,
/// and those that overlap become one.
///
/// A record that is in time may join a session that ended up to one gap ago. So the state of a session is kept
/// that much longer than the allowed lateness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sessions {
    gap: Duration,
}

impl Sessions {
    /// Sessions that end `gap` after their last record.
    #[must_use]
    pub fn with_gap(gap: Duration) -> Self {
        Self { gap }
    }
}

impl<T> WindowFn<T> for Sessions {
    fn assign(&self, _: &T, at: EventTime) -> Result<Vec<Window>, AssignError> {
        let start = i128::from(at.as_micros());
        Ok(Window::of_micros(start, start + micros(self.gap)).into_iter().collect())
    }

    fn merge_reach(&self) -> Option<Duration> {
        Some(self.gap)
    }

    fn merge(&self, windows: &[Window]) -> Vec<Merge> {
        merge_overlapping(windows)
    }
}

/// Every group of windows that overlap, directly or through others of the group, becomes one window. For windows
/// of your own that merge as sessions do.
#[must_use]
pub fn merge_overlapping(windows: &[Window]) -> Vec<Merge> {
    let mut sorted = windows.to_vec();
    sorted.sort_unstable();
    let mut groups: Vec<Merge> = Vec::new();
    for window in sorted {
        match groups.last_mut().filter(|group| group.into.overlaps(window)) {
            Some(group) => {
                group.into = group.into.spanning(window);
                group.from.push(window);
            }
            None => groups.push(Merge { from: vec![window], into: window }),
        }
    }
    groups.retain(|group| group.from.len() > 1);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(start: i64, end: i64) -> Window {
        Window::new(EventTime::from_secs(start), EventTime::from_secs(end)).unwrap()
    }

    #[test]
    fn windows_that_overlap_become_one_and_those_that_touch_do_not() {
        let merges = merge_overlapping(&[window(8, 18), window(0, 10), window(18, 28), window(40, 50)]);
        assert_eq!(merges, [Merge { from: vec![window(0, 10), window(8, 18)], into: window(0, 18) }]);
    }

    proptest! {
        #[test]
        fn after_merging_no_two_windows_overlap(starts in prop::collection::vec((0i64..60, 1i64..9), 0..12)) {
            let mut windows: Vec<Window> = starts.into_iter().map(|(at, len)| window(at, at + len)).collect();
            windows.sort_unstable();
            windows.dedup();
            let merges = merge_overlapping(&windows);
            let merged = |w: &Window| merges.iter().any(|m| m.from.contains(w));
            let mut left: Vec<Window> = windows.iter().copied().filter(|w| !merged(w)).collect();
            left.extend(merges.iter().map(|m| m.into));
            for (n, a) in left.iter().enumerate() {
                prop_assert!(left.iter().skip(n + 1).all(|b| !a.overlaps(*b)));
            }
            let count: usize = merges.iter().map(|m| m.from.len()).sum();
            prop_assert!(count <= windows.len());
        }
    }
}
