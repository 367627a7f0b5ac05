//! What nobody has is given to somebody: to whom a plan says, else to who has the fewest.

use super::slots::State;
use super::{Action, Id, Membership};
use crate::assign::Worker;
use pelton_domain::{KeyInterval, KeyPosition};
use std::collections::BTreeMap;

impl Membership {
    /// Assigns what nobody has, as far as the workers have room for it.
    pub(super) fn begin_assignments(&mut self) {
        if self.slots.ready.is_empty() {
            return;
        }
        let mut chosen: BTreeMap<u32, Vec<(KeyInterval, Worker)>> = BTreeMap::new();
        let planned: Vec<Worker> = self.slots.ready.keys().flatten().cloned().collect();
        for worker in planned {
            let ready = self.slots.ready.get(&Some(worker.clone())).cloned().unwrap_or_default();
            for id in ready {
                if !self.takes(&worker, id.0) {
                    self.slots.set(id, State::Ready { to: None });
                } else if self.may_begin(id) && self.room(&worker) > 0 {
                    self.choose(id, worker.clone(), &mut chosen);
                } else if self.room(&worker) == 0 {
                    break;
                }
            }
        }
        for computation in self.computations.clone() {
            self.assign_to_any(computation, &mut chosen);
        }
        for (computation, intervals) in chosen {
            self.actions.push(Action::Assign { computation, intervals });
        }
    }

    fn assign_to_any(&mut self, computation: u32, chosen: &mut BTreeMap<u32, Vec<(KeyInterval, Worker)>>) {
        let mut workers = self.eligible(computation);
        let room =
            |this: &Self, worker: &Worker| this.together.contains_key(&computation) || this.room(worker) > 0;
        workers.retain(|worker| room(self, worker));
        let mut from = KeyPosition(0);
        while !workers.is_empty() {
            let all = (computation, from)..=(computation, KeyPosition(u64::MAX));
            let next = self.slots.ready.get(&None).and_then(|ready| ready.range(all).next().copied());
            let Some(id) = next else { return };
            if self.may_begin(id) {
                let least = workers.iter().min_by_key(|worker| self.planned(worker, computation)).cloned();
                let Some(worker) = least else { return };
                self.choose(id, worker, chosen);
                workers.retain(|worker| room(self, worker));
            }
            let Some(next) = id.1.0.checked_add(1) else { return };
            from = KeyPosition(next);
        }
    }

    /// What must be replaced in one step goes alone, and only when nobody has any of it.
    fn may_begin(&self, id: Id) -> bool {
        let Some(together) = self.together.get(&id.0) else { return true };
        let is_ready = |id: &Id| {
            let state = self.slots.get(*id).map(|slot| &slot.state);
            matches!(state, Some(State::Ready { .. } | State::Assigning { was: None, .. }))
        };
        self.slots.interval(id).is_some_and(|interval| interval.overlaps(*together))
            && self.slots.overlapping(id.0, *together).iter().all(is_ready)
    }

    fn choose(&mut self, id: Id, worker: Worker, chosen: &mut BTreeMap<u32, Vec<(KeyInterval, Worker)>>) {
        let Some(interval) = self.slots.interval(id) else { return };
        self.slots.set(id, State::Assigning { to: worker.clone(), was: None });
        chosen.entry(id.0).or_default().push((interval, worker));
    }

    fn planned(&self, worker: &Worker, computation: u32) -> (usize, usize) {
        let hand = self.slots.hand(worker);
        hand.map_or((0, 0), |hand| (hand.planned.get(&computation).copied().unwrap_or(0), hand.planned_total))
    }

    /// How many intervals more may be on their way to a worker.
    fn room(&self, worker: &Worker) -> usize {
        let taking_over = self.slots.hand(worker).map_or(0, |hand| hand.taking_over);
        self.limits.take_overs_max.saturating_sub(taking_over)
    }
}
