//! What changes of an interval while it stays with its owner: a new reign, a split, a merge.
//!
//! One change of an interval at a time: what is under way here is neither moved nor changed again until it is done, or
//! its time is over. A merge of two owners' intervals first moves one of them.

use super::slots::{Next, Owned, State};
use super::{Action, Id, Membership, SessionId};
use crate::assign::{Assignment, Worker};
use pelton_domain::KeyInterval;
use std::time::Duration;

/// A split or merge that is worth making, or under way.
#[derive(Clone, Debug)]
pub(super) struct Change {
    computation: u32,
    old: Vec<KeyInterval>,
    new: Vec<KeyInterval>,
    /// Who makes it.
    to: Worker,
    /// On which stream it was told.
    told: Option<SessionId>,
    until: Duration,
}

/// Why a worker's request was refused. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefused {
    /// It is not the owner, in these bounds.
    #[error("{interval} of computation {computation} is not yours in these bounds; stop work on it")]
    NotYours {
        /// Which computation.
        computation: u32,
        /// Which interval.
        interval: KeyInterval,
    },
    /// It is being moved or assigned.
    #[error("{interval} of computation {computation} is on its way to a reign; wait for what comes")]
    UnderWay {
        /// Which computation.
        computation: u32,
        /// Which interval.
        interval: KeyInterval,
    },
    /// The new intervals are not the old ones, cut differently.
    #[error("the new intervals do not cover exactly the {count} old ones, each position once")]
    NotTheSame {
        /// How many there are.
        count: usize,
    },
    /// The session has ended.
    #[error("the session is no member's; join first")]
    NoMember,
}

impl Membership {
    /// A worker asks for new reigns over all of `old`, cut as `new`; for the same bounds that is a new reign only. The
    /// caller journals them, then calls [`Membership::changed`] or [`Membership::unchanged`].
    ///
    /// # Errors
    /// [`ChangeRefused`], with nothing changed.
    pub fn request(
        &mut self,
        session: SessionId,
        computation: u32,
        old: &[KeyInterval],
        new: &[KeyInterval],
    ) -> Result<Worker, ChangeRefused> {
        let worker = self.sessions.get(&session).cloned().ok_or(ChangeRefused::NoMember)?;
        if old.is_empty() || !KeyInterval::is_partition_of(new, old) {
            return Err(ChangeRefused::NotTheSame { count: old.len() });
        }
        let mut owned = Vec::with_capacity(old.len());
        for interval in old {
            let interval = *interval;
            match self.slots.exact(computation, interval).map(|slot| &slot.state) {
                Some(State::Owned(reign)) if reign.by == worker => owned.push((interval, reign.clone())),
                Some(State::Assigning { to, .. } | State::Releasing { by: to, .. }) if *to == worker => {
                    return Err(ChangeRefused::UnderWay { computation, interval });
                }
                _ => return Err(ChangeRefused::NotYours { computation, interval }),
            }
        }
        for (interval, reign) in owned {
            let state = State::Assigning { to: worker.clone(), was: Some(reign) };
            self.slots.set((computation, interval.last()), state);
        }
        Ok(worker)
    }

    /// New reigns that were asked for stand in the journal. Whether the worker is still there to be told, on the stream that
    /// it asked on; else they are assigned again.
    pub fn changed(
        &mut self,
        session: SessionId,
        computation: u32,
        old: &[KeyInterval],
        assignments: &[Assignment],
    ) -> bool {
        for interval in old {
            self.slots.remove((computation, interval.last()));
        }
        self.plan_what_was_skipped();
        if assignments.len() != old.len() {
            self.plan_soon(self.ticked);
        }
        let here = self.sessions.contains_key(&session);
        for Assignment { interval, sequencer, worker } in assignments {
            let (by, sequencer) = (worker.clone(), *sequencer);
            let next = self.next_with(&by, computation);
            let owned = Owned { by, sequencer, running: false, next };
            let state = if here { State::Owned(owned) } else { State::Checking { asked: false } };
            self.slots.insert(computation, *interval, 0, state);
        }
        here
    }

