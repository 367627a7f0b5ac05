//! The intervals and where each is in its life, with the indices that keep every step cheap at 500,000 of them.
//!
//! [`Slots::set`] is the only way to change a state, so the indices are always those of the states.

use super::Id;
use crate::assign::Worker;
use pelton_domain::{KeyInterval, KeyPosition, Sequencer};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Where an interval is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody's, and left alone until then: something went wrong with it.
    Resting { until: Duration, check: bool },
    /// Nobody's, and its bounds may be out of date: the fences are read first.
    Checking { asked: bool },
    /// Nobody's, and to be assigned: to that worker, or to any.
    Ready { to: Option<Worker> },
    /// An assignment is being journaled. Until it is, nobody may act on it.
    Assigning { to: Worker, was: Option<Owned> },
    /// A worker's.
    Owned(Owned),
    /// A worker's, which was asked to stop it.
    Releasing { by: Worker, sequencer: Sequencer, to: Option<Worker>, until: Duration },
}

/// A reign that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) by: Worker,
    pub(super) sequencer: Sequencer,
    /// Whether the worker has said that it has taken it over.
    pub(super) running: bool,
    pub(super) next: Next,
}

/// What is planned with an owned interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    /// It leaves its owner, for that worker or for any.
    Leave(Option<Worker>),
}

#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) first: KeyPosition,
    /// How often in a row it went wrong.
    pub(super) failures: u8,
    pub(super) state: State,
}

/// What is counted of one worker.
#[derive(Clone, Debug, Default)]
pub(super) struct Hand {
    /// What it owns, is releasing or is being assigned.
    pub(super) held: BTreeSet<Id>,
    /// What it is to have when everything planned is done: of each computation, and in all.
    pub(super) planned: BTreeMap<u32, usize>,
    pub(super) planned_total: usize,
    /// What it was assigned and does not run yet.
    pub(super) taking_over: usize,
}

/// All intervals of a pipeline.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    slots: BTreeMap<u32, BTreeMap<KeyPosition, Slot>>,
    hands: BTreeMap<Worker, Hand>,
    pub(super) resting: BTreeSet<(Duration, Id)>,
    pub(super) checking: BTreeSet<Id>,
    pub(super) ready: BTreeMap<Option<Worker>, BTreeSet<Id>>,
    pub(super) releasing: BTreeSet<(Duration, Id)>,
    /// Owned, and to leave their owner.
    pub(super) leaving: BTreeSet<Id>,
}

impl State {
    /// Who holds it, in the sense of [`Hand::held`].
    pub(super) fn holder(&self) -> Option<&Worker> {
        match self {
            Self::Assigning { to, .. } => Some(to),
            Self::Owned(owned) => Some(&owned.by),
            Self::Releasing { by, .. } => Some(by),
            Self::Resting { .. } | Self::Checking { .. } | Self::Ready { .. } => None,
        }
    }

    /// Who is to have it in the end.
    pub(super) fn planned(&self) -> Option<&Worker> {
        match self {
            Self::Resting { .. } | Self::Checking { .. } => None,
            Self::Ready { to } | Self::Releasing { to, .. } => to.as_ref(),
            Self::Assigning { to, .. } => Some(to),
            Self::Owned(Owned { next: Next::Leave(to), .. }) => to.as_ref(),
            Self::Owned(owned) => Some(&owned.by),
        }
    }

    fn is_taken_over(&self) -> bool {
        matches!(self, Self::Assigning { .. } | Self::Owned(Owned { running: false, .. }))
    }

    /// Whether nobody has it, or is about to.
    pub(super) fn is_loose(&self) -> bool {
        matches!(self, Self::Resting { .. } | Self::Checking { .. } | Self::Ready { .. })
    }
}

impl Slots {
    pub(super) fn get(&self, id: Id) -> Option<&Slot> {
        self.slots.get(&id.0)?.get(&id.1)
    }

    /// The slot of exactly these bounds.
    pub(super) fn exact(&self, computation: u32, interval: KeyInterval) -> Option<&Slot> {
        self.get((computation, interval.last())).filter(|slot| slot.first == interval.first())
    }

    pub(super) fn interval(&self, id: Id) -> Option<KeyInterval> {
        KeyInterval::new(self.get(id)?.first, id.1)
    }

