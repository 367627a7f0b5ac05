//! The aggregation of reports into low watermarks and horizons: the authority's heart. Pure: no I/O, no clock.
//!
//! Per computation it knows the interval map, the accepted reign of each interval and its last report, and
//! keeps the minimum of the reports as they come, without looking at the other intervals.
//!
//! * I7, never back: what is announced is `max(journaled, min over the cover)`, and [`Aggregate::journaled`]
//!   is the only way to raise it.
//! * I7, nothing passed: the minimum counts only over a complete cover of the key positions. After a new
//!   assignment the interval has no value until its new owner reports, so the computation holds.
//! * I7, one party's number: only a report of the assigned reign, for the assigned bounds, is accepted; input
//!   watermarks are no business of the aggregate ([`Graph::input_watermark`] is the consumer's).
//! * What is proposed becomes visible only once it is journaled: [`Proposal`] is consumed by `journaled`.

mod cover;
mod explain;
mod min_tree;
mod reassign;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

pub use explain::{Cause, Explanation, Place};
pub use reassign::ReassignRefused;
pub(crate) use reassign::check as check_reassign;

use crate::announced::Announced;
use crate::assign::{Assignment, Worker};
use crate::graph::Graph;
use crate::report::{Accepted, IntervalReport, Load, ReportRefused};
use cover::Cover;
use pelton_domain::{KeyInterval, ProcessingTime};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The aggregation of one pipeline.
#[derive(Clone, Debug)]
pub struct Aggregate {
    graph: Arc<Graph>,
    computations: BTreeMap<u32, Progress>,
    /// The computations whose cover has passed what is announced.
    pending: BTreeSet<u32>,
}

/// One computation: its intervals, and what is announced of it.
#[derive(Clone, Debug)]
struct Progress {
    cover: Cover,
    announced: Announced,
}

impl Progress {
    /// What it may advance to; what is announced where it may not.
    fn reached(&self) -> Announced {
        self.announced.greatest_of(self.cover.min())
    }
}

/// Advances that may be journaled. They become visible by [`Aggregate::journaled`] and not before.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "what is proposed becomes visible only once it is journaled"]
pub struct Proposal {
    advances: Vec<(u32, Announced)>,
}

impl Proposal {
    /// The computations that advance, ascending, and what to.
    #[must_use]
    pub fn advances(&self) -> &[(u32, Announced)] {
        &self.advances
    }
}

/// One interval as the authority sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntervalView {
    /// Who is assigned it.
    pub assignment: Assignment,
    /// Its last report in this reign; `None` while there is none.
    pub reported: Option<Announced>,
    /// The load in that report.
    pub load: Load,
}

impl Aggregate {
    /// Starts from what the journal holds: what was announced is the floor (I7). Computations that are not
    /// in the graph are left out.
    #[must_use]
    pub fn new(graph: Arc<Graph>, journaled: impl IntoIterator<Item = (u32, Announced)>) -> Self {
        let progress = |announced| Progress { cover: Cover::new(), announced };
        let mut computations: BTreeMap<u32, Progress> =
            graph.computations().map(|computation| (computation, progress(Announced::LEAST))).collect();
        for (computation, announced) in journaled {
            computations.entry(computation).and_modify(|progress| progress.announced = announced);
        }
        Self { graph, computations, pending: BTreeSet::new() }
    }

    /// Takes a report in; `at` is when it came, for [`Aggregate::explain`]. Costs a look-up of the interval
    /// and at most one step per level of a binary tree over the intervals.
    ///
    /// # Errors
    /// [`ReportRefused`], with nothing changed.
    pub fn report(&mut self, report: IntervalReport, at: ProcessingTime) -> Result<Accepted, ReportRefused> {
        let computation = report.computation;
        let Some(progress) = self.computations.get_mut(&computation) else {
            return Err(ReportRefused::NoSuchComputation { computation });
        };
        progress.cover.report(report, at)?;
        Ok(if self.note(computation) { Accepted::Advances } else { Accepted::Holds })
    }

    /// What may be announced now, of at most `advances_max` computations; `None` where nothing advances.
    #[must_use]
    pub fn proposal(&self, advances_max: usize) -> Option<Proposal> {
        let reached = |computation: &u32| Some((*computation, self.computations.get(computation)?.reached()));
        let advances: Vec<_> = self.pending.iter().take(advances_max.max(1)).filter_map(reached).collect();
        (!advances.is_empty()).then_some(Proposal { advances })
    }

    /// Makes a proposal visible, once it is durable. Nothing announced ever goes back by it (I7).
    pub fn journaled(&mut self, proposal: Proposal) {
        for (computation, value) in proposal.advances {
            if let Some(progress) = self.computations.get_mut(&computation) {
                progress.announced = progress.announced.greatest_of(value);
            }
            self.note(computation);
        }
    }

    /// What would be replaced if `parts` were assigned, ascending.
    ///
    /// # Errors
    /// [`ReassignRefused`], where an interval would be replaced in part or parts overlap.
    pub fn replaced_by(
        &self,
        computation: u32,
        parts: &[KeyInterval],
    ) -> Result<Vec<Assignment>, ReassignRefused> {
        let progress = self.computations.get(&computation);
        let progress = progress.ok_or(ReassignRefused::NoSuchComputation { computation })?;
        let old = progress.cover.overlapping(parts);
        reassign::check_bounds(&old, parts)?;
        Ok(old)
    }

    /// Puts new assignments in the place of all that they overlap: a first assignment, a take-over, a split
    /// or a merge. The new intervals have no value until their owners report, so the computation holds (I7).
    ///
    /// Call it once the assignments are journaled, and before anyone may take over.
    ///
    /// # Errors
    /// [`ReassignRefused`], with nothing changed.
    pub fn reassign(&mut self, computation: u32, new: Vec<Assignment>) -> Result<(), ReassignRefused> {
        let progress = self.computations.get_mut(&computation);
        progress.ok_or(ReassignRefused::NoSuchComputation { computation })?.cover.reassign(new)?;
        self.note(computation);
        Ok(())
    }

    /// What stands announced of `computation`; [`Announced::LEAST`] where nothing does.
    #[must_use]
    pub fn announced(&self, computation: u32) -> Announced {
        self.computations.get(&computation).map_or(Announced::LEAST, |progress| progress.announced)
    }

    /// What stands announced of all computations, ascending.
    pub fn all_announced(&self) -> impl Iterator<Item = (u32, Announced)> {
        self.computations.iter().map(|(computation, progress)| (*computation, progress.announced))
    }

    /// The intervals of `computation`, ascending.
    pub fn intervals(&self, computation: u32) -> impl Iterator<Item = IntervalView> {
        let slots =
            self.computations.get(&computation).into_iter().flat_map(|progress| progress.cover.slots());
        slots.map(|(slot, value)| IntervalView {
            assignment: slot.assignment(),
            reported: slot.since.map(|_| value),
            load: slot.load,
        })
    }

    /// Whether `worker` is assigned any interval.
    #[must_use]
    pub fn is_assigned_to(&self, worker: &Worker) -> bool {
        self.computations
            .values()
            .any(|progress| progress.cover.slots().any(|(slot, _)| slot.worker == *worker))
    }

    /// Notes whether `computation` may advance.
    fn note(&mut self, computation: u32) -> bool {
        let advances = self
            .computations
            .get(&computation)
            .is_some_and(|progress| progress.reached() != progress.announced);
        if advances {
            self.pending.insert(computation);
        } else {
            self.pending.remove(&computation);
        }
        advances
    }
}
