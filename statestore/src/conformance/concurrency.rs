//! Many callers at once (I1, I2).

use super::Fixture;
use super::support::{
    all, commit, is, is_absent, key, names, page, put, read, read_keys, refuse, scan, write,
};
use crate::store::{Commit, CommitError, Scan, StateStore};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::task::JoinSet;

/// However they race.
pub async fn concurrent_commits_on_one_precondition_have_one_winner<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    for round in 0..20 {
        let name = format!("prize {round}");
        let attempt = |runner: u32| {
            let (store, name) = (store.clone(), name.clone());
            async move { commit(&store, vec![is_absent(&name)], vec![put(&name, format!("{runner}"))]).await }
        };
        let results = run_all((0..8).map(attempt)).await;
        let winners: Vec<usize> =
            results.iter().filter(|(_, r)| r.is_ok()).map(|(runner, _)| *runner).collect();
        let refused = results.iter().filter(|(_, r)| matches!(r, Err(CommitError::Refused { .. }))).count();
        assert_eq!((winners.len(), refused), (1, 7), "{results:?}");
        let expected = winners.first().map(|runner| Bytes::from(runner.to_string()));
        assert_eq!(read(&store, &[&name]).await, [expected]);
    }
}

/// Compare and set, from several callers, until each has its turns.
pub async fn concurrent_increments_all_count<F: Fixture>() {
    const CALLERS: u32 = 4;
    const TURNS: u32 = 25;
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, vec![put("count", "0")]).await;
    let increment = |_: u32| {
        let store = store.clone();
        async move {
            for _ in 0..TURNS {
                loop {
                    let value = read(&store, &["count"]).await.pop().flatten().unwrap_or_default();
                    let count: u32 = String::from_utf8_lossy(&value).parse().unwrap_or(0);
                    let next = put("count", format!("{}", count + 1));
                    match commit(&store, vec![is("count", value)], vec![next]).await {
                        Ok(()) => break,
                        Err(CommitError::Refused { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Ok(())
        }
    };
    for (_, result) in run_all((0..CALLERS).map(increment)).await {
        assert_eq!(result, Ok(()));
    }
    assert_eq!(read(&store, &["count"]).await, [Some(format!("{}", CALLERS * TURNS).into())]);
}

/// A scan that runs beside commits sees each of them whole.
pub async fn a_page_is_a_snapshot<F: Fixture>() {
    const KEYS: u32 = 20;
    const COMMITS: u32 = 100;
    let fixture = F::open().await;
    let store = fixture.store();
    let all_as =
        |number: u32| (0..KEYS).map(move |at| put(format!("{at:02}"), format!("{number}"))).collect();
    write(&store, all_as(0)).await;
    let writer = {
        let store = store.clone();
        tokio::task::spawn(async move {
            for number in 1..=COMMITS {
                write(&store, all_as(number)).await;
            }
        })
    };
    let mut newest = 0;
    while newest < COMMITS {
        let found = page(&store, Scan { range: all(), entries_max: 100, bytes_max: usize::MAX }).await;
        // A backend may cut a page short, but what is in it is of one moment.
        let numbers: Vec<u32> = found
            .entries
            .iter()
            .filter_map(|(_, value)| String::from_utf8_lossy(value).parse().ok())
            .collect();
        let number = *numbers.first().unwrap_or(&0);
        assert!(numbers.iter().all(|n| *n == number), "a page of several moments: {numbers:?}");
        assert!(number >= newest, "a page of {number} after one of {newest}");
        newest = number;
    }
    writer.await.unwrap_or_else(|error| panic!("the writer failed: {error}"));
}

/// Each caller reads its own commits at once, and what others told it of.
pub async fn a_reader_sees_what_was_acknowledged_before<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    let caller = |caller: u32| {
        let store = store.clone();
        async move {
            for number in 0..30 {
                let (name, value) = (format!("{caller}"), format!("{number}"));
                write(&store, vec![put(&name, value.clone()), put(format!("{caller}/{number:02}"), "")])
                    .await;
                assert_eq!(read(&store, &[&name]).await, [Some(value.into())]);
                let seen =
                    scan(&store, super::support::range(&format!("{caller}/"), &format!("{caller}0")), 7)
                        .await;
                assert_eq!(seen.len(), number + 1);
            }
        }
    };
    run_all((0..4).map(caller)).await;
}

/// Without any waiting for another for ever.
pub async fn concurrent_commits_of_disjoint_keys_all_succeed<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    let caller = |number: u32| {
        let store = store.clone();
        async move {
            commit(&store, vec![is_absent(format!("{number:03}"))], vec![put(format!("{number:03}"), "")])
                .await
        }
    };
    // All in one task, so that they are all under way at once.
    let results = join_all((0..200).map(caller)).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(names(&store, all()).await.len(), 200);
}

/// A cancelled call is an unknown outcome (I3), but never half a one.
pub async fn a_dropped_call_lands_whole_or_not_at_all<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    for round in 0..50 {
        let value = format!("{round}");
        let writes = vec![put("a", value.clone()), put("b", value)];
        let _ = store.commit(Commit { preconditions: vec![], writes }).now_or_never();
        let found = page(&store, Scan { range: all(), entries_max: 10, bytes_max: usize::MAX }).await.entries;
        if let [(_, a), (_, b)] = found.as_slice() {
            assert_eq!(a, b, "half a commit");
        }
    }
    // Whatever is still under way has been overtaken by now, or is about to be refused.
    let settled = read_keys(store.as_ref() as &dyn StateStore, vec![key("a")]).await.pop().flatten();
    write(&store, vec![put("c", "1")]).await;
    if let Some(value) = settled {
        refuse(&store, vec![is("a", [value.as_ref(), b"other"].concat())], vec![]).await;
    }
}

/// Runs every future in a task of its own; results with their numbers.
async fn run_all<T: Send + 'static>(
    futures: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<(usize, T)> {
    let mut tasks = JoinSet::new();
    for (number, future) in futures.into_iter().enumerate() {
        tasks.spawn(async move { (number, future.await) });
    }
    tasks.join_all().await
}
