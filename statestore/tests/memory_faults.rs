//! The store in memory does wrong what it is told to, and nothing else.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use bytes::Bytes;
use futures_util::FutureExt;
use pelton_domain::{AttemptToken, Key, KeyInterval, Name, Sequencer};
use pelton_statestore::fence::{Tokens, create_fences, random_tokens, take_over};
use pelton_statestore::memory::{Counts, FaultPlan, Memory};
use pelton_statestore::{
    Commit, CommitError, KeyRange, Limits, PipelineKeys, Precondition, ReadError, Scan, StateStore,
    StoreHandle, Write,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn put(key: &str, value: &str) -> Write {
    Write::Put {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
    }
}

fn commit_of(preconditions: Vec<Precondition>, writes: Vec<Write>) -> Commit {
    Commit { preconditions, writes }
}

fn is_absent(key: &str) -> Precondition {
    Precondition::Value { key: Bytes::copy_from_slice(key.as_bytes()), expected: None }
}

async fn write(store: &Memory, key: &str, value: &str) -> Result<(), CommitError> {
    store.commit(commit_of(vec![], vec![put(key, value)])).await
}

async fn read(store: &Memory, key: &str) -> Option<Bytes> {
    store.read(vec![Bytes::copy_from_slice(key.as_bytes())]).await.unwrap().pop().flatten()
}

fn seed(case: &str) -> u64 {
    let given = std::env::var("PELTON_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("{case}: PELTON_SEED={seed}");
    seed
}

fn only(change: impl FnOnce(&mut FaultPlan)) -> Memory {
    let mut plan = FaultPlan::none();
    change(&mut plan);
    Memory::with_faults(1, plan)
}

#[tokio::test]
async fn one_seed_and_one_order_of_calls_give_one_history() {
    let seed = seed("one_seed_and_one_order_of_calls_give_one_history");
    let history = |seed| async move {
        let store = Memory::with_faults(seed, FaultPlan::stormy());
        let mut history = vec![];
        for number in 0..300 {
            let key = format!("{}", number % 7);
            history.push(format!("{:?}", write(&store, &key, &number.to_string()).await));
            history.push(format!("{:?}", store.read(vec![key.into()]).await));
            history.push(format!("{:?}", store.scan(Scan::page_of(KeyRange::of_prefix(b""))).await));
        }
        (history, store.dump(), store.counts(), store.incarnation())
    };
    assert_eq!(history(seed).await, history(seed).await);
    assert_ne!(history(seed).await.0, history(!seed).await.0);
}

#[tokio::test]
async fn a_conflict_writes_nothing() {
    let store = only(|plan| plan.conflict = 1.0);
    assert_eq!(write(&store, "a", "1").await, Err(CommitError::Conflict));
    assert_eq!(store.dump(), []);
}

#[tokio::test]
async fn an_absent_store_neither_writes_nor_reads() {
    let store = only(|plan| plan.unavailable = 1.0);
    assert!(matches!(write(&store, "a", "1").await, Err(CommitError::Unavailable(_))));
    assert!(matches!(store.read(vec![]).await, Err(ReadError::Unavailable(_))));
    assert!(matches!(
        store.scan(Scan::page_of(KeyRange::of_prefix(b""))).await,
        Err(ReadError::Unavailable(_))
    ));
    store.set_faults(FaultPlan::none());
    assert_eq!(store.dump(), []);
    assert_eq!(write(&store, "a", "1").await, Ok(()));
}

#[tokio::test]
async fn an_unknown_outcome_may_have_happened_or_not() {
    let happens = only(|plan| plan.unknown_happens = 1.0);
    assert!(matches!(write(&happens, "a", "1").await, Err(CommitError::Unknown(_))));
    assert_eq!(read(&happens, "a").await, Some("1".into()));
    let never = only(|plan| plan.unknown_never = 1.0);
    assert!(matches!(write(&never, "a", "1").await, Err(CommitError::Unknown(_))));
    assert_eq!(never.land_pending(), 0);
    assert_eq!(read(&never, "a").await, None);
}

#[tokio::test]
async fn a_late_commit_lands_subject_to_its_preconditions() {
    let store = only(|plan| plan.unknown_late = 1.0);
    for key in ["a", "b"] {
        let late = commit_of(vec![is_absent(key)], vec![put(key, "late")]);
        assert!(matches!(store.commit(late).await, Err(CommitError::Unknown(_))));
    }
    store.set_faults(FaultPlan::none());
    let pending = store.pending();
    assert!((1..=2).contains(&pending), "the first may have landed at the second call");
    // Each call may let some land; so this one may be refused, but then the late one is there.
    let early = store.commit(commit_of(vec![is_absent("b")], vec![put("b", "early")])).await;
    store.land_pending();
    assert_eq!(store.pending(), 0);
    assert_eq!(read(&store, "a").await, Some("late".into()));
    let expected = if early.is_ok() { "early" } else { "late" };
    assert_eq!(read(&store, "b").await, Some(expected.into()));
}

#[tokio::test]
async fn late_commits_land_at_later_calls_by_themselves() {
    let store = only(|plan| plan.unknown_late = 1.0);
    for number in 0..10 {
        let _ = write(&store, &format!("{number}"), "1").await;
    }
    store.set_faults(FaultPlan::none());
    let mut calls = 0;
    while store.pending() > 0 {
        read(&store, "0").await;
        calls += 1;
        assert!(calls < 100, "they never land");
    }
    assert_eq!(store.dump().len(), 10);
}

#[tokio::test]
async fn late_commits_are_bounded() {
    let store = only(|plan| plan.unknown_late = 1.0);
    for number in 0..1_000 {
        let _ = write(&store, &format!("{number}"), "1").await;
        assert!(store.pending() <= 64);
    }
    store.land_pending();
    assert_eq!(store.dump().len(), 1_000);
}

#[tokio::test]
async fn a_short_page_says_where_to_go_on() {
    let store = only(|plan| plan.short_page = 1.0);
    let writes = (0..50).map(|number| put(&format!("{number:02}"), "1")).collect();
    assert_eq!(store.commit(commit_of(vec![], writes)).await, Ok(()));
    let (mut rest, mut found, mut pages) = (KeyRange::of_prefix(b""), 0, 0);
    loop {
        let page =
            store.scan(Scan { range: rest.clone(), entries_max: 10, bytes_max: usize::MAX }).await.unwrap();
        (found, pages) = (found + page.entries.len(), pages + 1);
        match page.next {
            Some(next) => rest.start = next,
            None => break,
        }
    }
    assert_eq!(found, 50);
    assert!(pages > 5, "none was short");
}

#[tokio::test(start_paused = true)]
async fn delays_take_simulated_time() {
    let plan = FaultPlan { delay: 1.0, ..FaultPlan::none().delayed(Duration::from_secs(3600)) };
    let store = Memory::with_faults(1, plan);
    let mut slow = store.commit(commit_of(vec![], vec![put("a", "1")]));
    assert!(slow.as_mut().now_or_never().is_none(), "it waits");
    assert_eq!(store.dump(), [], "it has not arrived");
    let in_time = |seconds| Duration::from_secs(seconds);
    assert!(tokio::time::timeout(in_time(1), &mut slow).await.is_err(), "an hour at most is seldom a second");
    assert_eq!(tokio::time::timeout(in_time(7200), slow).await, Ok(Ok(())));
}

/// On the way there: it never arrives. On the way back: it has.
#[tokio::test(start_paused = true)]
async fn a_call_cancelled_on_its_way_may_have_happened() {
    let plan = FaultPlan::none().delayed(Duration::from_secs(10));
    let seed = seed("a_call_cancelled_on_its_way_may_have_happened");
    let (mut happened, mut never) = (false, false);
    for number in 0..200 {
        let store = Memory::with_faults(seed.wrapping_add(number), plan);
        let _ = tokio::time::timeout(Duration::from_secs(5), write(&store, "a", "1")).await;
        let is_there = !store.dump().is_empty();
        (happened, never) = (happened | is_there, never | !is_there);
    }
    assert!(happened && never);
}

#[tokio::test]
async fn handles_are_views_of_one_store() {
    let store = Memory::new();
    let other = store.clone();
    assert_eq!(write(&store, "a", "1").await, Ok(()));
    assert_eq!(read(&other, "a").await, Some("1".into()));
    assert_eq!(other.incarnation(), store.incarnation());
    assert_ne!(Memory::new().incarnation(), store.incarnation());
    let small = store.clone().with_limits(Limits { value_bytes_max: 3, ..Limits::default() });
    assert!(matches!(write(&small, "a", "1234").await, Err(CommitError::TooLarge { what: "value", .. })));
    assert_eq!(write(&store, "a", "1234").await, Ok(()));
}

#[tokio::test]
async fn calls_are_counted() {
    let store = Memory::new();
    assert_eq!(write(&store, "a", "12345").await, Ok(()));
    let refused = store.commit(commit_of(vec![is_absent("a")], vec![put("a", "2"), put("b", "2")])).await;
    assert!(refused.is_err());
    store.read(vec!["a".into(), "b".into()]).await.unwrap();
    store.scan(Scan::page_of(KeyRange::of_prefix(b"a"))).await.unwrap();
    let expected = Counts {
        reads: 1,
        keys_read: 2,
        scans: 1,
        commits: 2,
        commits_applied: 1,
        writes_applied: 1,
        bytes_applied: 6,
        ..Counts::default()
    };
    assert_eq!(store.counts(), expected);
    assert_eq!(store.dump().len(), 1);
    assert_eq!(store.counts(), expected);
}

#[tokio::test]
async fn a_gate_holds_a_commit_until_it_may_land() {
    let store = Memory::new();
    let gate = store.hold_next_commit();
    let mut held = store.commit(commit_of(vec![], vec![put("a", "held")]));
    assert!(held.as_mut().now_or_never().is_none());
    gate.caught().await;
    assert_eq!(write(&store, "b", "free").await, Ok(()), "the gate holds one commit only");
    assert_eq!(read(&store, "a").await, None);
    assert_eq!(store.land_pending(), 0, "it is the gate's");
    assert_eq!(gate.land(), Some(Ok(())));
    assert_eq!(held.await, Ok(()));
    assert_eq!(read(&store, "a").await, Some("held".into()));
}

#[tokio::test]
async fn a_held_commit_lands_after_its_caller_has_given_up() {
    let store = Memory::new();
    let gate = store.hold_next_commit();
    assert!(write(&store, "a", "held").now_or_never().is_none());
    assert_eq!(gate.land(), Some(Ok(())));
    assert_eq!(read(&store, "a").await, Some("held".into()));
}

#[tokio::test]
async fn a_held_commit_may_lose_its_answer_and_land_later() {
    let store = Memory::new();
    let gate = store.hold_next_commit();
    let mut held = store.commit(commit_of(vec![is_absent("a")], vec![put("a", "held")]));
    assert!(held.as_mut().now_or_never().is_none());
    gate.lose_answer();
    assert!(matches!(held.await, Err(CommitError::Unknown(_))));
    assert!(gate.has_caught(), "it is still in flight");
    assert_eq!(write(&store, "a", "first").await, Ok(()));
    assert_eq!(gate.land(), Some(Err(CommitError::Refused { at: "a".into() })));
    assert_eq!(read(&store, "a").await, Some("first".into()));
}

#[tokio::test]
async fn a_gate_that_goes_loses_its_commit() {
    let store = Memory::new();
    let gate = store.hold_next_commit();
    let mut held = store.commit(commit_of(vec![], vec![put("a", "held")]));
    assert!(held.as_mut().now_or_never().is_none());
    drop(gate);
    assert!(matches!(held.await, Err(CommitError::Unknown(_))));
    assert_eq!(store.dump(), []);
    // A gate that goes before anything came holds nothing.
    drop(store.hold_next_commit());
    assert_eq!(write(&store, "a", "1").await, Ok(()));
    assert_eq!(store.hold_next_commit().land(), None);
}

#[tokio::test]
async fn a_gate_holds_only_what_it_is_for() {
    let store = Memory::new();
    let writes_b = |commit: &Commit| commit.writes == [put("b", "1")];
    let gate = store.hold_next_commit_where(writes_b);
    let another = store.hold_next_commit_where(writes_b);
    assert_eq!(write(&store, "a", "1").await, Ok(()));
    for gate in [gate, another] {
        let mut held = store.commit(commit_of(vec![], vec![put("b", "1")]));
        assert!(held.as_mut().now_or_never().is_none());
        gate.refuse(CommitError::Conflict);
        assert_eq!(held.await, Err(CommitError::Conflict));
    }
    assert_eq!(write(&store, "b", "1").await, Ok(()));
}

/// A refusal says no more than an answer that never came: what stands decides, and if that is as before, the
/// commit is made again.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_settled_by_reading_the_fence() {
    let store = Memory::new();
    let handle: StoreHandle = Arc::new(store.clone());
    let (keys, tokens) = (PipelineKeys::new(&Name::new("refusal").unwrap()).computation(1), random_tokens());
    create_fences(&handle, &keys, &[KeyInterval::FULL], vec![], &tokens).await.unwrap();
    let sequencer = Sequencer::new(1).unwrap();
    let mut reign = take_over(&handle, &keys, KeyInterval::FULL, sequencer, vec![], &tokens).await.unwrap();
    let gate = store.hold_next_commit();
    let update = reign.fence().unchanged();
    let story = async {
        gate.caught().await;
        gate.refuse(CommitError::Refused { at: keys.fence(KeyInterval::FULL.last()) });
    };
    let writes = vec![put("a", "1")];
    let (outcome, ()) = futures_util::future::join(reign.commit(writes, &update), story).await;
    assert_eq!(outcome, Ok(()), "I3: nobody else owns it");
    assert_eq!(read(&store, "a").await, Some("1".into()));
}

/// Everything a store can do wrong, and a reign on top: each commit happens once, in order.
#[tokio::test(start_paused = true)]
async fn a_reign_commits_exactly_once_through_a_storm() {
    let seed = seed("a_reign_commits_exactly_once_through_a_storm");
    let plan = FaultPlan::stormy().delayed(Duration::from_millis(20));
    for round in 0..20 {
        let store = Memory::with_faults(seed.wrapping_add(round), plan);
        let handle: StoreHandle = Arc::new(store.clone());
        let numbers = AtomicU64::new(1);
        let tokens: Tokens = Arc::new(move || AttemptToken(numbers.fetch_add(1, Ordering::Relaxed).into()));
        let keys = PipelineKeys::new(&Name::new("storm").unwrap()).computation(1);
        create_fences(&handle, &keys, &[KeyInterval::FULL], vec![], &tokens).await.unwrap();
        let cell = keys.state(&Key::from("k"), b"", b"cell", b"");
        let mut expected = 0;
        for sequencer in 1..=5 {
            let sequencer = Sequencer::new(sequencer).unwrap();
            let mut reign =
                take_over(&handle, &keys, KeyInterval::FULL, sequencer, vec![], &tokens).await.unwrap();
            for _ in 0..10 {
                expected += 1;
                let value = Bytes::from(format!("{expected}"));
                let update = reign.fence().unchanged();
                reign.commit(vec![Write::Put { key: cell.clone(), value }], &update).await.unwrap();
            }
        }
        store.land_pending();
        let found = store.dump().into_iter().find(|(key, _)| *key == cell).map(|(_, value)| value);
        assert_eq!(
            found,
            Some(format!("{expected}").into()),
            "round {round}: a late commit changed something"
        );
    }
}
