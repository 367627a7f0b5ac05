//! The counting pipeline through everything one machine can do to it: each number counts exactly once, in the
//! order of its key (I4, I5, I6, I9, I12).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test: a panic is its failure"
)]

use pelton::{Engine, EngineOptions, KeyPosition, MailFate};
use pelton_statestore::StoreHandle;
use pelton_statestore::memory::Memory;
use pelton_tests::workload::{Collect, check, counting, finish};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);
const TOTAL: u64 = 20_000;
const KEYS: u64 = 97;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undisturbed_run_counts_every_number_once() {
    let (store, seen): (StoreHandle, _) = (Arc::new(Memory::new()), Collect::default());
    let pipeline = counting(TOTAL, 100, KEYS, seen.clone());
    let engine = Engine::start(pipeline, store, EngineOptions::default()).await.unwrap();
    finish(&engine, PATIENCE).await;
    check(&engine, &seen, TOTAL, KEYS);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_on_where_it_was_after_every_crash() {
    let seed = pelton_tests::seed();
    let mut random = StdRng::seed_from_u64(seed);
    let (store, seen): (StoreHandle, _) = (Arc::new(Memory::new()), Collect::default());
    for _ in 0..15 {
        let pipeline = counting(TOTAL, 100, KEYS, seen.clone());
        let engine = Engine::start(pipeline, store.clone(), EngineOptions::default()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(random.random_range(1..40))).await;
        engine.abort();
    }
    let pipeline = counting(TOTAL, 100, KEYS, seen.clone());
    let engine = Engine::start(pipeline, store, EngineOptions::default()).await.unwrap();
    finish(&engine, PATIENCE).await;
    check(&engine, &seen, TOTAL, KEYS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_repeated_and_reordered_mail_changes_nothing() {
    let seed = pelton_tests::seed();
    let random = Mutex::new(StdRng::seed_from_u64(seed));
    let (store, seen): (StoreHandle, _) = (Arc::new(Memory::new()), Collect::default());
    let mut options = EngineOptions::default();
    options.interval.resend_after = Duration::from_millis(30);
    options.mail_fault = Some(Arc::new(move |_| match random.lock().unwrap().random_range(0..40) {
        0 => MailFate::Lost,
        1 | 2 => MailFate::Twice,
        3 | 4 => MailFate::Late,
        _ => MailFate::Arrives,
    }));
    let engine = Engine::start(counting(TOTAL, 100, KEYS, seen.clone()), store, options).await.unwrap();
    finish(&engine, PATIENCE).await;
    check(&engine, &seen, TOTAL, KEYS);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn splits_and_merges_under_load_change_nothing() {
    let seed = pelton_tests::seed();
    let mut random = StdRng::seed_from_u64(seed);
    let (store, seen): (StoreHandle, _) = (Arc::new(Memory::new()), Collect::default());
    let engine =
        Engine::start(counting(TOTAL, 5, KEYS, seen.clone()), store, EngineOptions::default()).await.unwrap();
    let mut changes = 0;
    while engine.status().computation("collect").unwrap().totals.records < TOTAL * 9 / 10 {
        let name = ["count", "count", "collect", "numbers"][random.random_range(0..4)];
        let intervals = engine.intervals(name);
        if intervals.len() > 1 && random.random_bool(0.5) {
            let at = intervals[random.random_range(1..intervals.len())].first();
            engine.merge(name, at).await.unwrap();
        } else {
            engine.split(name, KeyPosition(random.random_range(1..u64::MAX))).await.unwrap();
        }
        changes += 1;
    }
    assert!(changes > 3, "the run was over after {changes} changes");
    finish(&engine, PATIENCE).await;
    check(&engine, &seen, TOTAL, KEYS);
    engine.stop().await;
}
