//! What the leader writes down, and how it is read again: announced values and assignments.
//!
//! I7: a value is in the journal before anyone hears it, and what is in the journal is where the next leader
//! starts. An assignment is in the journal before anyone may take over by it.

use crate::aggregate::ReassignRefused;
use crate::announced::Announced;
use crate::assign::Assignment;
use crate::backoff::Backoff;
use crate::graph::Graph;
use crate::leader::LeaderError;
use bytes::Bytes;
use pelton_domain::{EventTime, KeyInterval, Sequencer, SystemTime};
use pelton_proto::{Malformed, Message, convert, store};
use pelton_statestore::{PipelineKeys, Precondition, ReadError, Scan, StoreFault, StoreHandle, Write};

/// Why an injector could not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Leadership could not be taken.
    #[error(transparent)]
    Leader(#[from] LeaderError),
    /// The journal cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The journal contradicts itself: the store is damaged.
    #[error("the assignments of computation {computation} contradict each other: {reason}")]
    Contradiction {
        /// Which computation.
        computation: u32,
        /// How.
        reason: ReassignRefused,
    },
    /// The store is broken or closed.
    #[error("the store failed: {0}")]
    Fatal(StoreFault),
}

/// The write that announces a value.
pub(crate) fn announce(keys: &PipelineKeys, computation: u32, value: Announced) -> Write {
    let message = store::Announced {
        low_watermark_us: value.low_watermark.as_micros(),
        oldest_unacknowledged_ms: value.oldest_unacknowledged.as_millis(),
    };
    Write::Put { key: keys.announced(computation), value: message.encode_to_vec().into() }
}

/// The writes that put `new` in the place of `old`: what ends elsewhere goes, so no two ever overlap.
pub(crate) fn assign(
    keys: &PipelineKeys,
    computation: u32,
    old: &[Assignment],
    new: &[Assignment],
) -> Vec<Write> {
    let key = |interval: KeyInterval| keys.assignment(computation, interval.last());
    let gone = old.iter().map(|assignment| Write::Delete { key: key(assignment.interval) });
    let put =
        new.iter().map(|assignment| Write::Put { key: key(assignment.interval), value: encode(assignment) });
    gone.chain(put).collect()
}

/// What a take-over by `assignment` must require: that it still stands (I1).
pub(crate) fn requirement(keys: &PipelineKeys, computation: u32, assignment: &Assignment) -> Precondition {
    let key = keys.assignment(computation, assignment.interval.last());
    Precondition::Value { key, expected: Some(encode(assignment)) }
}

fn encode(assignment: &Assignment) -> Bytes {
    let message = store::Assignment {
        first_position: assignment.interval.first().0,
        last_position: assignment.interval.last().0,
        sequencer: assignment.sequencer.get(),
        worker: assignment.worker.as_str().to_owned(),
    };
    message.encode_to_vec().into()
}

fn decode(bytes: &[u8]) -> Result<Assignment, Malformed> {
    let message: store::Assignment = convert::decode("assignment", bytes)?;
    let sequencer = Sequencer::new(message.sequencer);
    Ok(Assignment {
        interval: convert::interval(message.first_position, message.last_position)?,
        sequencer: sequencer.ok_or_else(|| Malformed::new("assignment", "it has no sequencer"))?,
        worker: message.worker.into(),
    })
}

/// What stands announced of every computation of `graph`; what was never announced is left out.
pub(crate) async fn read_announced(
    store: &StoreHandle,
    keys: &PipelineKeys,
    graph: &Graph,
) -> Result<Vec<(u32, Announced)>, StartError> {
    let computations: Vec<u32> = graph.computations().collect();
    let wanted: Vec<Bytes> = computations.iter().map(|computation| keys.announced(*computation)).collect();
    let mut backoff = Backoff::new();
    let values = loop {
        match store.read(wanted.clone()).await {
            Ok(values) => break values,
            Err(ReadError::Unavailable(_)) => backoff.pause().await,
            Err(ReadError::Fatal(fault)) => return Err(StartError::Fatal(fault)),
        }
    };
    let mut announced = Vec::new();
    for (computation, value) in computations.into_iter().zip(values) {
        let Some(value) = value else { continue };
        let message: store::Announced = convert::decode("announced", &value)?;
        let value = Announced {
            low_watermark: EventTime::from_micros(message.low_watermark_us),
            oldest_unacknowledged: SystemTime::from_millis(message.oldest_unacknowledged_ms),
        };
        announced.push((computation, value));
    }
    Ok(announced)
}

/// The assignments of one computation, ascending.
pub(crate) async fn read_assignments(
    store: &StoreHandle,
    keys: &PipelineKeys,
    computation: u32,
) -> Result<Vec<Assignment>, StartError> {
    let mut range = keys.assignments(computation);
    let mut assignments = Vec::new();
    let mut backoff = Backoff::new();
    loop {
        match store.scan(Scan::page_of(range.clone())).await {
            Ok(page) => {
                for (_, value) in &page.entries {
                    assignments.push(decode(value)?);
                }
                match page.next {
                    Some(next) => range.start = next,
                    None => return Ok(assignments),
                }
            }
            Err(ReadError::Unavailable(_)) => backoff.pause().await,
            Err(ReadError::Fatal(fault)) => return Err(StartError::Fatal(fault)),
        }
    }
}

/// A part of a change of assignments that is sound by itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) old: Vec<Assignment>,
    pub(crate) new: Vec<Assignment>,
}

/// Cuts a change into steps of about `records_max` journal records each, none of which replaces an interval
/// in part: so the journal covers the same positions after each. What must be one step stays one, however
/// large. Both `old` and `new` ascend and do not overlap themselves; every old one is covered by new ones.
pub(crate) fn steps(old: Vec<Assignment>, new: Vec<Assignment>, records_max: usize) -> Vec<Step> {
    let mut old = old.into_iter().peekable();
    let mut steps = Vec::new();
    let mut step = Step { old: Vec::new(), new: Vec::new() };
    for assignment in new {
        let last = assignment.interval.last();
        step.new.push(assignment);
        let mut straddles = step.old.last().is_some_and(|old| old.interval.last() > last);
        while let Some(next) = old.next_if(|old| old.interval.first() <= last) {
            straddles = next.interval.last() > last;
            step.old.push(next);
        }
        if !straddles && step.old.len() + step.new.len() >= records_max {
            steps.push(std::mem::replace(&mut step, Step { old: Vec::new(), new: Vec::new() }));
        }
    }
    if !step.new.is_empty() {
        steps.push(step);
    }
    steps
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