    pub(super) fn hand(&self, worker: &Worker) -> Option<&Hand> {
        self.hands.get(worker)
    }

    pub(super) fn held(&self, worker: &Worker) -> usize {
        self.hand(worker).map_or(0, |hand| hand.held.len())
    }

    pub(super) fn of(&self, computation: u32) -> impl Iterator<Item = (Id, &Slot)> {
        let slots = self.slots.get(&computation).into_iter().flatten();
        slots.map(move |(last, slot)| ((computation, *last), slot))
    }

    pub(super) fn count(&self, computation: u32) -> usize {
        self.slots.get(&computation).map_or(0, BTreeMap::len)
    }

    pub(super) fn computations(&self) -> Vec<u32> {
        self.slots.keys().copied().collect()
    }

    /// The slots that share a position with `interval`, ascending.
    pub(super) fn overlapping(&self, computation: u32, interval: KeyInterval) -> Vec<Id> {
        let slots = self.slots.get(&computation).into_iter();
        slots
            .flat_map(|slots| slots.range(interval.first()..))
            .take_while(|(_, slot)| slot.first <= interval.last())
            .map(|(last, _)| (computation, *last))
            .collect()
    }

    /// Puts a slot there; whatever has the same place goes.
    pub(super) fn insert(&mut self, computation: u32, interval: KeyInterval, failures: u8, state: State) {
        let id = (computation, interval.last());
        self.remove(id);
        self.note(id, &state, true);
        let slot = Slot { first: interval.first(), failures, state };
        self.slots.entry(computation).or_default().insert(id.1, slot);
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<Slot> {
        let slots = self.slots.get_mut(&id.0)?;
        let slot = slots.remove(&id.1)?;
        if slots.is_empty() {
            self.slots.remove(&id.0);
        }
        self.note(id, &slot.state, false);
        Some(slot)
    }

    pub(super) fn set(&mut self, id: Id, state: State) {
        let Some(slot) = self.slots.get_mut(&id.0).and_then(|slots| slots.get_mut(&id.1)) else { return };
        let before = std::mem::replace(&mut slot.state, state.clone());
        self.note(id, &before, false);
        self.note(id, &state, true);
    }

    pub(super) fn set_failures(&mut self, id: Id, failures: u8) {
        if let Some(slot) = self.slots.get_mut(&id.0).and_then(|slots| slots.get_mut(&id.1)) {
            slot.failures = failures;
        }
    }

    /// Keeps the indices: the state of `id` begins (`here`), or ends.
    fn note(&mut self, id: Id, state: &State, here: bool) {
        match state {
            State::Resting { until, .. } => put(&mut self.resting, (*until, id), here),
            State::Checking { .. } => put(&mut self.checking, id, here),
            State::Ready { to } => {
                let ready = self.ready.entry(to.clone()).or_default();
                put(ready, id, here);
                if ready.is_empty() {
                    self.ready.remove(to);
                }
            }
            State::Releasing { until, .. } => put(&mut self.releasing, (*until, id), here),
            State::Owned(Owned { next: Next::Leave(_), .. }) => put(&mut self.leaving, id, here),
            State::Owned(_) | State::Assigning { .. } => {}
        }
        let step = |count: &mut usize| *count = if here { *count + 1 } else { count.saturating_sub(1) };
        if let Some(holder) = state.holder() {
            let hand = self.hands.entry(holder.clone()).or_default();
            put(&mut hand.held, id, here);
            if state.is_taken_over() {
                step(&mut hand.taking_over);
            }
        }
        if let Some(planned) = state.planned() {
            let hand = self.hands.entry(planned.clone()).or_default();
            step(hand.planned.entry(id.0).or_default());
            step(&mut hand.planned_total);
        }
        for worker in [state.holder(), state.planned()].into_iter().flatten() {
            if self.hands.get(worker).is_some_and(|hand| hand.held.is_empty() && hand.planned_total == 0) {
                self.hands.remove(worker);
            }
        }
    }
}

fn put<T: Ord>(set: &mut BTreeSet<T>, what: T, here: bool) {
    if here {
        set.insert(what);
    } else {
        set.remove(&what);
    }
}
