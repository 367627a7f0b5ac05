//! Workers come, break off, fall silent and leave.
//!
//! A stream that breaks says little: a worker that crashed, a connection that was lost, or an injector that was paused
//! itself. So the same process is waited for, briefly; and the injector's own pauses are nobody's silence.

use super::member::{Link, Member};
use super::slots::{Next, Owned, State};
use super::{Action, Ending, Id, IntervalReign, Membership, SessionId};
use crate::assign::Worker;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a worker says when it joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Its stream.
    pub session: SessionId,
    /// Its name.
    pub worker: Worker,
    /// Its process.
    pub process: [u8; 16],
    /// Where its services are.
    pub address: String,
    /// The version of the graph that its code has.
    pub graph_version: u32,
    /// The computations that it hosts.
    pub computations: BTreeSet<u32>,
    /// What it runs from an earlier membership.
    pub running: Vec<IntervalReign>,
}

/// Why a worker may not join.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefused {
    /// Its name is another's.
    #[error(
        "the name {worker} is that of another process, at {address}, which lives; give each worker a name of its own, or stop that one first"
    )]
    NameTaken {
        /// Which name.
        worker: Worker,
        /// Where the other is.
        address: String,
    },
}

impl Membership {
    /// A worker joins. Returns what it runs with the injector's consent; the rest is released.
    ///
    /// # Errors
    /// [`JoinRefused`], with nothing changed.
    pub fn join(&mut self, hello: Hello, now: Duration) -> Result<Vec<IntervalReign>, JoinRefused> {
        let worker = hello.worker.clone();
        let mut draining = false;
        if let Some(old) = self.members.get(&worker) {
            let same = old.identity.as_ref().is_none_or(|identity| identity.process == hello.process);
            match (old.session(), same) {
                (Some(_), false) => {
                    let address = old.identity.as_ref().map(|identity| identity.address.clone());
                    return Err(JoinRefused::NameTaken { worker, address: address.unwrap_or_default() });
                }
                (Some(session), true) => {
                    self.sessions.remove(&session);
                    self.actions.push(Action::End { session, why: Ending::Replaced });
                }
                (None, _) => {}
            }
            draining = old.draining && same;
        }
        let member = Member { draining, ..Member::of(&hello, now) };
        self.members.insert(worker.clone(), member);
        self.sessions.insert(hello.session, worker.clone());
        let accepted = self.reconcile(&worker, hello.session, hello.running);
        self.plan_soon(now);
        Ok(accepted)
    }

    /// Sets what the injector believes of a worker against what it runs.
    fn reconcile(
        &mut self,
        worker: &Worker,
        session: SessionId,
        running: Vec<IntervalReign>,
    ) -> Vec<IntervalReign> {
        let mut said: BTreeMap<Id, IntervalReign> =
            running.into_iter().map(|reign| ((reign.computation, reign.interval.last()), reign)).collect();
        let held: Vec<Id> =
            self.slots.hand(worker).map(|hand| hand.held.iter().copied().collect()).unwrap_or_default();
        let mut accepted = Vec::new();
        for id in held {
            let (Some(interval), Some(slot)) = (self.slots.interval(id), self.slots.get(id)) else {
                continue;
            };
            let runs =
                |sequencer| said.get(&id) == Some(&IntervalReign { computation: id.0, interval, sequencer });
            match &slot.state {
                State::Owned(owned) if runs(owned.sequencer) => {
                    let owned = Owned { running: true, ..owned.clone() };
                    self.slots.set(id, State::Owned(owned));
                    accepted.extend(said.remove(&id));
                }
                // It may have missed the message.
                State::Releasing { sequencer, .. } if runs(*sequencer) => {
                    said.remove(&id);
                    self.tell_release(id);
                }
                State::Owned(_) | State::Releasing { .. } => self.lose(id),
                _ => {}
            }
        }
        for reign in said.into_values() {
            self.release(session, reign);
        }
        accepted
    }

    /// A message came.
    pub fn heard(&mut self, session: SessionId, now: Duration) {
        let worker = self.sessions.get(&session);
        if let Some(member) = worker.and_then(|worker| self.members.get_mut(worker)) {
            member.link = Link::Up { session, heard: now };
        }
    }

    /// Who has the session; `None` where it is one no more.
    #[must_use]
    pub fn worker_of(&self, session: SessionId) -> Option<&Worker> {
        self.sessions.get(&session)
    }

    /// A stream ended, from whichever side. The same process may come back for a moment.
    pub fn broken(&mut self, session: SessionId, now: Duration) {
        let Some(worker) = self.sessions.remove(&session) else { return };
        if let Some(member) = self.members.get_mut(&worker) {
            member.link = Link::Down { until: now + self.limits.rejoin };
        }
    }

