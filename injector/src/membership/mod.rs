//! Who is there, who has which interval, and what is on its way from one to another. Pure: no I/O, and time is handed in.
//!
//! Events are methods; what is to be done about them is drained with [`Membership::actions`] after a
//! [`Membership::tick`]. The life of an interval:
//!
//! ```text
//!    ready -> assigning (journaled) -> owned -> running -> releasing -> ready
//!      ^                                 |        |            |
//!      +---- resting, checking <---------+--------+------------+   failed, owner gone, or not released in time
//! ```
//!
//! * I1: an interval has one owner here, and a new one is assigned only when the old one has said that it stopped, is
//!   gone, or has kept silent for too long. The last two are guesses about a process that may still run. They are
//!   harmless: the new owner takes the fence first, and from then on no commit of the old one can succeed. So leases
//!   here decide how soon work goes on, never whether it is right.
//! * I11: at most [`Limits::take_overs_max`] intervals are on their way to one worker and
//!   [`Limits::moves_max`] are stopped to be moved, so that a move of everything is a row of short ones.
//!
//! | module | what |
//! |---|---|
//! | `words` | what it is told and what it wants done |
//! | `slots` | the intervals, their states and indices |
//! | `member` | one worker process |
//! | `joining` | workers come, break off, fall silent and leave |
//! | `assigning` | what nobody has is given to somebody |
//! | `moving` | intervals are assigned, run, released and checked against the fences |
//! | `change` | an owner's requests: a new reign, a split, a merge |
//! | `plan` | the even spread over the workers that are there |

mod assigning;
mod change;
mod joining;
mod member;
mod moving;
mod plan;
mod slots;
mod words;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

pub use change::ChangeRefused;
pub use joining::{Hello, JoinRefused};
pub use member::MemberView;
pub use words::{Action, Ending, IntervalReign, Limits, SessionId};

pub(crate) use words::Id;

use crate::assign::Worker;
use change::Change;
use member::Member;
use pelton_domain::{KeyInterval, Sequencer};
use slots::{Slots, State};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The membership and the intervals of one pipeline.
#[derive(Clone, Debug)]
pub struct Membership {
    limits: Limits,
    graph_version: u32,
    computations: BTreeSet<u32>,
    /// In which version of the graph each computation last got an input.
    inputs_since: BTreeMap<u32, u32>,
    members: BTreeMap<Worker, Member>,
    sessions: BTreeMap<SessionId, Worker>,
    slots: Slots,
    changes: Vec<Change>,
    /// Intervals of the journal that must be replaced in one step, since they do not have the fences' bounds.
    together: BTreeMap<u32, KeyInterval>,
    /// When the spread is planned again.
    plan_at: Option<Duration>,
    plan_again: bool,
    ticked: Duration,
    actions: Vec<Action>,
}

impl Membership {
    /// Nobody and nothing.
    #[must_use]
    pub fn new(limits: Limits, now: Duration) -> Self {
        Self {
            limits,
            graph_version: 0,
            computations: BTreeSet::new(),
            inputs_since: BTreeMap::new(),
            members: BTreeMap::new(),
            sessions: BTreeMap::new(),
            slots: Slots::default(),
            changes: Vec::new(),
            together: BTreeMap::new(),
            plan_at: None,
            plan_again: false,
            ticked: now,
            actions: Vec::new(),
        }
    }

    /// Time passes, and everything that has become possible is begun. Call it after every event, and at
    /// [`Membership::due`].
    pub fn tick(&mut self, now: Duration) {
        self.forgive(now);
        self.expire_members(now);
        self.expire_releases(now);
        self.wake(now);
        if self.plan_at.is_some_and(|at| at <= now) {
            self.plan_at = None;
            self.plan();
        }
        self.advance_changes(now);
        self.begin_moves(now);
        self.begin_checks();
        self.begin_assignments();
        self.end_drained();
    }

    /// What is to be done since the last call, in order.
    pub fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// When the next tick is due, if nothing happens before.
    #[must_use]
    pub fn due(&self, now: Duration) -> Duration {
        let lease = self.limits.lease / 8;
        let at = [
            self.slots.resting.first().map(|(until, _)| *until),
            self.slots.releasing.first().map(|(until, _)| *until),
            self.plan_at,
            self.first_down(),
        ];
        let soonest = at.into_iter().flatten().min().unwrap_or(Duration::MAX);
        soonest.saturating_sub(now).min(lease)
    }

    /// The graph to work by from now on. Intervals of computations that are not in it any more are given up.
    pub fn set_graph(&mut self, version: u32, computations: impl IntoIterator<Item = u32>, now: Duration) {
        self.graph_version = version;
        self.computations = computations.into_iter().collect();
        let gone: Vec<Id> = (self.slots.computations().into_iter())
            .filter(|computation| !self.computations.contains(computation))
            .flat_map(|computation| self.slots.of(computation).map(|(id, _)| id).collect::<Vec<_>>())
            .collect();
        for id in gone {
            self.tell_release(id);
            self.slots.remove(id);
        }
        self.plan_soon(now);
    }

