//! Assignments: journaled before anyone takes over, one owner at a time, through splits, merges and take-overs (I1).

mod common;

use common::*;
use pelton_domain::{EventTime, KeyInterval, KeyPosition, Sequencer};
use pelton_injector::{Accepted, AssignError, Assigned, InjectorOptions, ReassignRefused, Worker};
use pelton_statestore::fence::{TakeOverError, create_fences, take_over};
use pelton_statestore::memory::Memory;
use pelton_statestore::{Precondition, StateStore, StoreHandle};
use std::sync::Arc;

fn parts(intervals: &[KeyInterval], worker: &str) -> Vec<(KeyInterval, Worker)> {
    intervals.iter().map(|interval| (*interval, worker.into())).collect()
}

fn bounds(assigned: &[Assigned]) -> Vec<KeyInterval> {
    assigned.iter().map(|assigned| assigned.assignment.interval).collect()
}

async fn holds(store: &Memory, require: &Precondition) -> bool {
    let Precondition::Value { key, expected } = require else { return false };
    store.read(vec![key.clone()]).await.is_ok_and(|values| values == std::slice::from_ref(expected))
}

#[tokio::test(start_paused = true)]
async fn i1_an_assignment_is_in_the_journal_when_it_is_told() {
    let store = Memory::new();
    let (injector, _driver) = start(&store).await;
    let quarters = KeyInterval::partition(4);
    let assigned = injector.assign(1, parts(&quarters, "w1")).await.unwrap();
    assert_eq!(bounds(&assigned), quarters);
    for one in &assigned {
        assert!(holds(&store, &one.require).await);
        assert_eq!(one.announced, pelton_injector::Announced::LEAST);
    }
    let mut sequencers: Vec<Sequencer> = assigned.iter().map(|one| one.assignment.sequencer).collect();
    sequencers.dedup();
    assert_eq!(sequencers.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn i1_a_take_over_by_an_old_assignment_is_refused_once_a_newer_one_is_told() {
    let store = Memory::new();
    let handle: StoreHandle = Arc::new(store.clone());
    let (injector, _driver) = start(&store).await;
    let computation = keys().computation(1);
    create_fences(&handle, &computation, &[KeyInterval::FULL], vec![], &tokens()).await.unwrap();
    let take = async |assigned: &Assigned| {
        let (interval, sequencer) = (assigned.assignment.interval, assigned.assignment.sequencer);
        take_over(&handle, &computation, interval, sequencer, vec![assigned.require.clone()], &tokens()).await
    };
    let old = assign_whole(&injector, 1).await;
    let new = assign_whole(&injector, 1).await;
    assert!(matches!(take(&old).await, Err(TakeOverError::Superseded { .. })));
    let reign = take(&new).await.unwrap();
    assert_eq!(reign.sequencer(), new.assignment.sequencer);
}

#[tokio::test(start_paused = true)]
async fn i7_after_a_move_only_the_new_reign_is_heard() {
    let store = Memory::new();
    let (injector, _driver) = start(&store).await;
    let old = assign_whole(&injector, 1).await;
    injector.report(report(1, &old, 10)).unwrap();
    until(&injector, 1, 10).await;
    let new = assign_whole(&injector, 1).await;
    assert_eq!(new.announced, announced(10), "the new owner assigns no id below");
    assert_eq!(injector.report(report(1, &old, 90)).unwrap_err().reason(), "stale");
    assert_eq!(injector.report(report(1, &new, 8)), Ok(Accepted::Holds));
    assert_eq!(injector.announced().of(1), announced(10));
    injector.report(report(1, &new, 11)).unwrap();
    until(&injector, 1, 11).await;
}

#[tokio::test(start_paused = true)]
async fn a_split_and_a_merge_replace_exactly_what_was_named() {
    let store = Memory::new();
    let (injector, driver) = start(&store).await;
    let whole = assign_whole(&injector, 1).await;
    let halves = KeyInterval::partition(2);
    let split = injector.reassign(1, vec![KeyInterval::FULL], parts(&halves, "w1")).await.unwrap();
    assert_eq!(bounds(&split), halves);
    assert!(!holds(&store, &whole.require).await);
    assert_eq!(injector.report(report(1, &whole, 1)).unwrap_err().reason(), "not_assigned");

    let error = injector.reassign(1, vec![halves[0]], parts(&[KeyInterval::FULL], "w2")).await.unwrap_err();
    assert_eq!(error, AssignError::Refused(ReassignRefused::OtherIntervals { interval: halves[1] }));
    let error = injector.reassign(1, vec![KeyInterval::FULL], parts(&halves, "w2")).await.unwrap_err();
    assert!(matches!(error, AssignError::Refused(ReassignRefused::OtherIntervals { .. })));

    let merged = injector.reassign(1, halves.clone(), parts(&[KeyInterval::FULL], "w2")).await.unwrap();
    assert_eq!(bounds(&merged), [KeyInterval::FULL]);
    injector.report(report(1, &merged[0], 5)).unwrap();
    until(&injector, 1, 5).await;
    drop(injector);
    driver.await.unwrap();
    let (after, _driver) = start(&store).await;
    assert_eq!(after.intervals(1).len(), 1, "no record of the halves is left in the journal");
    assert_eq!(after.intervals(1)[0].assignment, merged[0].assignment);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_sound_changes_nothing() {
    let store = Memory::new();
    let (injector, _driver) = start(&store).await;
    let whole = assign_whole(&injector, 1).await;
    let halves = KeyInterval::partition(2);
    let refused = |error: AssignError| match error {
        AssignError::Refused(refused) => refused,
        other => panic!("{other}"),
    };
    let error = refused(injector.assign(1, parts(&halves[..1], "w2")).await.unwrap_err());
    assert_eq!(error, ReassignRefused::Partial { interval: KeyInterval::FULL });
    let error = refused(injector.assign(1, parts(&[halves[0], KeyInterval::FULL], "w2")).await.unwrap_err());
    assert!(matches!(error, ReassignRefused::Overlapping { .. }), "{error}");
    let error = refused(injector.assign(9, parts(&halves, "w2")).await.unwrap_err());
    assert_eq!(error, ReassignRefused::NoSuchComputation { computation: 9 });
    assert_eq!(injector.assign(1, vec![]).await.unwrap(), []);
    assert!(holds(&store, &whole.require).await);
    injector.report(report(1, &whole, 5)).unwrap();
    until(&injector, 1, 5).await;
}

#[tokio::test(start_paused = true)]
async fn a_large_change_goes_in_steps_none_of_which_cuts_an_interval() {
    let store = Memory::new();
    let small = InjectorOptions { journal_records_max: 10, ..options() };
    let (injector, driver) = start_with(&store, small).await;
    let many = KeyInterval::partition(100);
    assert_eq!(bounds(&injector.assign(1, parts(&many, "w1")).await.unwrap()), many);
    assert_eq!(bounds(&injector.assign(1, parts(&many, "w2")).await.unwrap()), many);
    let fewer = KeyInterval::partition(30);
    let assigned = injector.assign(1, parts(&fewer, "w3")).await.unwrap();
    assert_eq!(bounds(&assigned), fewer);
    for one in &assigned {
        assert!(holds(&store, &one.require).await);
        injector.report(report(1, one, 5)).unwrap();
    }
    until(&injector, 1, 5).await;
    drop(injector);
    driver.await.unwrap();
    let (after, _driver) = start(&store).await;
    let journaled: Vec<_> = after.intervals(1).into_iter().map(|view| view.assignment).collect();
    assert_eq!(journaled, assigned.into_iter().map(|one| one.assignment).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_leaves_an_assignment_that_nobody_takes_over_by() {
    let store = Memory::new();
    let (injector, _driver) = start(&store).await;
    let whole = assign_whole(&injector, 1).await;
    let gate = store.hold_next_commit_where(|commit| commit.writes.len() > 1);
    tokio::select! {
        biased;
        _ = injector.assign(1, parts(&KeyInterval::partition(2), "w2")) => unreachable!("it is held"),
        () = gate.caught() => {}
    }
    gate.land().unwrap().unwrap();
    let again = assign_whole(&injector, 1).await;
    assert!(again.assignment.sequencer > whole.assignment.sequencer);
    injector.report(report(1, &again, 5)).unwrap();
    until(&injector, 1, 5).await;
    drop(injector);
    let (after, _driver) = start(&store).await;
    assert_eq!(after.intervals(1).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_cover_holds_and_the_hole_is_named() {
    let store = Memory::new();
    let (injector, _driver) = start(&store).await;
    let halves = KeyInterval::partition(2);
    let assigned = injector.assign(1, parts(&halves[..1], "w1")).await.unwrap();
    assert_eq!(injector.report(report(1, &assigned[0], 10)), Ok(Accepted::Holds));
    assert_eq!(injector.announced().of(1).low_watermark, EventTime::MIN);
    let explanation = injector.explain(2).unwrap();
    assert_eq!(explanation.path, [2], "2 itself is assigned to nobody");
    let cause = injector.explain(1).unwrap().cause.to_string();
    assert!(cause.contains(&halves[1].to_string()), "{cause}");
    assert_eq!(halves[1].last(), KeyPosition(u64::MAX));
}
