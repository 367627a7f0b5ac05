//! Intervals over workers: evenly, and with few moves when workers come and go. Pure and deterministic.
//!
//! Kept, and tested as properties:
//!
//! 1. Of every computation, two workers own numbers of intervals that differ by at most one.
//! 2. So do they in total, over all computations.
//! 3. For one computation the moves are as few as 1 allows. Over several, 2 may cost more: each such move
//!    takes an interval from a worker with two too many, so it is never taken back.
//! 4. What is spread already stays: planning again moves nothing.

use super::Worker;
use std::collections::{BTreeMap, BTreeSet};

/// One interval to be owned: of which computation, which (by any ordered name), and by whom now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned<T> {
    /// The computation's number.
    pub computation: u32,
    /// Which interval of it.
    pub interval: T,
    /// Who owns it; `None` where nobody does.
    pub owner: Option<Worker>,
}

/// An interval that is to be assigned to another worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Move<T> {
    /// The computation's number.
    pub computation: u32,
    /// Which interval of it.
    pub interval: T,
    /// To whom.
    pub to: Worker,
}

/// The moves after which `intervals` are spread evenly over `workers`; none where there are no workers.
///
/// Intervals whose owner is not among the workers always move. Costs about
/// `intervals * log(intervals) + moves * workers * computations` steps.
#[must_use]
pub fn spread<T: Clone + Ord>(workers: &[Worker], intervals: &[Owned<T>]) -> Vec<Move<T>> {
    let workers: BTreeSet<&Worker> = workers.iter().collect();
    let names: Vec<&Worker> = workers.iter().copied().collect();
    if names.is_empty() {
        return Vec::new();
    }
    let mut hands = Hands { names, computations: BTreeMap::new(), totals: vec![0; workers.len()] };
    let mut loose: BTreeMap<u32, Vec<&T>> = BTreeMap::new();
    let mut before: BTreeMap<(u32, &T), Option<usize>> = BTreeMap::new();
    for Owned { computation, interval, owner } in intervals {
        let owner = owner.as_ref().and_then(|owner| hands.names.binary_search(&owner).ok());
        if before.insert((*computation, interval), owner).is_some() {
            continue;
        }
        match owner {
            Some(owner) => hands.give(*computation, owner, interval),
            None => loose.entry(*computation).or_default().push(interval),
        }
    }
    let computations: BTreeSet<u32> = before.keys().map(|(computation, _)| *computation).collect();
    for computation in computations {
        hands.level(computation, loose.remove(&computation).unwrap_or_default());
    }
    hands.level_totals();
    hands.moves(&before)
}

/// What every worker holds while the plan is made. Workers are numbered in the order of their names.
struct Hands<'a, T> {
    names: Vec<&'a Worker>,
    /// By computation, by worker, the intervals it holds, ascending.
    computations: BTreeMap<u32, Vec<BTreeSet<&'a T>>>,
    totals: Vec<usize>,
}

impl<'a, T: Clone + Ord> Hands<'a, T> {
    fn held(&mut self, computation: u32) -> &mut Vec<BTreeSet<&'a T>> {
        let workers = self.names.len();
        self.computations.entry(computation).or_insert_with(|| vec![BTreeSet::new(); workers])
    }

    fn give(&mut self, computation: u32, worker: usize, interval: &'a T) {
        if let Some(held) = self.held(computation).get_mut(worker) {
            held.insert(interval);
        }
        if let Some(total) = self.totals.get_mut(worker) {
            *total += 1;
        }
    }

    fn take(&mut self, computation: u32, worker: usize) -> Option<&'a T> {
        let interval = self.held(computation).get_mut(worker)?.pop_last()?;
        if let Some(total) = self.totals.get_mut(worker) {
            *total -= 1;
        }
        Some(interval)
    }

    /// Brings every worker to its share of one computation: those above it give, and loose intervals go to
    /// those below. The shares that are one larger go to who holds most already, so that fewest move.
    fn level(&mut self, computation: u32, mut loose: Vec<&'a T>) {
        let counts: Vec<usize> = self.held(computation).iter().map(BTreeSet::len).collect();
        let intervals = counts.iter().sum::<usize>() + loose.len();
        let (share, larger) = (intervals / counts.len().max(1), intervals % counts.len().max(1));
        let mut order: Vec<(usize, usize, usize)> = counts
            .iter()
            .zip(&self.totals)
            .enumerate()
            // Held beyond the share is what counts: below it, one more or less moves as much.
            .map(|(worker, (count, total))| (count.saturating_sub(share).min(1), *total, worker))
            .collect();
        order.sort_unstable_by_key(|(beyond, total, worker)| (std::cmp::Reverse(*beyond), *total, *worker));
        let mut shares = vec![share; counts.len()];
        for (_, _, worker) in order.iter().take(larger) {
            if let Some(share) = shares.get_mut(*worker) {
                *share += 1;
            }
        }
        for (worker, (count, share)) in counts.iter().zip(&shares).enumerate() {
            for _ in *share..*count {
                loose.extend(self.take(computation, worker));
            }
        }
        loose.sort_unstable_by(|a, b| b.cmp(a));
        for (worker, (count, share)) in counts.iter().zip(&shares).enumerate() {
            for _ in *count..*share {
                if let Some(interval) = loose.pop() {
                    self.give(computation, worker, interval);
                }
            }
        }
    }

    /// Evens out the totals: while one worker has two more than another, some computation has one more of
    /// its intervals there than here, and giving that one away keeps the computation even.
    fn level_totals(&mut self) {
        loop {
            let by_total = |(worker, total): (usize, &usize)| (*total, worker);
            let Some((most, from)) = self.totals.iter().enumerate().map(by_total).max() else { return };
            let Some((least, to)) = self.totals.iter().enumerate().map(by_total).min() else { return };
            if most < least + 2 {
                return;
            }
            let count = |held: &Vec<BTreeSet<&T>>, worker: usize| held.get(worker).map_or(0, BTreeSet::len);
            let uneven = self.computations.iter().find(|(_, held)| count(held, from) > count(held, to));
            let Some(computation) = uneven.map(|(computation, _)| *computation) else { return };
            let Some(interval) = self.take(computation, from) else { return };
            self.give(computation, to, interval);
        }
    }

    /// Where every interval is now, against where it was.
    fn moves(&self, before: &BTreeMap<(u32, &T), Option<usize>>) -> Vec<Move<T>> {
        let mut moves = Vec::new();
        for (computation, held) in &self.computations {
            for ((worker, intervals), name) in held.iter().enumerate().zip(&self.names) {
                let moved = intervals.iter().filter(|interval| {
                    before.get(&(*computation, **interval)).is_some_and(|owner| *owner != Some(worker))
                });
                moves.extend(moved.map(|interval| Move {
                    computation: *computation,
                    interval: (*interval).clone(),
                    to: (*name).clone(),
                }));
            }
        }
        moves.sort_unstable();
        moves
    }
}

#[cfg(test)]
#[path = "spread_tests.rs"]
mod tests;
