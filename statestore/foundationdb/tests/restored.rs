//! Backups, restored where their original is not: recognised, refused, and taken over on purpose.
//!
//! A restore is made here as `fdbrestore` makes it: the rows of the prefix are written into another cluster, or under
//! another prefix, by transactions of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a panic is its failure")]

mod common;

use common::counter::{Counter, entries, keys};
use common::{fresh_prefix, get, open, open_error, own_cluster, shared_cluster};
use foundationdb::options::StreamingMode;
use foundationdb::{Database, RangeOption};
use pelton_statestore::fence::{FencedError, TakeOverError};
use pelton_statestore::{ReadError, StateStore, StoreHandle};
use pelton_tests::fdb::{Cluster, Shape};
use std::sync::Arc;
use std::time::Duration;

const NAME: &str = "counter";

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// Every row of a store, and the version they are of.
async fn back_up(cluster: &Cluster, prefix: &str) -> (Rows, i64) {
    let database = Database::new(cluster.cluster_file().to_str()).unwrap();
    let transaction = database.create_trx().unwrap();
    let (start, end) = (format!("{prefix}\0").into_bytes(), format!("{prefix}\u{1}").into_bytes());
    let option =
        RangeOption { limit: Some(10_000), mode: StreamingMode::Exact, ..RangeOption::from((start, end)) };
    let rows = transaction.get_range(&option, 1, true).await.unwrap();
    assert!(!rows.more());
    let rows = rows.iter().map(|row| (row.key().to_vec(), row.value().to_vec())).collect();
    (rows, transaction.get_read_version().await.unwrap())
}

async fn restore(cluster: &Cluster, rows: &Rows, from: &str, to: &str) {
    let database = Database::new(cluster.cluster_file().to_str()).unwrap();
    let transaction = database.create_trx().unwrap();
    for (key, value) in rows {
        let rest = key.strip_prefix(from.as_bytes()).unwrap();
        transaction.set(&[to.as_bytes(), rest].concat(), value);
    }
    transaction.commit().await.unwrap();
}

fn is_replaced(error: &FencedError) -> bool {
    matches!(error, FencedError::Fatal(fault) if fault.0.contains("was replaced under the running process"))
}

