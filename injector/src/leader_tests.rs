//! Leadership: one leader writes, a deposed one writes nothing, and every outcome is known in the end.

use super::*;
use crate::simulated::{keys, run, tokens};
use pelton_statestore::StateStore;
use pelton_statestore::memory::{FaultPlan, Memory};
use proptest::prelude::*;
use std::sync::Arc;

fn handle(store: &Memory) -> StoreHandle {
    Arc::new(store.clone())
}

fn put(key: u8, value: u8) -> Write {
    Write::Put { key: Bytes::copy_from_slice(&[1, 200, key]), value: Bytes::copy_from_slice(&[value]) }
}

async fn value(store: &Memory, key: u8) -> Option<u8> {
    loop {
        if let Ok(values) = store.read(vec![Bytes::copy_from_slice(&[1, 200, key])]).await {
            return values.into_iter().next().flatten().and_then(|value| value.first().copied());
        }
    }
}

#[tokio::test]
async fn i7_a_deposed_leader_writes_nothing() {
    let (store, tokens) = (Memory::new(), tokens());
    let mut first = Leader::take(&handle(&store), &keys(), &tokens, "").await.unwrap();
    first.commit(vec![put(1, 1)]).await.unwrap();
    let mut second = Leader::take(&handle(&store), &keys(), &tokens, "").await.unwrap();
    assert!(second.epoch() > first.epoch());
    let (held, current) = (first.epoch(), Some(second.epoch()));
    assert_eq!(first.commit(vec![put(1, 2)]).await, Err(LeaderError::Deposed { held, current }));
    assert_eq!(value(&store, 1).await, Some(1));
    second.commit(vec![put(1, 3)]).await.unwrap();
    assert_eq!(value(&store, 1).await, Some(3));
}

#[test]
fn i7_a_commit_on_its_way_is_refused_once_another_leads() {
    run(async {
        let (store, tokens) = (Memory::new(), tokens());
        let mut first = Leader::take(&handle(&store), &keys(), &tokens, "").await.unwrap();
        let gate = store.hold_next_commit();
        let (result, second) = tokio::join!(first.commit(vec![put(1, 1)]), async {
            gate.caught().await;
            let second = Leader::take(&handle(&store), &keys(), &tokens, "").await.unwrap();
            gate.land();
            second
        });
        let current = Some(second.epoch());
        assert_eq!(result, Err(LeaderError::Deposed { held: first.epoch(), current }));
        assert_eq!(value(&store, 1).await, None);
    });
}

#[test]
fn i3_a_commit_that_landed_unseen_is_recognised_by_its_token() {
    run(async {
        let (store, tokens) = (Memory::new(), tokens());
        let mut leader = Leader::take(&handle(&store), &keys(), &tokens, "").await.unwrap();
        let gate = store.hold_next_commit();
        let (result, ()) = tokio::join!(leader.commit(vec![put(1, 1)]), async {
            gate.caught().await;
            gate.lose_answer();
            gate.land();
        });
        assert_eq!(result, Ok(()));
        assert_eq!(value(&store, 1).await, Some(1));
        assert_eq!(leader.commit(vec![put(1, 2)]).await, Ok(()), "it goes on from what landed");
    });
}

#[test]
fn i3_an_attempt_in_doubt_cannot_land_after_the_next_one_did() {
    run(async {
        let (store, tokens) = (Memory::new(), tokens());
        let mut leader = Leader::take(&handle(&store), &keys(), &tokens, "").await.unwrap();
        let gate = store.hold_next_commit();
        let (result, ()) = tokio::join!(leader.commit(vec![put(1, 1)]), async {
            gate.caught().await;
            gate.lose_answer();
        });
        assert_eq!(result, Ok(()), "by a second attempt");
        leader.commit(vec![put(1, 2)]).await.unwrap();
        assert!(matches!(gate.land(), Some(Err(CommitError::Refused { .. }))));
        assert_eq!(value(&store, 1).await, Some(2));
    });
}

#[test]
fn i3_after_a_cancelled_commit_the_leader_says_nothing_more() {
    run(async {
        let (store, tokens) = (Memory::new(), tokens());
        let mut leader = Leader::take(&handle(&store), &keys(), &tokens, "").await.unwrap();
        let gate = store.hold_next_commit();
        {
            tokio::select! {
                biased;
                _ = leader.commit(vec![put(1, 1)]) => unreachable!("it is held"),
                () = gate.caught() => {}
            }
        }
        assert_eq!(leader.commit(vec![put(1, 2)]).await, Err(LeaderError::Interrupted));
    });
}

#[tokio::test]
async fn what_is_too_large_leaves_the_leader_in_place() {
    let limits = pelton_statestore::Limits { commit_bytes_max: 300, ..Default::default() };
    let (store, tokens) = (Memory::new().with_limits(limits), tokens());
    let mut leader = Leader::take(&handle(&store), &keys(), &tokens, "").await.unwrap();
    let many: Vec<Write> = (0..200).map(|key| put(key, 1)).collect();
    assert!(matches!(leader.commit(many).await, Err(LeaderError::TooLarge { what: "commit", .. })));
    assert_eq!(leader.commit(vec![put(1, 1)]).await, Ok(()));
}

proptest! {
    #[test]
    fn i3_in_any_storm_what_is_said_to_be_written_is_and_nothing_else(seed: u64, turns in 1u8..40) {
        let store = Memory::with_faults(seed, FaultPlan::stormy());
        let tokens = tokens();
        run(async {
            let mut leaders: Vec<Leader> = Vec::new();
            let mut last = None;
            for turn in 0..turns {
                if turn % 7 == 0 {
                    leaders.push(Leader::take(&handle(&store), &keys(), &tokens, "").await.unwrap());
                }
                let newest = leaders.len() - 1;
                // Every third turn, an earlier leader tries.
                let chosen = if turn % 3 == 2 { usize::from(turn) % leaders.len() } else { newest };
                let result = leaders[chosen].commit(vec![put(1, turn)]).await;
                prop_assert_eq!(result.is_ok(), chosen == newest, "{:?}", result);
                last = if chosen == newest { Some(turn) } else { last };
                store.land_pending();
                prop_assert_eq!(value(&store, 1).await, last);
            }
            Ok(())
        })?;
    }
}
