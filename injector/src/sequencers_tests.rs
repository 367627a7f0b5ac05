//! Sequencers through every fault: unique, growing, lost at worst.

use super::*;
use crate::simulated::{keys, run};
use pelton_statestore::memory::{FaultPlan, Memory};
use proptest::prelude::*;
use std::sync::Arc;

fn counter(store: &Memory) -> Sequencers {
    Sequencers::new(Arc::new(store.clone()), &keys())
}

#[tokio::test]
async fn numbers_begin_at_one_and_go_on() {
    let store = Memory::new();
    let block = counter(&store).take(3).await.unwrap();
    assert_eq!(block.len(), 3);
    assert_eq!(block.map(Sequencer::get).collect::<Vec<_>>(), [1, 2, 3]);
    let after: Vec<_> = counter(&store).take(0).await.unwrap().map(Sequencer::get).collect();
    assert_eq!(after, [4], "another handle goes on from the store, and 0 counts as 1");
}

#[tokio::test]
async fn what_no_record_id_can_carry_is_not_handed_out() {
    let store = Memory::new();
    assert!(counter(&store).take(SEQUENCER_MAX).await.is_ok());
    let error = counter(&store).take(1).await.unwrap_err();
    assert_eq!(error, SequencersError::Exhausted { taken: SEQUENCER_MAX, wanted: 1 });
}

#[tokio::test]
async fn another_value_is_no_counter() {
    let store = Memory::new();
    let write = Write::Put { key: keys().sequencer_counter(), value: Bytes::from_static(b"x") };
    let commit = Commit { preconditions: vec![], writes: vec![write] };
    pelton_statestore::StateStore::commit(&store, commit).await.unwrap();
    assert_eq!(counter(&store).take(1).await.unwrap_err(), SequencersError::Malformed { length: 1 });
}

#[test]
fn i3_a_block_in_doubt_is_never_used_twice() {
    run(async {
        let store = Memory::new();
        let gate = store.hold_next_commit();
        let counter = counter(&store);
        let (block, ()) = tokio::join!(counter.take(5), async {
            gate.caught().await;
            gate.lose_answer();
            assert!(gate.land().is_some_and(|result| result.is_ok()));
        });
        assert_eq!(block.unwrap().next(), Sequencer::new(6), "it landed, and nobody knows: skipped");
    });
}

proptest! {
    #[test]
    fn i1_every_number_is_handed_out_once_and_ever_larger(seed: u64, wants in prop::collection::vec(1u64..9, 1..20)) {
        let store = Memory::with_faults(seed, FaultPlan::stormy());
        let handed: Vec<u64> = run(async {
            let (one, other) = (counter(&store), counter(&store));
            let mut handed = Vec::new();
            for (turn, want) in wants.into_iter().enumerate() {
                let counter = if turn % 2 == 0 { &one } else { &other };
                handed.extend(counter.take(want).await.unwrap().map(Sequencer::get));
            }
            handed
        });
        prop_assert!(handed.iter().zip(handed.iter().skip(1)).all(|(before, after)| before < after), "{:?}", handed);
    }

    #[test]
    fn i1_two_that_take_at_once_share_no_number(seed: u64) {
        let plan = FaultPlan::stormy().delayed(std::time::Duration::from_millis(5));
        let store = Memory::with_faults(seed, plan);
        let take = async || {
            let (counter, mut taken) = (counter(&store), Vec::new());
            for _ in 0..10 {
                taken.extend(counter.take(3).await.unwrap());
            }
            taken
        };
        let (mut one, other) = run(async { tokio::join!(take(), take()) });
        prop_assert!(one.is_sorted() && other.is_sorted());
        one.extend(other);
        one.sort_unstable();
        one.dedup();
        prop_assert_eq!(one.len(), 60);
    }
}
