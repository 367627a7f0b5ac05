//! What is written is read again, and large changes are cut only where nothing is cut in two.

use super::*;
use crate::aggregate::check_reassign;
use pelton_domain::{KeyPosition, Name};
use proptest::prelude::*;

fn interval(first: u64, last: u64) -> KeyInterval {
    KeyInterval::new(KeyPosition(first), KeyPosition(last)).unwrap()
}

/// Intervals from 0 to 99, cut below each of `cuts`, all under one sequencer.
fn cut(cuts: &[u64], sequencer: u64) -> Vec<Assignment> {
    let mut firsts: Vec<u64> = cuts.iter().copied().chain([0]).collect();
    firsts.sort_unstable();
    firsts.dedup();
    let lasts = firsts.iter().skip(1).map(|first| first - 1).chain([99]);
    let sequencer = Sequencer::new(sequencer).unwrap();
    let assignment = |(first, last): (&u64, u64)| Assignment {
        interval: interval(*first, last),
        sequencer,
        worker: "w".into(),
    };
    firsts.iter().zip(lasts).map(assignment).collect()
}

proptest! {
    #[test]
    fn an_assignment_survives_the_round_trip(a: u64, b: u64, sequencer in 1u64.., worker in ".{0,40}") {
        let worker = worker.into();
        let sequencer = Sequencer::new(sequencer).unwrap();
        let assignment = Assignment { interval: interval(a.min(b), a.max(b)), sequencer, worker };
        prop_assert_eq!(decode(&encode(&assignment)).unwrap(), assignment);
    }

    #[test]
    fn every_step_of_a_large_change_is_sound_by_itself(
        old_cuts in prop::collection::vec(1u64..100, 0..40),
        new_cuts in prop::collection::vec(1u64..100, 0..40),
        records_max in 1usize..20,
    ) {
        let (old, new) = (cut(&old_cuts, 1), cut(&new_cuts, 2));
        let steps = steps(old.clone(), new.clone(), records_max);
        for step in &steps {
            prop_assert_eq!(check_reassign(&step.old, &step.new), Ok(()));
            let bounds = |part: &[Assignment]| part.iter().map(|a| a.interval).collect::<Vec<_>>();
            prop_assert!(KeyInterval::is_partition_of(&bounds(&step.new), &bounds(&step.old)));
        }
        let done: Vec<_> = steps.iter().flat_map(|step| step.new.clone()).collect();
        prop_assert_eq!(done, new);
        let replaced: Vec<_> = steps.iter().flat_map(|step| step.old.clone()).collect();
        prop_assert_eq!(replaced, old);
    }

    #[test]
    fn where_bounds_stay_steps_are_as_small_as_wanted(cuts in prop::collection::vec(1u64..100, 0..60), max in 2usize..20) {
        let steps = steps(cut(&cuts, 1), cut(&cuts, 2), max);
        prop_assert!(steps.iter().all(|step| step.old.len() + step.new.len() <= max + 1));
    }
}

#[test]
fn what_ends_elsewhere_is_deleted() {
    let keys = PipelineKeys::new(&Name::new("p").unwrap());
    let writes = assign(&keys, 1, &cut(&[50], 1), &cut(&[], 2));
    let deleted = |last| Write::Delete { key: keys.assignment(1, KeyPosition(last)) };
    assert_eq!(writes[..2], [deleted(49), deleted(99)]);
    assert!(matches!(&writes[2], Write::Put { key, .. } if *key == keys.assignment(1, KeyPosition(99))));
    assert_eq!(writes.len(), 3, "the put comes after the delete of its key, so it wins");
}

#[test]
fn an_assignment_to_nobody_is_malformed() {
    assert!(decode(b"").unwrap_err().to_string().contains("no sequencer"));
}
