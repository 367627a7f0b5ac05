//! Real processes, killed, paused and cut off under a counter that must stay exact (I1, I2, I3).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a panic is its failure")]

mod common;

use common::counter::{Counter, entries, keys};
use common::{fresh_prefix, open, own_cluster};
use pelton_statestore::StoreHandle;
use pelton_statestore_foundationdb::FoundationDb;
use pelton_tests::fdb::{Cluster, Flow, Shape};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const NAME: &str = "counter";

/// Several counters that count as fast as they can, until they are told to stop.
struct Load {
    store: Arc<FoundationDb>,
    ended: Arc<AtomicBool>,
    progress: Arc<AtomicU64>,
    counters: Vec<tokio::task::JoinHandle<(String, u64)>>,
}

impl Load {
    async fn start(cluster: &Cluster, more: &str) -> Self {
        let store = Arc::new(open(&cluster.url(&fresh_prefix(), &format!("&timeout=2s{more}"))).await);
        let (ended, progress) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let count = |number: usize| {
            let (handle, ended, progress): (StoreHandle, _, _) =
                (store.clone(), ended.clone(), progress.clone());
            tokio::spawn(async move {
                let name = format!("{NAME}{number}");
                let mut counter = Counter::take(&handle, &name, 1).await;
                while !ended.load(Ordering::Relaxed) {
                    counter.add(10).await.unwrap();
                    progress.fetch_add(1, Ordering::Relaxed);
                }
                (name, counter.count)
            })
        };
        let counters = (0..4).map(count).collect();
        Self { store, ended, progress, counters }
    }

    /// Waits until so many more commits have succeeded: the load has come through whatever was done to it.
    async fn advances(&self, commits: u64) {
        let target = self.progress.load(Ordering::Relaxed) + commits;
        let advanced = async {
            while self.progress.load(Ordering::Relaxed) < target {
                assert!(self.counters.iter().all(|task| !task.is_finished()), "a counter gave up");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(90), advanced).await.expect("the load comes to life again");
    }

    /// Ends it, and judges.
    async fn end_exactly(self) {
        self.ended.store(true, Ordering::Relaxed);
        let handle: StoreHandle = self.store.clone();
        for task in self.counters {
            let (name, acknowledged) = task.await.unwrap();
            assert_eq!(entries(&handle, &keys(&name)).await, acknowledged, "{name}: I1, I2, I3");
        }
        println!("{} commits: {:?}", self.progress.load(Ordering::Relaxed), self.store.commit_counts());
    }
}

const BOTH_PATHS: [&str; 2] = ["", "&fast_fence=off"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_server_is_killed_and_comes_back() {
    for more in BOTH_PATHS {
        let Some(mut cluster) = own_cluster(Shape::One) else { return };
        let load = Load::start(&cluster, more).await;
        for _ in 0..4 {
            load.advances(200).await;
            cluster.server(0).unwrap().kill().unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
            cluster.server(0).unwrap().start().unwrap();
        }
        load.advances(200).await;
        load.end_exactly().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_is_killed_and_the_others_carry_on() {
    let Some(mut cluster) = own_cluster(Shape::Double) else { return };
    let load = Load::start(&cluster, "").await;
    for number in 0..3 {
        load.advances(200).await;
        cluster.server(number).unwrap().kill().unwrap();
        load.advances(200).await;
        cluster.server(number).unwrap().start().unwrap();
        cluster.until_available().unwrap();
    }
    load.advances(200).await;
    load.end_exactly().await;
}

/// Server 1 has the log, server 2 the storage. Each is away for longer than a transaction may take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_and_storage_are_paused_beyond_the_limit_of_a_transaction() {
    let Some(mut cluster) = own_cluster(Shape::Apart) else { return };
    for more in BOTH_PATHS {
        let load = Load::start(&cluster, more).await;
        for number in [1, 2] {
            load.advances(200).await;
            cluster.server(number).unwrap().pause().unwrap();
            tokio::time::sleep(Duration::from_secs(8)).await;
            cluster.server(number).unwrap().resume().unwrap();
            load.advances(200).await;
        }
        load.end_exactly().await;
    }
}

/// What the client sends arrives, and no answer comes back; or nothing passes at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_cut_off_in_mid_commit_finds_out_what_became_of_it() {
    let Some(cluster) = own_cluster(Shape::OneBehindProxy) else { return };
    for more in BOTH_PATHS {
        let load = Load::start(&cluster, more).await;
        for flow in [Flow::Requests, Flow::Nothing, Flow::Requests] {
            load.advances(200).await;
            cluster.proxy().unwrap().set(flow);
            tokio::time::sleep(Duration::from_secs(3)).await;
            cluster.proxy().unwrap().set(Flow::Both);
        }
        load.advances(200).await;
        for _ in 0..10 {
            cluster.proxy().unwrap().cut();
            load.advances(5).await;
        }
        load.end_exactly().await;
    }
}
