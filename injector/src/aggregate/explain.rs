//! Who holds a low watermark: from the computation that is asked about upstream to the cause. Pure.

use super::cover::Slot;
use super::{Aggregate, Progress};
use crate::assign::Worker;
use crate::report::{Holder, HolderKind};
use pelton_domain::{EventTime, KeyInterval, ProcessingTime, Sequencer};
use std::fmt;

/// Why a computation's low watermark stands where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What stands announced of the computation that was asked about.
    pub low_watermark: EventTime,
    /// The way upstream, from the computation that was asked about to the one that is the cause.
    pub path: Vec<u32>,
    /// What holds it there.
    pub cause: Cause,
    /// Since when, by the clock that the reports were stamped with; `None` where no report tells.
    pub since: Option<ProcessingTime>,
}

/// An interval, and who is assigned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which interval.
    pub interval: KeyInterval,
    /// Under which reign.
    pub sequencer: Sequencer,
    /// Whose.
    pub worker: Worker,
}

/// What holds a low watermark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing: it is at plus infinity.
    Done,
    /// Positions that are assigned to nobody.
    Unassigned {
        /// The first of them.
        positions: KeyInterval,
    },
    /// An interval whose owner has not reported since it was assigned.
    Silent {
        /// Which.
        at: Place,
    },
    /// An interval that has not yet applied the input watermark that stands announced for it.
    Behind {
        /// Which.
        at: Place,
        /// What it has applied.
        applied: EventTime,
        /// What stands announced.
        input: EventTime,
    },
    /// A hold of an interval.
    Held {
        /// Which.
        at: Place,
        /// What it reported.
        low_watermark: EventTime,
        /// By what.
        holder: Holder,
    },
    /// Every interval has gone on, and the journal has not: the store is slow or away.
    NotJournaled {
        /// What they reached.
        reached: EventTime,
    },
}

impl Aggregate {
    /// Who holds the low watermark of `computation`; `None` where it is not in the graph.
    ///
    /// Follows intervals that wait for their input upstream, to the interval and the hold that is the cause.
    /// Looks at every interval only where positions are unassigned.
    #[must_use]
    pub fn explain(&self, computation: u32) -> Option<Explanation> {
        let low_watermark = self.computations.get(&computation)?.announced.low_watermark;
        let mut path = vec![computation];
        let mut at = computation;
        let (cause, since) = loop {
            match self.step(at, self.computations.get(&at)?) {
                Step::Cause(cause, since) => break (cause, since),
                // The graph has no cycles, so this ends.
                Step::Upstream(producer) => {
                    path.push(producer);
                    at = producer;
                }
            }
        };
        Some(Explanation { low_watermark, path, cause, since })
    }

    fn step(&self, computation: u32, progress: &Progress) -> Step {
        let announced = progress.announced.low_watermark;
        if announced == EventTime::MAX {
            return Step::Cause(Cause::Done, None);
        }
        if let (false, Some(positions)) = (progress.cover.is_complete(), progress.cover.first_hole()) {
            return Step::Cause(Cause::Unassigned { positions }, None);
        }
        let Some((slot, value)) = progress.cover.holding() else {
            return Step::Cause(Cause::Unassigned { positions: KeyInterval::FULL }, None);
        };
        let at = place(slot);
        let Some(since) = slot.since else { return Step::Cause(Cause::Silent { at }, None) };
        if value.low_watermark > announced {
            return Step::Cause(Cause::NotJournaled { reached: value.low_watermark }, Some(since));
        }
        let low_watermark = value.low_watermark;
        let holder = slot.holder.clone().unwrap_or(Holder { what: HolderKind::Input, key: None });
        let least = self.least_producer(computation);
        match least.filter(|_| holder.what == HolderKind::Input) {
            None => Step::Cause(Cause::Held { at, low_watermark, holder }, Some(since)),
            Some((input, _)) if input > low_watermark => {
                Step::Cause(Cause::Behind { at, applied: low_watermark, input }, Some(since))
            }
            Some((_, producer)) => Step::Upstream(producer),
        }
    }

    /// The producer with the least announced low watermark.
    fn least_producer(&self, computation: u32) -> Option<(EventTime, u32)> {
        let producers = self.graph.producers(computation).iter();
        producers.map(|producer| (self.announced(*producer).low_watermark, *producer)).min()
    }
}

enum Step {
    Cause(Cause, Option<ProcessingTime>),
    Upstream(u32),
}

fn place(slot: &Slot) -> Place {
    Place { interval: slot.interval, sequencer: slot.sequencer, worker: slot.worker.clone() }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of worker {} ({})", self.interval, self.worker, self.sequencer)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("nothing: it is done"),
            Self::Unassigned { positions } => write!(f, "{positions} is assigned to nobody"),
            Self::Silent { at } => write!(f, "{at} has not reported yet"),
            Self::Behind { at, applied, input } => {
                write!(f, "{at} has applied its input up to {applied}, and {input} is announced")
            }
            Self::Held { at, low_watermark, holder } => write!(f, "{holder} in {at} holds {low_watermark}"),
            Self::NotJournaled { reached } => {
                write!(f, "the journal: every interval has reached {reached}, and the store has not taken it")
            }
        }
    }
}