    /// New reigns that were asked for do not stand: the old ones do.
    pub fn unchanged(&mut self, computation: u32, old: &[KeyInterval]) {
        self.plan_what_was_skipped();
        for interval in old {
            let id = (computation, interval.last());
            let state = match self.slots.exact(computation, *interval).map(|slot| &slot.state) {
                Some(State::Assigning { was: Some(owned), .. }) if self.members.contains_key(&owned.by) => {
                    let next = self.next_with(&owned.by, computation);
                    State::Owned(Owned { next, ..owned.clone() })
                }
                Some(State::Assigning { was: Some(_), .. }) => State::Checking { asked: false },
                _ => continue,
            };
            self.slots.set(id, state);
        }
    }

    /// A split or merge is worth making. It is begun when there is room for it and none of its intervals is being changed;
    /// else it is left out. Returns whether it was taken up.
    pub fn reshape(
        &mut self,
        computation: u32,
        old: Vec<KeyInterval>,
        new: Vec<KeyInterval>,
        now: Duration,
    ) -> bool {
        let ids = || old.iter().map(|interval| (computation, interval.last()));
        let owner = |interval: &KeyInterval| match &self.slots.exact(computation, *interval)?.state {
            State::Owned(Owned { by, running: true, next: Next::Stay, .. }) => Some(by.clone()),
            _ => None,
        };
        let owners: Option<Vec<Worker>> = old.iter().map(owner).collect();
        let to = owners.and_then(|owners| owners.into_iter().find(|worker| self.takes(worker, computation)));
        let Some(to) = to else { return false };
        if self.changes.len() >= self.limits.changes_max || ids().any(|id| self.change_of(id).is_some()) {
            return false;
        }
        let until = now + self.limits.change;
        self.changes.push(Change { computation, old, new, to, told: None, until });
        true
    }

    /// Who makes the change that an interval is part of.
    pub(super) fn change_of(&self, id: Id) -> Option<&Worker> {
        let is_part = |change: &&Change| {
            change.computation == id.0 && change.old.iter().any(|interval| interval.last() == id.1)
        };
        self.changes.iter().find(is_part).map(|change| &change.to)
    }

    /// Moves what must be moved for a merge, tells the owner what is together, and forgets what is done.
    pub(super) fn advance_changes(&mut self, now: Duration) {
        let mut changes = std::mem::take(&mut self.changes);
        let before = changes.len();
        changes.retain_mut(|change| self.advance_change(change, now));
        if changes.len() < before {
            // What was kept where it is may go where it should again.
            self.plan_soon(now);
        }
        self.changes = changes;
    }

    fn advance_change(&mut self, change: &mut Change, now: Duration) -> bool {
        let exists = |interval: &KeyInterval| self.slots.exact(change.computation, *interval).is_some();
        let possible =
            now < change.until && change.old.iter().all(exists) && self.takes(&change.to, change.computation);
        if !possible {
            return false;
        }
        if change.told.is_some() {
            return self.session_of(&change.to) == change.told;
        }
        let mut together = true;
        for interval in &change.old {
            let id = (change.computation, interval.last());
            let Some(State::Owned(owned)) = self.slots.get(id).map(|slot| slot.state.clone()) else {
                together = false;
                continue;
            };
            together &= owned.by == change.to && owned.running;
            if owned.by != change.to && owned.next == Next::Stay {
                let next = Next::Leave(Some(change.to.clone()));
                self.slots.set(id, State::Owned(Owned { next, ..owned }));
            }
        }
        if let (true, Some(session)) = (together, self.session_of(&change.to)) {
            change.told = Some(session);
            let (computation, old, new) = (change.computation, change.old.clone(), change.new.clone());
            self.actions.push(Action::Reshape { session, computation, old, new });
        }
        true
    }
}