    /// A worker is to lose everything that it has, and get nothing new. Returns how much that is; `None` where there is no
    /// such worker.
    pub fn drain(&mut self, worker: &Worker, now: Duration) -> Option<usize> {
        self.members.get_mut(worker)?.draining = true;
        self.plan_soon(now);
        Some(self.slots.held(worker))
    }

    /// A worker's clock is too far ahead, or is so no more (I6): meanwhile it is to keep nothing and to get nothing.
    /// Returns whether that is news.
    pub fn refuse_clock(&mut self, worker: &Worker, refused: bool, now: Duration) -> bool {
        let Some(member) = self.members.get_mut(worker).filter(|member| member.clock_refused != refused)
        else {
            return false;
        };
        member.clock_refused = refused;
        self.plan_soon(now);
        true
    }

    /// How much a worker still has; `None` where there is no such worker.
    #[must_use]
    pub fn held(&self, worker: &Worker) -> Option<usize> {
        self.members.contains_key(worker).then(|| self.slots.held(worker))
    }

    /// A worker that the journal names, and that may come back.
    pub(super) fn expect(&mut self, worker: &Worker, now: Duration) {
        let until = now + self.limits.lease;
        let expected =
            || Member { identity: None, draining: false, clock_refused: false, link: Link::Down { until } };
        self.members.entry(worker.clone()).or_insert_with(expected);
    }

    /// Where no tick came for long, the injector was paused: what looks like silence is its own.
    pub(super) fn forgive(&mut self, now: Duration) {
        let pause = now.saturating_sub(self.ticked);
        self.ticked = self.ticked.max(now);
        if pause <= self.limits.lease / 4 {
            return;
        }
        for member in self.members.values_mut() {
            match &mut member.link {
                Link::Up { heard, .. } => *heard = (*heard + pause).min(now),
                Link::Down { until } => *until += pause,
            }
        }
    }

    pub(super) fn first_down(&self) -> Option<Duration> {
        let until = |member: &Member| match member.link {
            Link::Down { until } => Some(until),
            Link::Up { .. } => None,
        };
        self.members.values().filter_map(until).min()
    }

    /// Workers that kept silent or did not come back are gone, and all they had with them.
    pub(super) fn expire_members(&mut self, now: Duration) {
        let lease = self.limits.lease;
        let is_gone = |member: &Member| match member.link {
            Link::Up { heard, .. } => now.saturating_sub(heard) >= lease,
            Link::Down { until } => now >= until,
        };
        let gone: Vec<Worker> = self
            .members
            .iter()
            .filter(|(_, member)| is_gone(member))
            .map(|(worker, _)| worker.clone())
            .collect();
        for worker in gone {
            if let Some(session) = self.members.remove(&worker).and_then(|member| member.session()) {
                self.sessions.remove(&session);
                self.actions.push(Action::End { session, why: Ending::Silent });
            }
            self.lose_all(&worker);
            self.plan_soon(now);
            self.actions.push(Action::Gone { worker });
        }
    }

    /// Everything that a worker had, or was to have, is nobody's.
    fn lose_all(&mut self, worker: &Worker) {
        let held: Vec<Id> =
            self.slots.hand(worker).map(|hand| hand.held.iter().copied().collect()).unwrap_or_default();
        for id in held {
            self.lose(id);
        }
        for id in self.slots.ready.get(&Some(worker.clone())).cloned().unwrap_or_default() {
            self.slots.set(id, State::Ready { to: None });
        }
    }

    /// An interval has lost its owner. One that ran has the bounds of its fence; of another that is not certain.
    fn lose(&mut self, id: Id) {
        let Some(slot) = self.slots.get(id) else { return };
        let next = match &slot.state {
            State::Owned(Owned { running: true, next: Next::Stay, .. }) => State::Ready { to: None },
            State::Owned(Owned { running: true, next: Next::Leave(to), .. }) => {
                State::Ready { to: to.clone() }
            }
            State::Owned(_) => State::Checking { asked: false },
            State::Releasing { to, .. } => State::Ready { to: to.clone() },
            _ => return,
        };
        self.slots.set(id, next);
    }

    pub(super) fn end_drained(&mut self) {
        let is_drained = |(worker, member): (&Worker, &Member)| {
            let done = member.draining && self.slots.held(worker) == 0;
            done.then_some(worker.clone()).zip(member.session())
        };
        let drained: Vec<_> = self.members.iter().filter_map(is_drained).collect();
        for (worker, session) in drained {
            self.members.remove(&worker);
            self.sessions.remove(&session);
            self.actions.push(Action::End { session, why: Ending::Drained });
        }
    }
}
