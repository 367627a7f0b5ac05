//! The intervals of one computation: who is assigned which, what each last reported, and the minimum of it.
//!
//! * I7: a slot without a report of its current reign holds at [`Announced::LEAST`]; the minimum counts only
//!   while the intervals cover every position.
//! * I11: a slot holds the last report only, so memory grows with intervals, never with reports.

use super::min_tree::MinTree;
use super::reassign::ReassignRefused;
use crate::announced::Announced;
use crate::assign::{Assignment, Worker};
use crate::report::{Holder, IntervalReport, Load, ReportRefused};
use foldhash::fast::FixedState;
use pelton_domain::mutants::{Mutant, mutant};
use pelton_domain::{KeyInterval, KeyPosition, ProcessingTime, Sequencer};
use std::collections::{BTreeMap, HashMap};

/// How many key positions there are.
const POSITIONS: u128 = 1 << 64;

/// One interval: its assignment, and its last report where there is one.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) interval: KeyInterval,
    pub(super) sequencer: Sequencer,
    pub(super) worker: Worker,
    /// When its low watermark last changed; `None` while nothing was reported in this reign.
    pub(super) since: Option<ProcessingTime>,
    pub(super) holder: Option<Holder>,
    pub(super) load: Load,
}

impl Slot {
    pub(super) fn assignment(&self) -> Assignment {
        Assignment { interval: self.interval, sequencer: self.sequencer, worker: self.worker.clone() }
    }
}

/// What a report is checked against, so that one look-up decides whether it counts.
#[derive(Clone, Copy, Debug)]
struct Entry {
    first: KeyPosition,
    sequencer: Sequencer,
    index: usize,
}

/// All intervals of one computation, no two of which overlap.
#[derive(Clone, Debug)]
pub(super) struct Cover {
    /// Slots by the last position of their interval: what a key position belongs to is the first at or after it.
    by_last: BTreeMap<KeyPosition, usize>,
    /// The same for reports, which name exact bounds: at 500,000 intervals most of a report's cost is waiting for
    /// memory, and this asks for less of it. It is never iterated, so its order decides nothing.
    exact: HashMap<KeyPosition, Entry, FixedState>,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    minima: MinTree,
    positions: u128,
}

impl Cover {
    pub(super) fn new() -> Self {
        Self {
            by_last: BTreeMap::new(),
            exact: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            minima: MinTree::new(),
            positions: 0,
        }
    }

    /// The least of all reports, where every position is covered; else nothing is known.
    pub(super) fn min(&self) -> Announced {
        if mutant(Mutant::MissingIntervalIgnored) {
            let reported = self.slots().filter(|(slot, _)| slot.since.is_some()).map(|(_, value)| value);
            let least = |a: Announced, b: Announced| Announced {
                low_watermark: a.low_watermark.min(b.low_watermark),
                oldest_unacknowledged: a.oldest_unacknowledged.min(b.oldest_unacknowledged),
            };
            return reported.reduce(least).unwrap_or(Announced::LEAST);
        }
        if self.is_complete() { self.minima.min() } else { Announced::LEAST }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.positions == POSITIONS
    }

    /// Takes a report in, or refuses it.
    pub(super) fn report(&mut self, report: IntervalReport, at: ProcessingTime) -> Result<(), ReportRefused> {
        let IntervalReport { computation, interval, sequencer: reported, .. } = report;
        let found = self.exact.get(&interval.last()).filter(|entry| entry.first == interval.first());
        let Some(&Entry { sequencer: assigned, index, .. }) = found else {
            return Err(ReportRefused::NotAssigned { computation, interval });
        };
        if reported < assigned && !mutant(Mutant::StaleReportAccepted) {
            return Err(ReportRefused::Stale { interval, reported, assigned });
        }
        if reported > assigned {
            return Err(ReportRefused::Ahead { interval, reported, assigned });
        }
        let Some(slot) = self.slots.get_mut(index).and_then(Option::as_mut) else {
            return Err(ReportRefused::NotAssigned { computation, interval });
        };
        let value = Announced {
            low_watermark: report.low_watermark,
            oldest_unacknowledged: report.oldest_unacknowledged,
        };
        let before = self.minima.get(index);
        if slot.since.is_none() || before.low_watermark != value.low_watermark {
            slot.since = Some(at);
        }
        slot.holder = report.holder;
        slot.load = report.load;
        if before != value {
            self.minima.set(index, value);
        }
        Ok(())
    }

