//! Group commit: one sync for all that wait, and each as if it had come alone.

use super::*;
use crate::memory::Memory;
use futures_util::future::{BoxFuture, join_all};
use rand::RngExt;

/// Commits that reach the committer together: while it syncs another one.
async fn as_one_group(
    store: &Embedded,
    disk: &LossyDisk,
    commits: Vec<Commit>,
) -> Vec<Result<(), CommitError>> {
    let held = disk.hold_syncs();
    let mut first = store.commit(commit_of(vec![], vec![put("first", "")]));
    assert!(first.as_mut().now_or_never().is_none());
    disk.until_sync_waits();
    let mut waiting: Vec<BoxFuture<'_, Result<(), CommitError>>> =
        commits.into_iter().map(|commit| store.commit(commit)).collect();
    for commit in &mut waiting {
        // Polled once, in order: they queue up in this order.
        assert!(commit.as_mut().now_or_never().is_none());
    }
    drop(held);
    assert_eq!(first.await, Ok(()));
    join_all(waiting).await
}

#[tokio::test]
async fn what_waits_becomes_one_group_with_one_sync() {
    let (store, disk, _directory) = new_store(EmbeddedOptions::default());
    let before = disk.counts().syncs;
    let commits = (0..100).map(|at| commit_of(vec![], vec![put(&format!("{at}"), "1")])).collect();
    let results = as_one_group(&store, &disk, commits).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(disk.counts().syncs, before + 2, "one for the first, one for all others");
}

#[tokio::test]
async fn a_group_ends_at_its_bytes() {
    let options = EmbeddedOptions { group_bytes_max: 1_000, ..EmbeddedOptions::default() };
    let (store, disk, _directory) = new_store(options);
    let before = disk.counts().syncs;
    let commits =
        (0..10).map(|at| commit_of(vec![], vec![put(&format!("{at}"), &"v".repeat(500))])).collect();
    assert!(as_one_group(&store, &disk, commits).await.iter().all(Result::is_ok));
    assert_eq!(disk.counts().syncs, before + 1 + 5, "two in each");
}

#[tokio::test]
async fn nothing_is_seen_before_it_is_durable() {
    let (store, disk, _directory) = new_store(EmbeddedOptions::default());
    assert_eq!(write(&store, vec![put("a", "1")]).await, Ok(()));
    let held = disk.hold_syncs();
    let mut under_way = store.commit(commit_of(vec![], vec![put("a", "2"), put("b", "2")]));
    assert!(under_way.as_mut().now_or_never().is_none());
    disk.until_sync_waits();
    assert_eq!(read(&store, "a").await, Some("1".into()));
    assert_eq!(dump(&store), [("a".into(), "1".into())]);
    drop(held);
    assert_eq!(under_way.await, Ok(()));
    assert_eq!(dump(&store), [("a".into(), "2".into()), ("b".into(), "2".into())]);
}

#[tokio::test]
async fn a_refused_commit_of_a_group_harms_no_other() {
    let (store, disk, _directory) = new_store(EmbeddedOptions::default());
    let commits = vec![
        commit_of(vec![], vec![put("a", "1")]),
        commit_of(vec![is("a", None)], vec![put("a", "2"), put("b", "2")]),
        commit_of(vec![is("a", Some("1"))], vec![put("c", "3")]),
    ];
    let results = as_one_group(&store, &disk, commits).await;
    assert_eq!(results, [Ok(()), Err(CommitError::Refused { at: "a".into() }), Ok(())]);
    let expected: Vec<(Bytes, Bytes)> =
        [("a", "1"), ("c", "3"), ("first", "")].map(|(key, value)| (key.into(), value.into())).into();
    assert_eq!(dump(&store), expected);
}

/// Against the store in memory, which takes them one after the other.
#[tokio::test]
async fn a_group_gives_what_its_commits_give_one_after_the_other() {
    let mut dice = dice("a_group_gives_what_its_commits_give_one_after_the_other");
    let (store, disk, _directory) =
        new_store(EmbeddedOptions { log_bytes_max: 3_000, ..EmbeddedOptions::default() });
    let model = Memory::new();
    for _ in 0..60 {
        let commits: Vec<Commit> = (0..dice.random_range(1..12)).map(|_| a_commit(&mut dice)).collect();
        let mut expected = vec![];
        model.commit(commit_of(vec![], vec![put("first", "")])).await.expect("the model commits");
        for commit in &commits {
            expected.push(model.commit(commit.clone()).await);
        }
        assert_eq!(as_one_group(&store, &disk, commits.clone()).await, expected, "{commits:?}");
        assert_eq!(dump(&store), model.dump());
    }
}

fn a_commit(dice: &mut StdRng) -> Commit {
    let key = |dice: &mut StdRng| ["a", "b", "c", "d"][dice.random_range(0..4)];
    let value = |dice: &mut StdRng| ["1", "2", "3"][dice.random_range(0..3)];
    let range = |dice: &mut StdRng| KeyRange { start: key(dice).into(), end: key(dice).into() };
    let preconditions = (0..dice.random_range(0..2)).map(|_| match dice.random_range(0..3) {
        0 => is(key(dice), None),
        1 => is(key(dice), Some(value(dice))),
        _ => Precondition::Empty { range: range(dice) },
    });
    let preconditions = preconditions.collect();
    let writes = (0..dice.random_range(0..4)).map(|_| match dice.random_range(0..5) {
        0..3 => put(key(dice), value(dice)),
        3 => Write::Delete { key: key(dice).into() },
        _ => Write::DeleteRange { range: range(dice) },
    });
    let writes = writes.collect();
    commit_of(preconditions, writes)
}

#[tokio::test]
async fn a_dropped_call_is_committed_all_the_same() {
    let (store, disk, _directory) = new_store(EmbeddedOptions::default());
    let held = disk.hold_syncs();
    let mut under_way = store.commit(commit_of(vec![], vec![put("a", "1")]));
    assert!(under_way.as_mut().now_or_never().is_none());
    drop(under_way);
    drop(held);
    assert_eq!(write(&store, vec![put("b", "1")]).await, Ok(()));
    assert_eq!(read(&store, "a").await, Some("1".into()));
}

#[tokio::test]
async fn dropping_the_store_commits_what_waits() {
    let (store, disk, directory) = new_store(EmbeddedOptions::default());
    for number in 0..20 {
        let _ = write(&store, vec![put(&format!("{number:02}"), "1")]).now_or_never();
    }
    drop(store);
    disk.restart_process();
    assert_eq!(dump(&open(directory.path(), EmbeddedOptions::default(), &disk)).len(), 20);
}

/// Callers beyond the queue's bytes wait, and none of them for ever (I11).
#[tokio::test]
async fn more_than_the_queue_holds_waits_and_is_committed() {
    let limits = crate::store::Limits { commit_bytes_max: 20_000, ..crate::store::Limits::default() };
    let options = EmbeddedOptions { queue_bytes_max: 1, limits, ..EmbeddedOptions::default() };
    let (store, _disk, _directory) = new_store(options);
    let large = "v".repeat(9_000);
    let commits = (0..200).map(|at| write(&store, vec![put(&format!("{at:03}"), &large)]));
    assert!(join_all(commits).await.iter().all(Result::is_ok));
    assert_eq!(dump(&store).len(), 200);
}
