//! Intervals are assigned, run, released, and checked against the fences.

use super::slots::{Next, Owned, State};
use super::{Action, Id, IntervalReign, Membership, SessionId};
use crate::assign::{Assignment, Worker};
use pelton_domain::{KeyInterval, KeyPosition};
use std::collections::BTreeMap;
use std::time::Duration;

impl Membership {
    /// A worker runs intervals. Returns those that it was assigned; it is told to release the others.
    pub fn running(&mut self, session: SessionId, reigns: Vec<IntervalReign>) -> Vec<IntervalReign> {
        let Some(worker) = self.sessions.get(&session).cloned() else { return Vec::new() };
        let mut accepted = Vec::new();
        for reign in reigns {
            let id = (reign.computation, reign.interval.last());
            match self.slots.exact(reign.computation, reign.interval).map(|slot| &slot.state) {
                Some(State::Owned(owned)) if owned.by == worker && owned.sequencer == reign.sequencer => {
                    let owned = Owned { running: true, ..owned.clone() };
                    self.slots.set(id, State::Owned(owned));
                    self.slots.set_failures(id, 0);
                    accepted.push(reign);
                }
                // It was told already.
                Some(State::Releasing { by, sequencer, .. })
                    if *by == worker && *sequencer == reign.sequencer => {}
                _ => self.release(session, reign),
            }
        }
        accepted
    }

    /// A worker does not run intervals any more: as it was told, or, with `failed`, of itself.
    pub fn released(&mut self, session: SessionId, reigns: &[IntervalReign], failed: bool, now: Duration) {
        let Some(worker) = self.sessions.get(&session).cloned() else { return };
        for reign in reigns {
            let id = (reign.computation, reign.interval.last());
            match self.slots.exact(reign.computation, reign.interval).map(|slot| &slot.state) {
                Some(State::Releasing { by, sequencer, to, .. })
                    if *by == worker && *sequencer == reign.sequencer =>
                {
                    let next = if failed {
                        State::Checking { asked: false }
                    } else {
                        State::Ready { to: to.clone() }
                    };
                    self.slots.set(id, next);
                }
                Some(State::Owned(owned)) if owned.by == worker && owned.sequencer == reign.sequencer => {
                    self.rest(id, true, now);
                }
                _ => {}
            }
        }
    }

    /// Something went wrong with an interval: it is left alone for a while, each time longer.
    pub(super) fn rest(&mut self, id: Id, check: bool, now: Duration) {
        let failures = self.slots.get(id).map_or(0, |slot| slot.failures);
        let wait = self.limits.backoff_min * 2u32.saturating_pow(u32::from(failures.min(16)));
        let until = now + wait.min(self.limits.backoff_max);
        self.slots.set_failures(id, failures.saturating_add(1));
        self.slots.set(id, State::Resting { until, check });
    }

    /// An assignment stands in the journal. Returns whom to tell; `None` where its worker has gone meanwhile, or is to have
    /// nothing any more: then it is assigned again.
    pub fn assigned(&mut self, computation: u32, assignment: &Assignment) -> Option<SessionId> {
        let Assignment { interval, sequencer, worker } = assignment;
        let id = (computation, interval.last());
        let slot = self.slots.exact(computation, *interval)?;
        if !matches!(&slot.state, State::Assigning { to, .. } if to == worker) {
            return None;
        }
        self.together.remove(&computation);
        self.plan_what_was_skipped();
        let member = self.members.get(worker).filter(|member| self.keeps(member, computation));
        let Some(session) = member.and_then(|member| member.session()) else {
            self.slots.set(id, State::Ready { to: None });
            return None;
        };
        let (by, sequencer) = (worker.clone(), *sequencer);
        self.slots.set(id, State::Owned(Owned { by, sequencer, running: false, next: Next::Stay }));
        Some(session)
    }

    /// Intervals could not be assigned. `together` is one of the journal that would have been replaced in part only.
    pub fn not_assigned(
        &mut self,
        computation: u32,
        intervals: &[(KeyInterval, Worker)],
        together: Option<KeyInterval>,
        now: Duration,
    ) {
        for (interval, _) in intervals {
            let id = (computation, interval.last());
            if let Some(State::Assigning { .. }) =
                self.slots.exact(computation, *interval).map(|slot| &slot.state)
            {
                self.rest(id, true, now);
            }
        }
        if let Some(interval) = together {
            self.together.insert(computation, interval);
        }
    }

