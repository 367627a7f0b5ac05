//! A server that is killed, and started again at its address, under several reigns that count.

use crate::counter::{Counter, entries};
use crate::server::{PATIENCE, Process, connect, lasting};
use pelton_statestore::StoreHandle;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const REIGNS: usize = 6;
const KILLS: u64 = 5;

/// How many more commits all reigns together must make between two kills: that they do is what the test waits for.
const COMMITS_BETWEEN_KILLS: u64 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_under_running_reigns_loses_nothing_and_doubles_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("embedded:{}", directory.path().join("store").display());
    let address = lasting();
    let mut process = Process::start(&url, address);
    let store: StoreHandle = Arc::new(connect(address).await);
    let (committed, ends) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut reigns = Vec::new();
    for number in 0..REIGNS {
        let mut counter = Counter::take(&store, &format!("reign-{number}"), 1).await;
        let (committed, ends) = (Arc::clone(&committed), Arc::clone(&ends));
        reigns.push(tokio::spawn(async move {
            while !ends.load(Ordering::Relaxed) {
                counter.add().await.unwrap();
                committed.fetch_add(1, Ordering::Relaxed);
            }
            counter.count
        }));
    }
    for _ in 0..KILLS {
        let enough = committed.load(Ordering::Relaxed) + COMMITS_BETWEEN_KILLS;
        let going_on = async {
            while committed.load(Ordering::Relaxed) < enough {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, going_on).await.expect("the reigns get on after a restart");
        process.kill();
        process = Process::start(&url, address);
    }
    ends.store(true, Ordering::Relaxed);
    for (number, reign) in reigns.into_iter().enumerate() {
        let count = tokio::time::timeout(PATIENCE, reign).await.expect("it ends").unwrap();
        assert_eq!(entries(&store, &format!("reign-{number}")).await, count, "reign {number}");
    }
}
