//! Opening a store: what is there, what is not, and what is somebody else's.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a panic is its failure")]

mod common;

use common::{dump, fresh_prefix, get, open, open_error, put, shared_cluster, write};
use foundationdb::{Database, Transaction};
use futures_util::future::join;
use pelton_statestore::StateStore;
use std::time::{Duration, Instant};

async fn raw(cluster_file: &std::path::Path, change: impl Fn(&Transaction)) {
    let database = Database::new(cluster_file.to_str()).unwrap();
    let transaction = database.create_trx().unwrap();
    change(&transaction);
    transaction.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_create_a_store_at_once_get_the_same_one() {
    let Some(cluster) = shared_cluster() else { return };
    for _ in 0..20 {
        let url = cluster.url(&fresh_prefix(), "");
        let (one, other) = join(open(&url), open(&url)).await;
        assert_eq!(one.incarnation(), other.incarnation());
        assert_eq!(open(&url).await.incarnation(), one.incarnation());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_under_other_prefixes_are_other_stores() {
    let Some(cluster) = shared_cluster() else { return };
    let prefix = fresh_prefix();
    let (one, other) =
        (open(&cluster.url(&prefix, "")).await, open(&cluster.url(&format!("{prefix}d"), "")).await);
    assert_ne!(one.incarnation(), other.incarnation());
    write(&one, vec![put(&b"\x01key"[..], "one")]).await;
    write(&other, vec![put(&b"\x01key"[..], "other")]).await;
    assert_eq!(get(&one, &b"\x01key"[..]).await.unwrap(), "one");
    assert_eq!((dump(&one).await.len(), dump(&other).await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_with_something_else_under_it_is_not_touched() {
    let Some(cluster) = shared_cluster() else { return };
    let prefix = fresh_prefix();
    // The client must run before it is used behind the store's back.
    let _running = open(&cluster.url(&fresh_prefix(), "")).await;
    raw(cluster.cluster_file(), |transaction| {
        transaction.set(format!("{prefix}\0x").as_bytes(), b"somebody's")
    })
    .await;
    let error = open_error(&cluster.url(&prefix, "")).await;
    assert!(error.contains("no description of a store"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_another_layout_is_not_opened() {
    let Some(cluster) = shared_cluster() else { return };
    let prefix = fresh_prefix();
    drop(open(&cluster.url(&prefix, "")).await);
    // Field 1, the layout version: 99.
    raw(cluster.cluster_file(), |transaction| transaction.set(format!("{prefix}\0m").as_bytes(), &[8, 99]))
        .await;
    let error = open_error(&cluster.url(&prefix, "")).await;
    assert!(error.contains("layout version 99"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_does_not_answer_is_given_up_in_time() {
    if shared_cluster().is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fdb.cluster");
    std::fs::write(&file, "nobody:here@127.0.0.1:9\n").unwrap();
    #[expect(clippy::disallowed_methods, reason = "it is the time that is tested")]
    let began = Instant::now();
    let error = open_error(&format!("fdb:{}?open_timeout=2s&timeout=500ms", file.display())).await;
    assert!(error.contains("timed out") && error.contains("after 2 s"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_file_that_is_not_there_is_named() {
    let error = open_error("fdb:/no/such/fdb.cluster").await;
    assert!(error.contains("/no/such/fdb.cluster cannot be read"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_keeps_the_options_it_was_started_with() {
    let Some(cluster) = shared_cluster() else { return };
    let _running = open(&cluster.url(&fresh_prefix(), "")).await;
    let error = open_error(&cluster.url(&fresh_prefix(), "&tls_ca=other.pem")).await;
    assert!(error.contains("already runs with other options"), "{error}");
}
