//! Which intervals to split because they are hot, and to merge because they are cold. Pure and deterministic.
//!
//! Two guards keep a split and a merge from chasing each other:
//!
//! 1. A merge is suggested only where both parts together are well below what is split, at most half of it
//!    ([`HeatLimits::new`] refuses more): so the halves of a fresh split are not merged under the load that
//!    split them, nor is a fresh merge split.
//! 2. Hot and cold must last: a suggestion comes after `rounds_min` observations in a row, and each change
//!    of bounds begins the count anew.
//!
//! An interval is split at its middle position. Positions are hashes, so that halves the keys, but not a single
//! hot key: its interval splits until `intervals_max`, and no further.

use crate::report::Load;
use pelton_domain::{KeyInterval, KeyPosition};
use std::collections::BTreeMap;

/// When to split and to merge. Always valid: see [`HeatLimits::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeatLimits {
    hot: Load,
    merge_pressure_permille_max: u32,
    rounds_min: u32,
    intervals_min: usize,
    intervals_max: usize,
}

/// Why limits are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeatLimitsError {
    /// A load of nothing would be hot.
    #[error("an interval cannot be hot at no load: busy_permille and memory_bytes must be above 0")]
    HotAtNothing,
    /// What is merged could be split at once.
    #[error("merge_pressure_permille_max is {0}, and above 500 a merge and a split could chase each other")]
    MergesTooHot(u32),
    /// No number of intervals would do.
    #[error("intervals_min is {min} and intervals_max {max}: at least 1, and no more than the other")]
    Intervals {
        /// The least number of intervals.
        min: usize,
        /// The greatest.
        max: usize,
    },
}

impl HeatLimits {
    /// From so many bytes on an interval is hot, unless told otherwise.
    pub const HOT_BYTES: u64 = 1 << 30;
    /// How warm two intervals together may be to become one, unless told otherwise.
    pub const MERGE_PRESSURE_PERMILLE: u32 = 300;
    /// How many intervals a computation may have, unless told otherwise.
    pub const INTERVALS_MAX: usize = 4_096;

    /// An interval is hot when it is at `hot` in either measure; two neighbours are cold when both together are
    /// at most `merge_pressure_permille_max` thousandths of that in both; either must last `rounds_min` rounds.
    ///
    /// # Errors
    /// [`HeatLimitsError`] where a split and a merge could chase each other, or no count would do.
    pub fn new(
        hot: Load,
        merge_pressure_permille_max: u32,
        rounds_min: u32,
        intervals_min: usize,
        intervals_max: usize,
    ) -> Result<Self, HeatLimitsError> {
        if hot.busy_permille == 0 || hot.memory_bytes == 0 {
            return Err(HeatLimitsError::HotAtNothing);
        }
        if merge_pressure_permille_max > 500 {
            return Err(HeatLimitsError::MergesTooHot(merge_pressure_permille_max));
        }
        if intervals_min == 0 || intervals_min > intervals_max {
            return Err(HeatLimitsError::Intervals { min: intervals_min, max: intervals_max });
        }
        Ok(Self {
            hot,
            merge_pressure_permille_max,
            rounds_min: rounds_min.max(1),
            intervals_min,
            intervals_max,
        })
    }

    /// The load in thousandths of what is hot, by the greater of the two measures.
    #[must_use]
    pub fn pressure_permille(&self, load: Load) -> u64 {
        let busy = u64::from(load.busy_permille) * 1000 / u64::from(self.hot.busy_permille);
        busy.max(load.memory_bytes.saturating_mul(1000) / self.hot.memory_bytes)
    }
}

impl Default for HeatLimits {
    /// Hot at 70 % of a processor or 1 GiB; a merge leaves at most 30 % of that; three rounds; 8 to 4,096 intervals.
    fn default() -> Self {
        Self {
            hot: Load { busy_permille: 700, memory_bytes: Self::HOT_BYTES },
            merge_pressure_permille_max: Self::MERGE_PRESSURE_PERMILLE,
            rounds_min: 3,
            intervals_min: 8,
            intervals_max: Self::INTERVALS_MAX,
        }
    }
}

/// A change of bounds that is worth making.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reshape {
    /// One interval becomes two.
    Split {
        /// Which.
        whole: KeyInterval,
        /// Its halves, ascending.
        parts: Neighbours,
    },
    /// Two neighbours become one.
    Merge {
        /// Which, ascending.
        parts: Neighbours,
        /// What they become.
        whole: KeyInterval,
    },
}

/// Two intervals, the second right behind the first.
pub type Neighbours = (KeyInterval, KeyInterval);

