//! Key positions and the intervals over them.
//!
//! A key's position is a stable 64-bit hash, so a range of positions is a fair share of the keys. Intervals
//! are the unit of ownership, reporting and moving (I1): the intervals of one computation cover every
//! position exactly once.

use crate::record::Key;
use std::fmt;
use xxhash_rust::xxh3::xxh3_64;

/// A stable 64-bit hash of a key (XXH3, seed 0). It is written into stores: it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPosition(pub u64);

impl KeyPosition {
    /// The position of `key`.
    #[must_use]
    pub fn of(key: &Key) -> Self {
        Self(xxh3_64(key.as_bytes()))
    }
}

impl fmt::Display for KeyPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A non-empty range of key positions, both ends included.
///
/// The design calls intervals half-open; the last position is stored instead of the end, because the end
/// of the last interval, 2^64, is no `u64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyInterval {
    first: KeyPosition,
    last: KeyPosition,
}

impl KeyInterval {
    /// Every position.
    pub const FULL: Self = Self { first: KeyPosition(0), last: KeyPosition(u64::MAX) };

    /// The positions from `first` to `last`, both included; `None` where that is empty.
    #[must_use]
    pub fn new(first: KeyPosition, last: KeyPosition) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The lowest position in it.
    #[must_use]
    pub fn first(self) -> KeyPosition {
        self.first
    }

    /// The highest position in it.
    #[must_use]
    pub fn last(self) -> KeyPosition {
        self.last
    }

    /// Whether `position` lies in it.
    #[must_use]
    pub fn contains(self, position: KeyPosition) -> bool {
        self.first <= position && position <= self.last
    }

    /// Whether the two share a position.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Cuts every position into `count` intervals of nearly one size, in order; `count` of 0 counts as 1.
    #[must_use]
    pub fn partition(count: u32) -> Vec<Self> {
        let count = u128::from(count.max(1));
        let end = 1u128 << 64;
        let at = |i: u128| u64::try_from(end * i / count).unwrap_or(u64::MAX);
        (0..count)
            .map(|i| {
                let last = if i + 1 == count { u64::MAX } else { at(i + 1) - 1 };
                Self { first: KeyPosition(at(i)), last: KeyPosition(last) }
            })
            .collect()
    }

    /// Cuts it in two below `at`, which becomes the first position of the second half; `None` where one
    /// half would be empty.
    #[must_use]
    pub fn split_at(self, at: KeyPosition) -> Option<(Self, Self)> {
        if at <= self.first || at > self.last {
            return None;
        }
        Some((Self { first: self.first, last: KeyPosition(at.0 - 1) }, Self { first: at, last: self.last }))
    }

    /// Cuts it in two halves of nearly one size; `None` for a single position.
    #[must_use]
    pub fn halves(self) -> Option<(Self, Self)> {
        let middle = self.first.0 + (self.last.0 - self.first.0) / 2;
        middle.checked_add(1).and_then(|at| self.split_at(KeyPosition(at)))
    }

    /// Whether `parts`, in any order, cover exactly the positions of `whole`, each once.
    #[must_use]
    pub fn is_partition_of(parts: &[Self], whole: &[Self]) -> bool {
        fn joined(intervals: &[KeyInterval]) -> Option<Vec<KeyInterval>> {
            let mut sorted = intervals.to_vec();
            sorted.sort_unstable();
            let mut out: Vec<KeyInterval> = Vec::with_capacity(sorted.len());
            for next in sorted {
                match out.last_mut() {
                    Some(before) if next.first <= before.last => return None,
                    Some(before) if before.last.0.checked_add(1) == Some(next.first.0) => {
                        before.last = next.last
                    }
                    _ => out.push(next),
                }
            }
            Some(out)
        }
        matches!((joined(parts), joined(whole)), (Some(a), Some(b)) if a == b)
    }
}

impl fmt::Display for KeyInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}..={}]", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_partition_covers_every_position_once(count in 1u32..200) {
            let parts = KeyInterval::partition(count);
            prop_assert_eq!(parts.len(), count as usize);
            prop_assert!(KeyInterval::is_partition_of(&parts, &[KeyInterval::FULL]));
        }

        #[test]
        fn halves_cover_the_whole(a: u64, b: u64) {
            let whole = KeyInterval::new(KeyPosition(a.min(b)), KeyPosition(a.max(b))).unwrap();
            match whole.halves() {
                Some((low, high)) => prop_assert!(KeyInterval::is_partition_of(&[high, low], &[whole])),
                None => prop_assert_eq!(a, b),
            }
        }
    }

    #[test]
    fn an_overlap_or_a_gap_is_no_partition() {
        let i = |a, b| KeyInterval::new(KeyPosition(a), KeyPosition(b)).unwrap();
        assert!(KeyInterval::is_partition_of(&[i(0, 4), i(5, 9)], &[i(0, 9)]));
        assert!(!KeyInterval::is_partition_of(&[i(0, 5), i(5, 9)], &[i(0, 9)]));
        assert!(!KeyInterval::is_partition_of(&[i(0, 3), i(5, 9)], &[i(0, 9)]));
        assert!(KeyInterval::new(KeyPosition(2), KeyPosition(1)).is_none());
    }

    #[test]
    fn positions_are_stable_across_versions() {
        assert_eq!(KeyPosition::of(&Key::from("JFK")), KeyPosition(xxh3_64(b"JFK")));
        assert_eq!(KeyPosition::of(&Key::from("")).0, 0x2d06_8005_38d3_94c2);
    }
}
