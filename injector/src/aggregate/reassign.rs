//! What makes a change of assignments sound: the rules of take-over, split and merge. Pure.
//!
//! I1: a newer assignment has a larger sequencer than every one it replaces, and none is replaced in part.

use crate::assign::Assignment;
use pelton_domain::{KeyInterval, KeyPosition, Sequencer};

/// Why a change of assignments was refused. It changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReassignRefused {
    /// There is no such computation in the graph.
    #[error("computation {computation} is not in the graph")]
    NoSuchComputation {
        /// Which number.
        computation: u32,
    },
    /// Two of the new intervals share a position.
    #[error("{interval} overlaps another of the new intervals")]
    Overlapping {
        /// One of the two.
        interval: KeyInterval,
    },
    /// An assigned interval would be replaced in part only. Give intervals for all of it.
    #[error("{interval} is assigned and would be replaced only in part")]
    Partial {
        /// Which interval.
        interval: KeyInterval,
    },
    /// The caller named other intervals to be replaced than would be. Look at the assignments again.
    #[error("{interval} is not among the intervals that are assigned and to be replaced")]
    OtherIntervals {
        /// One that differs.
        interval: KeyInterval,
    },
    /// A new sequencer is not larger than the one it replaces (I1).
    #[error("the sequencer {new} of {interval} is not newer than {old}")]
    NotNewer {
        /// Which interval.
        interval: KeyInterval,
        /// Its new sequencer.
        new: Sequencer,
        /// The one in place.
        old: Sequencer,
    },
}

/// Whether `parts` may replace exactly the `old` intervals, which are all that overlap them: no two parts
/// overlap, and each old interval is covered whole. Parts may reach into positions that nobody is assigned.
pub(crate) fn check_bounds(old: &[Assignment], parts: &[KeyInterval]) -> Result<(), ReassignRefused> {
    let mut sorted = parts.to_vec();
    sorted.sort_unstable();
    for (before, next) in sorted.iter().zip(sorted.iter().skip(1)) {
        if before.overlaps(*next) {
            return Err(ReassignRefused::Overlapping { interval: *next });
        }
    }
    for Assignment { interval, .. } in old {
        if !covers(&sorted, *interval) {
            return Err(ReassignRefused::Partial { interval: *interval });
        }
    }
    Ok(())
}

/// [`check_bounds`], and every new sequencer is larger than all it replaces (I1).
pub(crate) fn check(old: &[Assignment], new: &[Assignment]) -> Result<(), ReassignRefused> {
    let parts: Vec<KeyInterval> = new.iter().map(|assignment| assignment.interval).collect();
    check_bounds(old, &parts)?;
    let mut sorted: Vec<&Assignment> = new.iter().collect();
    sorted.sort_unstable_by_key(|assignment| assignment.interval);
    for old in old {
        let from = sorted.partition_point(|new| new.interval.last() < old.interval.first());
        let overlapping =
            sorted.iter().skip(from).take_while(|new| new.interval.first() <= old.interval.last());
        if let Some(new) = overlapping.into_iter().find(|new| new.sequencer <= old.sequencer) {
            let (interval, new) = (new.interval, new.sequencer);
            return Err(ReassignRefused::NotNewer { interval, new, old: old.sequencer });
        }
    }
    Ok(())
}

/// Whether the ascending, disjoint `parts` cover every position of `whole`.
fn covers(parts: &[KeyInterval], whole: KeyInterval) -> bool {
    let mut next = whole.first();
    let from = parts.partition_point(|part| part.last() < whole.first());
    for part in parts.iter().skip(from) {
        if part.first() > next {
            return false;
        }
        if part.last() >= whole.last() {
            return true;
        }
        next = KeyPosition(part.last().0.saturating_add(1));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(first: u64, last: u64) -> KeyInterval {
        KeyInterval::new(KeyPosition(first), KeyPosition(last)).unwrap()
    }

    fn assignment(first: u64, last: u64, sequencer: u64) -> Assignment {
        let sequencer = Sequencer::new(sequencer).unwrap();
        Assignment { interval: interval(first, last), sequencer, worker: "w".into() }
    }

    #[test]
    fn an_interval_is_replaced_whole_or_not_at_all() {
        let old = [assignment(0, 9, 1), assignment(10, 19, 2)];
        assert_eq!(check_bounds(&old, &[interval(5, 19), interval(0, 4)]), Ok(()));
        assert_eq!(check_bounds(&old, &[interval(0, 40)]), Ok(()));
        let partial = |first, last| Err(ReassignRefused::Partial { interval: interval(first, last) });
        assert_eq!(check_bounds(&old, &[interval(0, 4), interval(6, 19)]), partial(0, 9));
        assert_eq!(check_bounds(&old, &[interval(0, 18)]), partial(10, 19));
    }

    #[test]
    fn new_intervals_never_overlap() {
        let error = check_bounds(&[], &[interval(5, 9), interval(0, 5)]);
        assert_eq!(error, Err(ReassignRefused::Overlapping { interval: interval(5, 9) }));
    }

    #[test]
    fn a_new_sequencer_is_newer_than_all_it_replaces() {
        let old = [assignment(0, 9, 1), assignment(10, 19, 7)];
        assert_eq!(check(&old, &[assignment(0, 9, 2), assignment(10, 19, 8)]), Ok(()));
        let error = check(&old, &[assignment(0, 19, 7)]).unwrap_err();
        assert!(matches!(error, ReassignRefused::NotNewer { .. }), "{error}");
    }
}
