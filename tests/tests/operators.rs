//! Every operator of a flow in one pipeline: what it tells is what a plain computation of the same records tells,
//! also where engines are dropped in the middle (I2, I5, I8, I10, I12).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test: a panic is its failure"
)]

#[path = "operators/expected.rs"]
mod expected;
#[path = "operators/pipeline.rs"]
mod pipeline;

use pelton::local::{LocalOptions, Outcome, Progress, run_on};
use pelton::{Engine, EngineOptions};
use pelton_statestore::StoreHandle;
use pelton_statestore::memory::Memory;
use pipeline::{A, B, DISORDER_S, Entry};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const RECORDS: u32 = 400;
const KEYS: u64 = 7;
const SECONDS: i64 = 900;

/// Records in disorder. No two of one key have one second, so that a table has one row at a time.
fn records(random: &mut StdRng, first: u32) -> Vec<Entry> {
    let mut taken = BTreeSet::new();
    let mut records = Vec::new();
    for value in first..first + RECORDS {
        let (key, second) = (random.random_range(0..KEYS), random.random_range(0..SECONDS));
        if taken.insert((key, second)) {
            let arrival = second + random.random_range(0..DISORDER_S);
            records.push((arrival, Entry { key, second, value }));
        }
    }
    records.sort_by_key(|(arrival, _)| *arrival);
    records.into_iter().map(|(_, record)| record).collect()
}

fn write(path: &Path, records: &[Entry]) {
    let lines = records.iter().map(|record| serde_json::to_string(record).unwrap() + "\n");
    std::fs::write(path, lines.collect::<String>()).unwrap();
}

async fn run_to_the_end(folder: &Path, store: StoreHandle) {
    let options = LocalOptions { progress: Progress::Off, ..LocalOptions::new("") };
    let run = run_on(pipeline::build(folder).unwrap(), store, options);
    let summary = tokio::time::timeout(Duration::from_secs(300), run).await.expect("it ends").unwrap();
    assert_eq!(summary.outcome, Outcome::Finished);
    let given_up: u64 = summary.after.computations.iter().map(|c| c.totals.dead_lettered).sum();
    let late: u64 = summary.after.computations.iter().map(|c| c.totals.late_dropped).sum();
    assert_eq!((given_up, late), (0, 0), "I10");
}

fn judge(folder: &Path, a: &[Entry], b: &[Entry]) {
    for (name, mut expected) in expected::all(a, b) {
        let text = std::fs::read_to_string(folder.join(format!("{name}.jsonl"))).unwrap();
        let mut told: Vec<&str> = text.lines().collect();
        told.sort_unstable();
        expected.sort_unstable();
        assert!(!expected.is_empty(), "{name} proves nothing");
        assert_eq!(told, expected, "I12: {name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operator_tells_what_a_plain_computation_tells_through_crashes_too() {
    let mut random = StdRng::seed_from_u64(pelton_tests::seed());
    for crashes in [0, 8] {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (records(&mut random, 0), records(&mut random, 10_000));
        write(&folder.path().join(A), &a);
        write(&folder.path().join(B), &b);
        let store: StoreHandle = Arc::new(Memory::new());
        for _ in 0..crashes {
            let pipeline = pipeline::build(folder.path()).unwrap();
            let engine = Engine::start(pipeline, store.clone(), EngineOptions::default()).await.unwrap();
            engine.started().await.unwrap();
            tokio::time::sleep(Duration::from_millis(random.random_range(1..150))).await;
            engine.abort();
        }
        run_to_the_end(folder.path(), store).await;
        judge(folder.path(), &a, &b);
    }
}
