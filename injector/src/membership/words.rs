//! What the membership is told, what it wants done, and how patient it is. Plain values.

use crate::assign::Worker;
use pelton_domain::{KeyInterval, KeyPosition, Sequencer};
use std::time::Duration;

/// An interval by computation and last position.
pub(crate) type Id = (u32, KeyPosition);

/// One stream of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// An interval of a computation, and a reign over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntervalReign {
    /// The computation's number.
    pub computation: u32,
    /// Which interval.
    pub interval: KeyInterval,
    /// Under which sequencer.
    pub sequencer: Sequencer,
}

/// How patient the membership is, and how much it does at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long the same process is waited for when its stream breaks.
    pub rejoin: Duration,
    /// How long a worker may keep silent.
    pub lease: Duration,
    /// How long an owner may take to stop an interval.
    pub release: Duration,
    /// How long workers are waited for before the spread is planned again.
    pub gather: Duration,
    /// The first wait after a failure of an interval; it doubles.
    pub backoff_min: Duration,
    /// The longest.
    pub backoff_max: Duration,
    /// How long a split or merge may take.
    pub change: Duration,
    /// Intervals assigned to one worker that do not run yet.
    pub take_overs_max: usize,
    /// Intervals that are stopped to be moved.
    pub moves_max: usize,
    /// Splits and merges under way.
    pub changes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rejoin: Duration::from_millis(300),
            lease: Duration::from_secs(3),
            release: Duration::from_secs(10),
            gather: Duration::from_millis(20),
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_secs(5),
            change: Duration::from_secs(30),
            take_overs_max: 256,
            moves_max: 1_024,
            changes_max: 16,
        }
    }
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The worker wanted to go, and has nothing left.
    Drained,
    /// Nothing came from it for the whole lease.
    Silent,
    /// The same process, or the next under its name, has another stream.
    Replaced,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Journal these assignments, then call [`Membership::assigned`](super::Membership::assigned) or [`Membership::not_assigned`](super::Membership::not_assigned).
    Assign {
        /// Of which computation.
        computation: u32,
        /// Which intervals, and to whom.
        intervals: Vec<(KeyInterval, Worker)>,
    },
    /// Read the fences of the computation, then call [`Membership::fences`](super::Membership::fences).
    ReadFences {
        /// Which computation.
        computation: u32,
    },
    /// Tell the worker to stop these.
    Release {
        /// Whom.
        session: SessionId,
        /// What.
        reigns: Vec<IntervalReign>,
    },
    /// Tell the worker to split or merge what it owns.
    Reshape {
        /// Whom.
        session: SessionId,
        /// Of which computation.
        computation: u32,
        /// What there is.
        old: Vec<KeyInterval>,
        /// What there is to be.
        new: Vec<KeyInterval>,
    },
    /// The worker is gone for good; what it was doing is done no more.
    Gone {
        /// Which.
        worker: Worker,
    },
    /// End the session.
    End {
        /// Which.
        session: SessionId,
        /// Why.
        why: Ending,
    },
}