/// A worker runs on, its cluster is gone, and a backup of some while ago comes up behind the same cluster file, with
/// the versions of a young cluster. First these lie below what the worker remembers, then they pass it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_restored_into_a_fresh_cluster_refuses_the_running_worker() {
    let Some(mut cluster) = own_cluster(Shape::One) else { return };
    let url = cluster.url("restored", "&timeout=2s");
    let running = Arc::new(open(&url).await);
    let handle: StoreHandle = running.clone();
    let mut worker = Counter::take(&handle, NAME, 1).await;
    for _ in 0..10 {
        worker.add(0).await.unwrap();
    }
    let (rows, _) = back_up(&cluster, "restored").await;
    for _ in 0..5 {
        worker.add(0).await.unwrap();
    }
    let (_, version) = back_up(&cluster, "restored").await;

    cluster.replace().unwrap();
    restore(&cluster, &rows, "restored", "restored").await;
    let error = worker.add(0).await.unwrap_err();
    assert!(is_replaced(&error), "{error}");
    let read = running.read(vec![keys(NAME).fence(pelton_domain::KeyPosition(u64::MAX))]).await;
    assert!(matches!(read, Err(ReadError::Fatal(_))), "{read:?}");

    // The fresh cluster's versions pass the one that the worker remembers.
    cluster.cli(&format!("writemode on; advanceversion {}", version - 1_000_000)).unwrap();
    cluster.until_available().unwrap();
    for _ in 0..60 {
        let error = worker.add(0).await.unwrap_err();
        assert!(is_replaced(&error), "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let error = open_error(&url).await;
    assert!(error.contains("adopt=yes"), "{error}");
    let adopting = Arc::new(open(&format!("{url}&adopt=yes")).await);
    assert_ne!(adopting.incarnation(), running.incarnation());
    assert!(adopting.adopts(running.incarnation()) && !running.adopts(adopting.incarnation()));
    let handle: StoreHandle = adopting.clone();
    let mut successor = Counter::take(&handle, NAME, 2).await;
    assert_eq!(successor.count, 10, "what the backup had");
    assert_eq!(successor.reign.fence().incarnation, adopting.incarnation());
    successor.add(0).await.unwrap();
    assert!(is_replaced(&worker.add(0).await.unwrap_err()));
    successor.add(0).await.unwrap();
    assert_eq!(entries(&handle, &keys(NAME)).await, 12);
    // From now on it is opened like any other.
    let again = open(&url).await;
    assert_eq!(again.incarnation(), adopting.incarnation());
}

/// The backup is of the very moment at which the worker stands: its fence would let it in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_this_very_moment_is_refused_all_the_same() {
    let Some(mut cluster) = own_cluster(Shape::One) else { return };
    for more in ["&timeout=2s", "&timeout=2s&fast_fence=off"] {
        let prefix = fresh_prefix();
        let handle: StoreHandle = Arc::new(open(&cluster.url(&prefix, more)).await);
        let mut worker = Counter::take(&handle, NAME, 1).await;
        for _ in 0..10 {
            worker.add(0).await.unwrap();
        }
        let (rows, _) = back_up(&cluster, &prefix).await;
        cluster.replace().unwrap();
        restore(&cluster, &rows, &prefix, &prefix).await;
        let error = worker.add(0).await.unwrap_err();
        assert!(is_replaced(&error), "{error}");
        let (after, _) = back_up(&cluster, &prefix).await;
        assert_eq!(after, rows, "it changed nothing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_under_another_prefix_is_adopted_on_purpose() {
    let Some(cluster) = shared_cluster() else { return };
    let (original, copy) = (fresh_prefix(), fresh_prefix());
    let handle: StoreHandle = Arc::new(open(&cluster.url(&original, "")).await);
    let mut worker = Counter::take(&handle, NAME, 1).await;
    worker.add(0).await.unwrap();
    let (rows, _) = back_up(cluster, &original).await;
    restore(cluster, &rows, &original, &copy).await;
    let error = open_error(&cluster.url(&copy, "")).await;
    assert!(error.contains(&original) && error.contains(&copy) && error.contains("adopt=yes"), "{error}");

    let adopted: StoreHandle = Arc::new(open(&cluster.url(&copy, "&adopt=yes")).await);
    let mut successor = Counter::take(&adopted, NAME, 2).await;
    successor.add(0).await.unwrap();
    // The original goes on, and neither sees the other.
    worker.add(0).await.unwrap();
    worker.add(0).await.unwrap();
    assert_eq!((entries(&handle, &keys(NAME)).await, entries(&adopted, &keys(NAME)).await), (3, 2));
}

/// A fence that was written in an incarnation which nobody adopted stays refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fence_of_a_foreign_incarnation_is_refused() {
    let Some(cluster) = shared_cluster() else { return };
    let (one, other) = (fresh_prefix(), fresh_prefix());
    let handle: StoreHandle = Arc::new(open(&cluster.url(&one, "")).await);
    drop(Counter::take(&handle, NAME, 1).await);
    let foreign: StoreHandle = Arc::new(open(&cluster.url(&other, "")).await);
    let fence = keys(NAME).fence(pelton_domain::KeyPosition(u64::MAX));
    let bytes = get(handle.as_ref(), fence.clone()).await.unwrap();
    common::write(foreign.as_ref(), vec![common::put(fence, bytes)]).await;
    let refused = Counter::try_take(&foreign, NAME, 2).await.err();
    assert!(matches!(refused, Some(TakeOverError::OtherIncarnation { .. })), "{refused:?}");
}
