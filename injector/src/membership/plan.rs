//! The even spread of the intervals over the workers that are there: [`spread`], applied to workers that differ.
//!
//! Not every worker may have every interval: it must host the computation, have the newest graph, and not be leaving.
//! Computations that the same workers have, or may have, are spread together. Workers of an older graph keep what they
//! have until it is moved and get nothing new: where the spread would give them something, it is not done.

use super::slots::{Next, Owned, State};
use super::{Id, Membership};
use crate::assign::Worker;
use crate::assign::spread::{self, spread};
use pelton_domain::KeyPosition;
use std::collections::{BTreeMap, BTreeSet};

impl Membership {
    /// Whether a worker may be given intervals of a computation now.
    pub(super) fn takes(&self, worker: &Worker, computation: u32) -> bool {
        self.members.get(worker).is_some_and(|member| member.takes(computation, self.graph_version))
    }

    /// The workers that may be given intervals of a computation now, by name.
    pub(super) fn eligible(&self, computation: u32) -> Vec<Worker> {
        let takes = |worker: &&Worker| self.takes(worker, computation);
        self.members.keys().filter(takes).cloned().collect()
    }

    /// Plans who is to have what.
    pub(super) fn plan(&mut self) {
        for (workers, computations) in self.groups() {
            let mut owned = Vec::new();
            for computation in &computations {
                owned.extend(self.slots.of(*computation).map(|(id, slot)| spread::Owned {
                    computation: *computation,
                    interval: id.1,
                    owner: self.owner_for_plan(id, &slot.state),
                }));
            }
            let moves = spread(&workers, &owned).into_iter();
            let mut moves: BTreeMap<Id, Worker> =
                moves.map(|planned| ((planned.computation, planned.interval), planned.to)).collect();
            for spread::Owned { computation, interval, .. } in owned {
                let id: Id = (computation, interval);
                let to = moves.remove(&id).filter(|to| self.takes(to, computation));
                self.apply(id, to);
            }
        }
    }

    /// The computations by the workers that have, or may have, intervals of them.
    fn groups(&self) -> BTreeMap<Vec<Worker>, Vec<u32>> {
        let mut groups: BTreeMap<Vec<Worker>, Vec<u32>> = BTreeMap::new();
        for computation in self.slots.computations() {
            let mut workers: BTreeSet<Worker> = self.eligible(computation).into_iter().collect();
            for (worker, member) in &self.members {
                let holds = || {
                    let all = (computation, KeyPosition(0))..=(computation, KeyPosition(u64::MAX));
                    self.slots.hand(worker).is_some_and(|hand| hand.held.range(all).next().is_some())
                };
                if self.keeps(member, computation) && holds() {
                    workers.insert(worker.clone());
                }
            }
            groups.entry(workers.into_iter().collect()).or_default().push(computation);
        }
        groups
    }

    /// A plan that could not count on an interval, since it was being assigned, is made again now that it is not.
    pub(super) fn plan_what_was_skipped(&mut self) {
        if std::mem::take(&mut self.plan_again) {
            self.plan_soon(self.ticked);
        }
    }

    /// What is next for an interval that a worker has just got.
    pub(super) fn next_with(&self, worker: &Worker, computation: u32) -> Next {
        let keeps = self.members.get(worker).is_some_and(|member| self.keeps(member, computation));
        if keeps { Next::Stay } else { Next::Leave(None) }
    }

    /// Who counts as the owner in a plan: who has it, or who gets it where that has begun.
    fn owner_for_plan(&self, id: Id, state: &State) -> Option<Worker> {
        if let Some(to) = self.change_of(id) {
            return Some(to.clone());
        }
        match state {
            State::Owned(owned) => Some(owned.by.clone()),
            other => other.planned().cloned(),
        }
    }

    /// Plans one interval to go to `to`, or to stay where it is where that is nobody and its owner may keep it.
    fn apply(&mut self, id: Id, to: Option<Worker>) {
        if self.change_of(id).is_some() {
            return;
        }
        let Some(state) = self.slots.get(id).map(|slot| &slot.state) else { return };
        let next = match state {
            State::Owned(owned) => {
                let keeps = self.members.get(&owned.by).is_some_and(|member| self.keeps(member, id.0));
                let next = if keeps && to.is_none() { Next::Stay } else { Next::Leave(to) };
                if next == owned.next {
                    return;
                }
                State::Owned(Owned { next, ..owned.clone() })
            }
            State::Releasing { by, sequencer, until, to: Some(_) | None } if to.is_some() => {
                State::Releasing { by: by.clone(), sequencer: *sequencer, to, until: *until }
            }
            State::Ready { .. } if to.is_some() && !self.together.contains_key(&id.0) => State::Ready { to },
            State::Assigning { .. } if to.is_some() => {
                self.plan_again = true;
                return;
            }
            _ => return,
        };
        self.slots.set(id, next);
    }
}