    /// The fences of a computation as read after [`Action::ReadFences`]: their bounds are what intervals there are.
    pub fn fences(&mut self, computation: u32, bounds: &[KeyInterval], now: Duration) {
        for interval in bounds {
            let id = (computation, interval.last());
            match self.slots.exact(computation, *interval).map(|slot| &slot.state) {
                Some(State::Checking { asked: true }) => self.slots.set(id, State::Ready { to: None }),
                Some(_) => {}
                None => self.replace_loose(computation, *interval),
            }
        }
        let left: Vec<Id> =
            self.checking(computation).filter(|(_, asked)| *asked).map(|(id, _)| id).collect();
        for id in left {
            self.rest(id, true, now);
        }
    }

    /// Puts an interval of the fences in the place of what nobody has.
    fn replace_loose(&mut self, computation: u32, interval: KeyInterval) {
        let overlapping = self.slots.overlapping(computation, interval);
        let is_loose = |id: &Id| self.slots.get(*id).is_some_and(|slot| slot.state.is_loose());
        if !overlapping.iter().all(is_loose) {
            return;
        }
        let failures =
            overlapping.iter().filter_map(|id| self.slots.get(*id)).map(|slot| slot.failures).max();
        for id in overlapping {
            self.slots.remove(id);
        }
        self.slots.insert(computation, interval, failures.unwrap_or(0), State::Ready { to: None });
        self.plan_soon(self.ticked);
    }

    fn checking(&self, computation: u32) -> impl Iterator<Item = (Id, bool)> {
        let all = (computation, KeyPosition(0))..=(computation, KeyPosition(u64::MAX));
        self.slots.checking.range(all).map(|id| {
            let state = self.slots.get(*id).map(|slot| &slot.state);
            (*id, state == Some(&State::Checking { asked: true }))
        })
    }

    /// Owners that did not stop an interval in time are passed over: the fence stops them (I1).
    pub(super) fn expire_releases(&mut self, now: Duration) {
        while let Some((until, id)) = self.slots.releasing.first().copied().filter(|(until, _)| *until <= now)
        {
            let Some(State::Releasing { to, .. }) = self.slots.get(id).map(|slot| slot.state.clone()) else {
                self.slots.releasing.remove(&(until, id));
                continue;
            };
            self.slots.set(id, State::Ready { to });
        }
    }

    /// Intervals that have rested go on.
    pub(super) fn wake(&mut self, now: Duration) {
        while let Some((until, id)) = self.slots.resting.first().copied().filter(|(until, _)| *until <= now) {
            match self.slots.get(id).map(|slot| &slot.state) {
                Some(State::Resting { check: true, .. }) => {
                    self.slots.set(id, State::Checking { asked: false })
                }
                Some(State::Resting { check: false, .. }) => self.slots.set(id, State::Ready { to: None }),
                _ => {
                    self.slots.resting.remove(&(until, id));
                }
            }
        }
    }

    /// Has the fences read of computations with intervals that wait for it, one reading each at a time.
    pub(super) fn begin_checks(&mut self) {
        let mut waiting: BTreeMap<u32, (Vec<Id>, bool)> = BTreeMap::new();
        for id in &self.slots.checking {
            let entry = waiting.entry(id.0).or_default();
            match self.slots.get(*id).map(|slot| &slot.state) {
                Some(State::Checking { asked: true }) => entry.1 = true,
                _ => entry.0.push(*id),
            }
        }
        for (computation, (ids, reading)) in waiting {
            if reading {
                continue;
            }
            for id in ids {
                self.slots.set(id, State::Checking { asked: true });
            }
            self.actions.push(Action::ReadFences { computation });
        }
    }

    /// Stops intervals that are to leave their owner, as many at a time as may be on their way.
    pub(super) fn begin_moves(&mut self, now: Duration) {
        let under_way =
            self.slots.releasing.len() + self.slots.ready.values().map(|ids| ids.len()).sum::<usize>();
        let room = self.limits.moves_max.saturating_sub(under_way);
        let ids: Vec<Id> = self.slots.leaving.iter().take(room).copied().collect();
        for id in ids {
            let Some(State::Owned(owned)) = self.slots.get(id).map(|slot| slot.state.clone()) else {
                continue;
            };
            let Next::Leave(to) = owned.next else { continue };
            if self.session_of(&owned.by).is_none() {
                // It comes back or it does not: either is known soon.
                continue;
            }
            let until = now + self.limits.release;
            self.slots.set(id, State::Releasing { by: owned.by, sequencer: owned.sequencer, to, until });
            self.tell_release(id);
        }
    }
}