/// Watches the loads of one computation's intervals, and says what to split and to merge.
#[derive(Clone, Debug)]
pub struct Heat {
    limits: HeatLimits,
    /// For how many rounds each interval has been hot.
    hot_rounds: BTreeMap<KeyInterval, u32>,
    /// For how many rounds two neighbours have been cold together.
    cold_rounds: BTreeMap<Neighbours, u32>,
}

impl Heat {
    /// Begins to watch.
    #[must_use]
    pub fn new(limits: HeatLimits) -> Self {
        Self { limits, hot_rounds: BTreeMap::new(), cold_rounds: BTreeMap::new() }
    }

    /// One round: the loads of all intervals as last reported, in any order. Returns what is worth doing,
    /// ascending and no interval twice; the caller may do all, some or none of it.
    ///
    /// The number of intervals stays within the limits if all is done. Splits go before merges, the hottest
    /// first, and merges the coldest first.
    pub fn observe(&mut self, loads: &[(KeyInterval, Load)]) -> Vec<Reshape> {
        let mut sorted = loads.to_vec();
        sorted.sort_unstable_by_key(|(interval, _)| *interval);
        let splits = self.splits(&sorted);
        let merges = self.merges(&sorted);
        let mut count = sorted.len();
        let mut taken: Vec<KeyInterval> = Vec::new();
        let mut out = Vec::new();
        for whole in splits {
            if let (true, Some(parts)) = (count < self.limits.intervals_max, whole.halves()) {
                out.push(Reshape::Split { whole, parts });
                taken.push(whole);
                count += 1;
            }
        }
        for (parts, whole) in merges {
            if count > self.limits.intervals_min && !taken.iter().any(|taken| taken.overlaps(whole)) {
                out.push(Reshape::Merge { parts, whole });
                taken.push(whole);
                count -= 1;
            }
        }
        out.sort_unstable();
        out
    }

    /// The intervals that were hot long enough, the hottest first.
    fn splits(&mut self, sorted: &[(KeyInterval, Load)]) -> Vec<KeyInterval> {
        let pressure = |load: &Load| self.limits.pressure_permille(*load);
        let hot: Vec<(u64, KeyInterval)> = sorted
            .iter()
            .map(|(interval, load)| (pressure(load), *interval))
            .filter(|(p, _)| *p >= 1000)
            .collect();
        count_rounds(&mut self.hot_rounds, hot.iter().map(|(_, interval)| *interval));
        let lasts = |interval: &KeyInterval| self.hot_rounds.get(interval) >= Some(&self.limits.rounds_min);
        let mut splits: Vec<_> = hot.into_iter().filter(|(_, interval)| lasts(interval)).collect();
        splits.sort_unstable_by_key(|(pressure, interval)| (std::cmp::Reverse(*pressure), *interval));
        splits.into_iter().map(|(_, interval)| interval).collect()
    }

    /// The neighbours that were cold long enough, the coldest first, and what they become.
    fn merges(&mut self, sorted: &[(KeyInterval, Load)]) -> Vec<(Neighbours, KeyInterval)> {
        let pair = |((left, a), (right, b)): (&(KeyInterval, Load), &(KeyInterval, Load))| {
            let whole = joined(*left, *right)?;
            let pressure = self.limits.pressure_permille(a.plus(*b));
            let cold = pressure <= u64::from(self.limits.merge_pressure_permille_max);
            cold.then_some((pressure, (*left, *right), whole))
        };
        let cold: Vec<_> = sorted.iter().zip(sorted.iter().skip(1)).filter_map(pair).collect();
        count_rounds(&mut self.cold_rounds, cold.iter().map(|(_, parts, _)| *parts));
        let lasts = |parts: &Neighbours| self.cold_rounds.get(parts) >= Some(&self.limits.rounds_min);
        let mut merges: Vec<_> = cold.into_iter().filter(|(_, parts, _)| lasts(parts)).collect();
        merges.sort_unstable_by_key(|(pressure, parts, _)| (*pressure, *parts));
        merges.into_iter().map(|(_, parts, whole)| (parts, whole)).collect()
    }
}

/// Counts one more round for those that are there now, and forgets the others.
fn count_rounds<T: Ord>(rounds: &mut BTreeMap<T, u32>, now: impl Iterator<Item = T>) {
    let counted = now.map(|what| {
        let count = rounds.get(&what).map_or(1, |count| count.saturating_add(1));
        (what, count)
    });
    *rounds = counted.collect();
}

/// Two intervals as one, where the second begins right behind the first.
fn joined(left: KeyInterval, right: KeyInterval) -> Option<KeyInterval> {
    let neighbours = left.last().0.checked_add(1).map(KeyPosition) == Some(right.first());
    neighbours.then(|| KeyInterval::new(left.first(), right.last())).flatten()
}

#[cfg(test)]
#[path = "heat_tests.rs"]
mod tests;
