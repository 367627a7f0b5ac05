//! The conditions under which a commit may do without reading its fence (I1). `src/warm.rs` lists them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test: a panic is its failure"
)]

mod common;

use common::counter::{Counter, entries, keys};
use common::{commit, fresh_prefix, get, is, open, own_cluster, put, shared_cluster};
use futures_util::FutureExt;
use pelton_domain::KeyPosition;
use pelton_statestore::fence::FencedError;
use pelton_statestore::{Commit, CommitError, Precondition, StateStore, StoreHandle, Write};
use pelton_tests::fdb::Shape;
use std::sync::Arc;
use std::time::Duration;

const NAME: &str = "counter";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_interval_commits_without_reading_its_fence() {
    let Some(cluster) = shared_cluster() else { return };
    let store = Arc::new(open(&cluster.url(&fresh_prefix(), "")).await);
    let handle: StoreHandle = store.clone();
    let mut counter = Counter::take(&handle, NAME, 1).await;
    let before = store.commit_counts();
    for _ in 0..50 {
        counter.add(3).await.unwrap();
    }
    let after = store.commit_counts();
    assert_eq!((after.fast - before.fast, after.slow, after.fell_back), (50, before.slow, 0), "{after:?}");
    assert_eq!(entries(&handle, &keys(NAME)).await, 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_can_be_turned_off() {
    let Some(cluster) = shared_cluster() else { return };
    let store = Arc::new(open(&cluster.url(&fresh_prefix(), "&fast_fence=off")).await);
    let handle: StoreHandle = store.clone();
    let mut counter = Counter::take(&handle, NAME, 1).await;
    for _ in 0..10 {
        counter.add(0).await.unwrap();
    }
    assert_eq!(store.commit_counts().fast, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_zombie_is_fenced() {
    let Some(cluster) = shared_cluster() else { return };
    let url = cluster.url(&fresh_prefix(), "");
    let (old, new) = (Arc::new(open(&url).await), Arc::new(open(&url).await));
    let (old_handle, new_handle): (StoreHandle, StoreHandle) = (old.clone(), new.clone());
    let mut zombie = Counter::take(&old_handle, NAME, 1).await;
    for _ in 0..5 {
        zombie.add(0).await.unwrap();
    }
    let mut successor = Counter::take(&new_handle, NAME, 2).await;
    let before = old.commit_counts();
    let fenced = zombie.add(0).await.unwrap_err();
    assert!(matches!(fenced, FencedError::Fenced { .. }), "{fenced:?}");
    assert_eq!(old.commit_counts().fell_back, before.fell_back + 1, "it tried the fast path, and then read");
    successor.add(0).await.unwrap();
    assert_eq!(entries(&new_handle, &keys(NAME)).await, 6);
}

/// Owners that take the counter from each other as fast as they can, while each commits as fast as it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_owners_at_once_lose_and_double_nothing() {
    let Some(cluster) = shared_cluster() else { return };
    let url = cluster.url(&fresh_prefix(), "");
    let sequencers = Arc::new(std::sync::atomic::AtomicU64::new(1));
    let owner = |_| {
        let (url, sequencers) = (url.clone(), sequencers.clone());
        tokio::spawn(async move {
            let store: StoreHandle = Arc::new(open(&url).await);
            let mut acknowledged = 0;
            for _ in 0..15 {
                let sequencer = sequencers.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let Ok(mut counter) = Counter::try_take(&store, NAME, sequencer).await else { continue };
                while acknowledged % 20 != 19 && counter.add(1).await.is_ok() {
                    acknowledged += 1;
                }
                acknowledged += u64::from(counter.add(1).await.is_ok());
            }
            acknowledged
        })
    };
    let mut acknowledged = 0;
    for task in (0..4).map(owner).collect::<Vec<_>>() {
        acknowledged += task.await.unwrap();
    }
    let store: StoreHandle = Arc::new(open(&url).await);
    assert_eq!(entries(&store, &keys(NAME)).await, acknowledged, "I1, I2");
    assert!(acknowledged > 0);
}

/// A blind write of a fence beside its owner's commit would have the same version, and go unseen by the owner's next
/// commit, if the store did not make it conflict.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blind_write_of_a_fence_in_the_same_batch_is_seen() {
    let Some(cluster) = shared_cluster() else { return };
    let url = cluster.url(&fresh_prefix(), "");
    let (owner, other) = (open(&url).await, open(&url).await);
    let fence = keys(NAME).fence(KeyPosition(u64::MAX));
    let mut standing = "0".to_owned();
    commit(&owner, vec![], vec![put(fence.clone(), standing.clone())]).await.unwrap();
    let (mut overwritten, mut kept) = (0, 0);
    for round in 1..=600_u64 {
        let next = format!("owner {round}");
        let blind = match round % 3 {
            0 => put(fence.clone(), format!("blind {round}")),
            1 => Write::Delete { key: fence.clone() },
            _ => Write::DeleteRange { range: keys(NAME).fences() },
        };
        // Side by side the owner nearly always wins, because it asks for no version; so it starts later, more or less.
        let mine = async {
            tokio::time::sleep(Duration::from_micros(400 * (round % 9))).await;
            let required = vec![is(fence.clone(), standing.clone())];
            commit(&owner, required, vec![put(fence.clone(), next.clone())]).await
        };
        let (mine, theirs) = futures_util::future::join(mine, commit(&other, vec![], vec![blind])).await;
        assert!(matches!(theirs, Ok(()) | Err(CommitError::Conflict)), "{theirs:?}");
        let now = get(&other, fence.clone()).await;
        // What the owner believes now decides its next commit: it must be refused exactly if something else stands.
        let believed = if mine.is_ok() { next } else { standing.clone() };
        let third = vec![put(fence.clone(), "probe")];
        let probe = commit(&owner, vec![is(fence.clone(), believed.clone())], third).await;
        if now.as_deref() == Some(believed.as_bytes()) {
            assert_eq!(probe, Ok(()), "round {round}");
            kept += 1;
        } else {
            assert!(matches!(probe, Err(CommitError::Refused { .. })), "I1, round {round}: {probe:?}");
            overwritten += 1;
        }
        standing = format!("again {round}");
        let any = commit(&other, vec![], vec![put(fence.clone(), standing.clone())]).await;
        assert_eq!(any, Ok(()));
        // The owner learns of it as a new owner would: by reading.
        let learn = vec![put(fence.clone(), standing.clone())];
        assert_eq!(commit(&owner, vec![is(fence.clone(), standing.clone())], learn).await, Ok(()));
    }
    println!("the blind write won {overwritten} times, the owner {kept} times; {:?}", owner.commit_counts());
    assert!(overwritten > 0 && owner.commit_counts().fast > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_interval_reads_its_fence_again() {
    let Some(cluster) = shared_cluster() else { return };
    let store = Arc::new(open(&cluster.url(&fresh_prefix(), "")).await);
    let handle: StoreHandle = store.clone();
    let mut counter = Counter::take(&handle, NAME, 1).await;
    counter.add(0).await.unwrap();
    let before = store.commit_counts();
    tokio::time::sleep(Duration::from_millis(4100)).await;
    counter.add(0).await.unwrap();
    let after = store.commit_counts();
    assert_eq!(
        (after.fast, after.slow, after.fell_back),
        (before.fast, before.slow + 1, 0),
        "it did not even try"
    );
    counter.add(0).await.unwrap();
    assert_eq!(store.commit_counts().fast, before.fast + 1, "and it is warm again");
}

/// A recovery of the cluster makes every earlier version too old.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_sends_the_next_commit_the_slow_way() {
    let Some(mut cluster) = own_cluster(Shape::One) else { return };
    let store = Arc::new(open(&cluster.url("recovery", "")).await);
    let handle: StoreHandle = store.clone();
    let mut counter = Counter::take(&handle, NAME, 1).await;
    for _ in 0..5 {
        counter.add(0).await.unwrap();
        counter.add(0).await.unwrap();
        cluster.server(0).unwrap().kill().unwrap();
        cluster.server(0).unwrap().start().unwrap();
    }
    counter.add(0).await.unwrap();
    assert_eq!(counter.count, 11);
    assert_eq!(entries(&handle, &keys(NAME)).await, 11);
}

/// A dropped commit may have landed or not. What was known before it is not used again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_commit_leaves_nothing_known() {
    let Some(cluster) = shared_cluster() else { return };
    let store = open(&cluster.url(&fresh_prefix(), "")).await;
    let fence = keys(NAME).fence(KeyPosition(u64::MAX));
    let require =
        |value: &str| Precondition::Value { key: fence.clone(), expected: Some(value.to_owned().into()) };
    commit(&store, vec![], vec![put(fence.clone(), "0")]).await.unwrap();
    for round in 0..100 {
        let before = round.to_string();
        let standing = get(&store, fence.clone()).await.unwrap();
        assert_eq!(standing, before.as_bytes());
        let dropped =
            Commit { preconditions: vec![require(&before)], writes: vec![put(fence.clone(), "dropped")] };
        let _ = store.commit(dropped).now_or_never();
        let counts = store.commit_counts();
        let next = (round + 1).to_string();
        match commit(&store, vec![require(&before)], vec![put(fence.clone(), next.clone())]).await {
            Ok(()) => assert_eq!(store.commit_counts().fast, counts.fast, "it must have read the fence"),
            Err(CommitError::Refused { .. } | CommitError::Conflict) => {
                // The dropped one has landed, or is about to.
                while commit(&store, vec![], vec![put(fence.clone(), next.clone())]).await.is_err() {}
            }
            Err(error) => panic!("{error}"),
        }
        // Whatever was dropped can land no more: its version of the fence is gone.
        assert_eq!(get(&store, fence.clone()).await.unwrap(), next.as_bytes());
    }
}

/// Other preconditions, other values and other keys take the slow path.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_exactly_the_known_fence_is_taken_as_known() {
    let Some(cluster) = shared_cluster() else { return };
    let store = open(&cluster.url(&fresh_prefix(), "")).await;
    let fence = keys(NAME).fence(KeyPosition(u64::MAX));
    let warm_up = || async {
        let _ = commit(&store, vec![], vec![put(fence.clone(), "X")]).await;
    };
    let plain = &b"\x01test/plain"[..];
    warm_up().await;
    commit(&store, vec![], vec![put(plain, "1")]).await.unwrap();
    let rewrite = || vec![put(fence.clone(), "X")];
    let empty = Precondition::Empty { range: pelton_statestore::KeyRange::of_prefix(b"\x01nothing") };
    let absent = Precondition::Value { key: (&b"\x01nothing"[..]).into(), expected: None };
    for preconditions in [
        vec![is(fence.clone(), "X"), empty],
        vec![is(fence.clone(), "X"), absent],
        vec![is(fence.clone(), "X"), is(fence.clone(), "X")],
        vec![is(plain, "1")],
        vec![],
    ] {
        warm_up().await;
        let before = store.commit_counts();
        assert_eq!(commit(&store, preconditions.clone(), rewrite()).await, Ok(()));
        assert_eq!(store.commit_counts().fast, before.fast, "{preconditions:?}");
    }
    warm_up().await;
    let before = store.commit_counts();
    let refused = commit(&store, vec![is(fence.clone(), "Y")], rewrite()).await;
    assert!(matches!(refused, Err(CommitError::Refused { .. })), "{refused:?}");
    assert_eq!(store.commit_counts().fast, before.fast);
    // Nothing that was written to a key that is no fence is ever known.
    for _ in 0..3 {
        assert_eq!(commit(&store, vec![is(plain, "1")], vec![put(plain, "1")]).await, Ok(()));
    }
    assert_eq!(store.commit_counts().fast, before.fast);
    warm_up().await;
    assert_eq!(commit(&store, vec![is(fence.clone(), "X")], rewrite()).await, Ok(()));
    assert_eq!(store.commit_counts().fast, before.fast + 1);
}