    /// The assigned intervals that share a position with one of `parts`, ascending.
    pub(super) fn overlapping(&self, parts: &[KeyInterval]) -> Vec<Assignment> {
        let mut found = BTreeMap::new();
        for part in parts {
            let from_part = self.by_last.range(part.first()..).filter_map(|(_, index)| self.slot(*index));
            for slot in from_part.take_while(|slot| slot.interval.first() <= part.last()) {
                found.entry(slot.interval.last()).or_insert_with(|| slot.assignment());
            }
        }
        found.into_values().collect()
    }

    /// Replaces every interval that overlaps `new` by `new`, each without a value yet.
    pub(super) fn reassign(&mut self, new: Vec<Assignment>) -> Result<(), ReassignRefused> {
        let parts: Vec<KeyInterval> = new.iter().map(|assignment| assignment.interval).collect();
        let old = self.overlapping(&parts);
        super::reassign::check(&old, &new)?;
        for assignment in &old {
            self.remove(assignment.interval);
        }
        for Assignment { interval, sequencer, worker } in new {
            let slot = Slot { interval, sequencer, worker, since: None, holder: None, load: Load::default() };
            self.insert(slot);
        }
        Ok(())
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = (&Slot, Announced)> {
        self.by_last.values().filter_map(|index| Some((self.slot(*index)?, self.minima.get(*index))))
    }

    /// The interval that holds the low watermark, with its value; `None` where there is no interval.
    pub(super) fn holding(&self) -> Option<(&Slot, Announced)> {
        let index = self.minima.slot_of_least_watermark();
        // Where everything is at plus infinity, a free slot may win: then any interval tells as much.
        let slot = self.slot(index).map(|slot| (slot, self.minima.get(index)));
        slot.or_else(|| self.slots().next())
    }

    /// The first positions that are assigned to nobody.
    pub(super) fn first_hole(&self) -> Option<KeyInterval> {
        let mut first = Some(KeyPosition(0));
        for (slot, _) in self.slots() {
            let expected = first?;
            if slot.interval.first() > expected {
                return KeyInterval::new(expected, KeyPosition(slot.interval.first().0.saturating_sub(1)));
            }
            first = slot.interval.last().0.checked_add(1).map(KeyPosition);
        }
        KeyInterval::new(first?, KeyInterval::FULL.last())
    }

    fn slot(&self, index: usize) -> Option<&Slot> {
        self.slots.get(index)?.as_ref()
    }

    fn insert(&mut self, slot: Slot) {
        self.positions += size(slot.interval);
        let (first, last, sequencer) = (slot.interval.first(), slot.interval.last(), slot.sequencer);
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        if let Some(place) = self.slots.get_mut(index) {
            *place = Some(slot);
        }
        self.by_last.insert(last, index);
        self.exact.insert(last, Entry { first, sequencer, index });
        self.minima.set(index, Announced::LEAST);
    }

    fn remove(&mut self, interval: KeyInterval) {
        if let Some(index) = self.by_last.remove(&interval.last()) {
            self.exact.remove(&interval.last());
            if let Some(place) = self.slots.get_mut(index) {
                *place = None;
            }
            self.minima.set(index, Announced::MOST);
            self.free.push(index);
            self.positions -= size(interval);
        }
    }
}

fn size(interval: KeyInterval) -> u128 {
    u128::from(interval.last().0 - interval.first().0) + 1
}
