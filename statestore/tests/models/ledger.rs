//! The account of what landed, independent of the code: it knows only who did what under which reign.

use crate::world::Part;
use pelton_models::Witnessed;
use std::collections::{BTreeMap, BTreeSet};

/// What a worker wants to land once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Step {
    pub(crate) worker: usize,
    pub(crate) life: usize,
    /// The batch, or 0 where fences change hands.
    batch: u32,
    /// The reign that it is done under, over which part.
    under: Option<(Part, u64)>,
    /// The reigns that it begins.
    pub(crate) takes: Vec<(Part, u64)>,
}

impl Step {
    pub(crate) fn take_over(worker: usize, life: usize, part: Part, number: u64) -> Self {
        Self { worker, life, batch: 0, under: None, takes: vec![(part, number)] }
    }

    pub(crate) fn batch(worker: usize, life: usize, part: Part, number: u64, batch: u32) -> Self {
        Self { worker, life, batch, under: Some((part, number)), takes: Vec::new() }
    }

    pub(crate) fn reshape(worker: usize, life: usize, parts: &[Part], numbers: &[u64]) -> Self {
        let takes = parts.iter().copied().zip(numbers.iter().copied()).collect();
        Self { worker, life, batch: 0, under: None, takes }
    }

    pub(crate) fn part(&self) -> Part {
        self.under.or_else(|| self.takes.first().copied()).map_or(Part::Whole, |(part, _)| part)
    }
}

/// One attempt on its way to the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flight {
    pub(crate) step: Step,
    /// Its caller waits for no answer any more.
    pub(crate) lost: bool,
    digest: u64,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Outcome {
    landed: u8,
    /// What its worker was told in the end.
    told: Option<bool>,
}

/// What landed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    pub(crate) flights: BTreeMap<(usize, u32), Flight>,
    departures: BTreeMap<usize, u32>,
    outcomes: BTreeMap<Step, Outcome>,
    /// The newest reign that has landed over each half, in each life.
    newest: [[u64; 2]; 2],
    pub(crate) violated: BTreeSet<&'static str>,
}

impl Ledger {
    pub(crate) fn violate(&mut self, invariant: &'static str) {
        self.violated.insert(invariant);
    }

    pub(crate) fn restored(&mut self) {
        self.newest[1] = self.newest[0];
    }

    pub(crate) fn departs(&mut self, step: &Step, digest: u64) -> u32 {
        let number = self.departures.entry(step.worker).or_insert(0);
        *number += 1;
        self.flights.insert((step.worker, *number), Flight { step: step.clone(), lost: false, digest });
        *number
    }

    pub(crate) fn lose(&mut self, at: (usize, u32)) {
        if let Some(flight) = self.flights.get_mut(&at) {
            flight.lost = true;
        }
    }

    pub(crate) fn lands(&mut self, flight: &Flight, witnessed: &Witnessed) {
        let step = &flight.step;
        let newest = &mut self.newest[step.life];
        let mut single = true;
        if let Some((part, number)) = step.under {
            single &= part.halves().iter().all(|half| newest[*half] == number);
        }
        for (part, number) in &step.takes {
            for half in part.halves() {
                single &= newest[*half] < *number;
                newest[*half] = *number;
            }
        }
        let outcome = self.outcomes.entry(step.clone()).or_default();
        outcome.landed += 1;
        let (twice, told_no) = (outcome.landed > 1, outcome.told == Some(false));
        if flight.lost {
            witnessed.saw("a late commit landed");
        }
        if !single {
            self.violate("I1");
        }
        if twice {
            self.violate("I3 yes");
        }
        if told_no {
            self.violate("I3 no");
        }
    }

    pub(crate) fn told_yes(&mut self, step: &Step, witnessed: &Witnessed) {
        let lost = self.flights.values().any(|flight| flight.step == *step);
        let outcome = self.outcomes.entry(step.clone()).or_default();
        outcome.told = Some(true);
        if outcome.landed != 1 {
            self.violate("I3 yes");
        }
        if lost {
            witnessed.saw("an attempt can land no more, since the next one has");
        }
    }

    pub(crate) fn told_no(&mut self, step: &Step) {
        self.outcomes.entry(step.clone()).or_default().told = Some(false);
    }
}