    /// In which version of the graph each computation last got a stream or a producer. Workers of an older graph do not
    /// keep its intervals: they do not know all that it waits for.
    pub fn set_inputs_since(&mut self, inputs_since: BTreeMap<u32, u32>) {
        self.inputs_since = inputs_since;
    }

    /// Whether a worker may keep what it has of a computation.
    fn keeps(&self, member: &Member, computation: u32) -> bool {
        member.keeps(computation, self.inputs_since.get(&computation).copied().unwrap_or(0))
    }

    /// The version of the graph that workers must have to be given intervals.
    #[must_use]
    pub fn graph_version(&self) -> u32 {
        self.graph_version
    }

    /// Takes in the intervals of a computation as its fences have them, with what the journal says of each. Their owners
    /// are expected back within the lease.
    pub fn restore(
        &mut self,
        computation: u32,
        intervals: impl IntoIterator<Item = (KeyInterval, Option<(Sequencer, Worker)>)>,
        now: Duration,
    ) {
        for (interval, owner) in intervals {
            let state = match owner {
                None => State::Ready { to: None },
                Some((sequencer, by)) => {
                    self.expect(&by, now);
                    State::Owned(slots::Owned { by, sequencer, running: false, next: slots::Next::Stay })
                }
            };
            self.slots.insert(computation, interval, 0, state);
        }
        self.plan_soon(now);
    }

    /// Whether the membership knows any interval of the computation.
    #[must_use]
    pub fn knows(&self, computation: u32) -> bool {
        self.slots.count(computation) > 0
    }

    /// How many intervals a computation has.
    #[must_use]
    pub fn interval_count(&self, computation: u32) -> usize {
        self.slots.count(computation)
    }

    /// Who lives, or is expected back.
    pub fn members(&self) -> impl Iterator<Item = MemberView> {
        self.members.iter().map(|(worker, member)| self.view(worker, member))
    }

    /// One of them.
    #[must_use]
    pub fn member(&self, worker: &Worker) -> Option<MemberView> {
        self.members.get(worker).map(|member| self.view(worker, member))
    }

    fn view(&self, worker: &Worker, member: &Member) -> MemberView {
        let identity = member.identity.as_ref();
        MemberView {
            worker: worker.clone(),
            process: identity.map(|identity| identity.process),
            address: identity.map(|identity| identity.address.clone()).unwrap_or_default(),
            graph_version: identity.map_or(0, |identity| identity.graph_version),
            intervals: self.slots.held(worker),
            draining: member.draining,
            clock_refused: member.clock_refused,
        }
    }

    /// The intervals of a computation with their owners, ascending: reign, worker, and whether it runs.
    pub fn reigns(
        &self,
        computation: u32,
    ) -> impl Iterator<Item = (KeyInterval, Option<(Sequencer, &Worker, bool)>)> {
        self.slots.of(computation).filter_map(|((_, last), slot)| {
            let interval = KeyInterval::new(slot.first, last)?;
            Some((interval, reign_of(&slot.state)))
        })
    }

    fn plan_soon(&mut self, now: Duration) {
        self.plan_at.get_or_insert(now + self.limits.gather);
    }

    /// The stream of a worker that lives.
    #[must_use]
    pub fn session_of(&self, worker: &Worker) -> Option<SessionId> {
        self.members.get(worker)?.session()
    }

    /// Tells the owner of an interval to stop it, where there is one that lives.
    fn tell_release(&mut self, id: Id) {
        let Some((sequencer, by)) = self.slots.get(id).and_then(|slot| match &slot.state {
            State::Owned(owned) => Some((owned.sequencer, &owned.by)),
            State::Releasing { by, sequencer, .. } => Some((*sequencer, by)),
            _ => None,
        }) else {
            return;
        };
        let (Some(interval), Some(session)) = (self.slots.interval(id), self.session_of(by)) else { return };
        self.release(session, IntervalReign { computation: id.0, interval, sequencer });
    }

    /// Adds to the last action where it is of the same kind, so that many releases are one message.
    fn release(&mut self, session: SessionId, reign: IntervalReign) {
        match self.actions.last_mut() {
            Some(Action::Release { session: to, reigns }) if *to == session => reigns.push(reign),
            _ => self.actions.push(Action::Release { session, reigns: vec![reign] }),
        }
    }
}

fn reign_of(state: &State) -> Option<(Sequencer, &Worker, bool)> {
    match state {
        State::Owned(owned) => Some((owned.sequencer, &owned.by, owned.running)),
        State::Releasing { by, sequencer, .. } => Some((*sequencer, by, false)),
        State::Assigning { was: Some(owned), .. } => Some((owned.sequencer, &owned.by, owned.running)),
        _ => None,
    }
}
