//! The engine on FoundationDB, while the engine and the servers are killed: each number counts once (I4 to I6, I12).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a panic is its failure")]

mod common;

use common::{fresh_prefix, open, own_cluster, shared_cluster};
use pelton::{Engine, EngineOptions};
use pelton_statestore::StoreHandle;
use pelton_tests::fdb::{Cluster, Shape};
use pelton_tests::flight_runs::{Kills, Run, example_binary_with_foundationdb, january, kill_repeatedly};
use pelton_tests::independent::{differences, expected_hourly};
use pelton_tests::workload::{Collect, check, counting, finish};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(240);
const TOTAL: u64 = 20_000;
const KEYS: u64 = 97;

async fn start(url: &str, chunk: u64, seen: &Collect) -> Engine {
    let store: StoreHandle = Arc::new(open(url).await);
    Engine::start(counting(TOTAL, chunk, KEYS, seen.clone()), store, EngineOptions::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undisturbed_run_counts_every_number_once() {
    let Some(cluster) = shared_cluster() else { return };
    let seen = Collect::default();
    let engine = start(&cluster.url(&fresh_prefix(), ""), 100, &seen).await;
    finish(&engine, PATIENCE).await;
    check(&engine, &seen, TOTAL, KEYS);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_on_where_it_was_after_every_crash() {
    let Some(cluster) = shared_cluster() else { return };
    let mut random = StdRng::seed_from_u64(pelton_tests::seed());
    let (url, seen) = (cluster.url(&fresh_prefix(), ""), Collect::default());
    for _ in 0..10 {
        let engine = start(&url, 100, &seen).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(1..200))).await;
        engine.abort();
    }
    let engine = start(&url, 100, &seen).await;
    finish(&engine, PATIENCE).await;
    check(&engine, &seen, TOTAL, KEYS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_waits_for_a_killed_server_and_resumes_by_itself() {
    let Some(mut cluster) = own_cluster(Shape::One) else { return };
    let seen = Collect::default();
    let engine = start(&cluster.url("engine", "&timeout=2s"), 5, &seen).await;
    for quarter in 1..4 {
        while engine.status().computation("collect").unwrap().totals.records < TOTAL * quarter / 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cluster.server(0).unwrap().kill().unwrap();
        cluster.server(0).unwrap().start().unwrap();
    }
    finish(&engine, PATIENCE).await;
    check(&engine, &seen, TOTAL, KEYS);
    engine.stop().await;
}

/// Kills the only server again and again, until it is told to end.
fn kill_server(cluster: &Arc<Mutex<Cluster>>, ended: &Arc<AtomicBool>) -> std::thread::JoinHandle<u32> {
    let (cluster, ended) = (Arc::clone(cluster), Arc::clone(ended));
    std::thread::spawn(move || {
        let mut kills = 0;
        while !ended.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_secs(3));
            let mut cluster = cluster.lock().unwrap();
            let server = cluster.server(0).unwrap();
            server.kill().unwrap();
            server.start().unwrap();
            cluster.until_available().unwrap();
            kills += 1;
        }
        kills
    })
}

/// The example as a process of its own: it is killed, and so is the server under it.
#[test]
fn the_flights_of_january_survive_kills_of_the_engine_and_of_the_server() {
    let Some(cluster) = own_cluster(Shape::One) else { return };
    let directory = tempfile::tempdir().unwrap();
    let run = |name: &str, more: &[&str]| Run {
        binary: example_binary_with_foundationdb().unwrap(),
        input: january(),
        output: directory.path().join(name),
        more: ["--store", &cluster.url(name, "")].iter().chain(more).map(|&word| word.to_owned()).collect(),
    };
    let undisturbed = run("undisturbed", &[]);
    println!("{}", undisturbed.to_success().unwrap());
    let hourly = expected_hourly(&january()).unwrap().lines;
    assert_eq!(differences(&hourly, &undisturbed.lines("hourly.jsonl").unwrap()), [] as [&str; 0], "I12");

    let killed = run("killed", &["--rate", "1500"]);
    let (cluster, ended) = (Arc::new(Mutex::new(cluster)), Arc::new(AtomicBool::new(false)));
    let killer = kill_server(&cluster, &ended);
    let kills = Kills { count: 6, over: Duration::from_secs(9), seed: pelton_tests::seed() };
    let summary =
        kill_repeatedly(&killed, kills, &["hourly.jsonl", "alerts.jsonl"], |kill| println!("{kill:?}"));
    ended.store(true, Ordering::Relaxed);
    println!("the server was killed {} times\n{}", killer.join().unwrap(), summary.unwrap());
    assert_eq!(differences(&hourly, &killed.lines("hourly.jsonl").unwrap()), [] as [&str; 0], "I12");
    let alerts = undisturbed.line_set("alerts.jsonl").unwrap();
    assert_eq!(differences(&alerts, &killed.lines("alerts.jsonl").unwrap()), [] as [&str; 0], "I12");
}
