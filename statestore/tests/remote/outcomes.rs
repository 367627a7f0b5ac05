//! I3: what is said of a commit whose call broke off, and how the fence settles it.

use crate::counter::{Counter, entries};
use crate::proxy::{Flow, Proxy};
use crate::server::{PATIENCE, commit_at_last, connect, connect_impatiently, holds, memory, put, until};
use pelton_statestore::fence::FencedError;
use pelton_statestore::remote::Remote;
use pelton_statestore::{CommitError, ReadError, StateStore, StoreHandle};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

fn commit_beside(store: &Arc<Remote>, key: &'static str) -> JoinHandle<Result<(), CommitError>> {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.commit(put(key, "1")).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_request_was_lost_is_unknown_and_changed_nothing() {
    let (memory, served) = memory().await;
    let proxy = Proxy::to(served.address);
    let store = Arc::new(connect(proxy.address).await);
    proxy.set(Flow::Nothing);
    let lost = commit_beside(&store, "lost");
    // What the connection says by itself is lost too, however much that is.
    until("the request is on its way", || proxy.has_lost(b"lost")).await;
    proxy.mend();
    let outcome = lost.await.unwrap();
    assert!(matches!(outcome, Err(CommitError::Unknown(_))), "not in doubt: {outcome:?}");
    commit_at_last(store.as_ref(), put("later", "1")).await;
    assert!(holds(&memory, "later") && !holds(&memory, "lost"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_was_lost_is_unknown_and_landed() {
    let (memory, served) = memory().await;
    let proxy = Proxy::to(served.address);
    let store = Arc::new(connect(proxy.address).await);
    for key in ["first", "second", "third"] {
        // The connection stands before it is held.
        commit_at_last(store.as_ref(), put("before", key)).await;
        proxy.set(Flow::Requests);
        let unanswered = commit_beside(&store, key);
        until("the commit lands", || holds(&memory, key)).await;
        proxy.mend();
        let outcome = unanswered.await.unwrap();
        assert!(matches!(outcome, Err(CommitError::Unknown(_))), "it landed, and is said to be: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_not_answered_in_time_is_unknown_and_a_read_unavailable() {
    let (memory, served) = memory().await;
    let proxy = Proxy::to(served.address);
    let store = connect_impatiently(proxy.address).await;
    proxy.set(Flow::Requests);
    let outcome = store.commit(put("slow", "1")).await;
    assert!(matches!(&outcome, Err(CommitError::Unknown(fault)) if fault.0.contains("500ms")), "{outcome:?}");
    until("the commit lands all the same", || holds(&memory, "slow")).await;
    let read = store.read(vec!["slow".into()]).await;
    assert!(matches!(read, Err(ReadError::Unavailable(_))), "{read:?}");
    proxy.mend();
    commit_at_last(&store, put("mended", "1")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nobody_listens_it_is_certain_that_nothing_was_written() {
    let (_memory, served) = memory().await;
    let store = connect(served.address).await;
    served.stop().await.unwrap();
    // The end of the old connection may be met first.
    let refused = async {
        while !matches!(store.commit(put("nobody", "1")).await, Err(CommitError::Unavailable(_))) {}
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("a refused connection is told from a lost answer");
    let read = store.read(vec!["nobody".into()]).await;
    assert!(matches!(read, Err(ReadError::Unavailable(_))), "{read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reign_whose_answers_are_lost_counts_exactly() {
    let given = std::env::var("PELTON_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("PELTON_SEED={seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let (memory, served) = memory().await;
    let proxy = Arc::new(Proxy::to(served.address));
    let store: StoreHandle = Arc::new(connect_impatiently(proxy.address).await);
    let mut counter = Counter::take(&store, "counted", 1).await;
    let shaken = Arc::clone(&proxy);
    let shaking = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(dice.random_range(1..30))).await;
            shaken.set([Flow::Requests, Flow::Nothing, Flow::Both][dice.random_range(0..3)]);
            tokio::time::sleep(Duration::from_millis(dice.random_range(1..30))).await;
            shaken.mend();
        }
    });
    let counting = async {
        for _ in 0..150 {
            counter.add().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, counting).await.expect("it gets on");
    shaking.abort();
    let _ = shaking.await;
    proxy.mend();
    let direct: StoreHandle = Arc::new(memory);
    assert_eq!(entries(&direct, "counted").await, 150);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zombie_whose_fence_was_taken_through_another_client_changes_nothing() {
    let (memory, served) = memory().await;
    let proxy = Proxy::to(served.address);
    let paused: StoreHandle = Arc::new(connect(proxy.address).await);
    let other: StoreHandle = Arc::new(connect(served.address).await);
    let mut zombie = Counter::take(&paused, "taken", 1).await;
    zombie.add().await.unwrap();
    // Cut off, it tries to commit for as long as it lives.
    proxy.set(Flow::Nothing);
    let late = tokio::spawn(async move { zombie.add().await });
    let mut owner = Counter::take(&other, "taken", 2).await;
    owner.add().await.unwrap();
    proxy.mend();
    let outcome = tokio::time::timeout(PATIENCE, late).await.expect("it wakes").unwrap();
    assert!(matches!(outcome, Err(FencedError::Fenced { .. })), "{outcome:?}");
    owner.add().await.unwrap();
    let direct: StoreHandle = Arc::new(memory);
    assert_eq!(entries(&direct, "taken").await, 3);
}
