//! The whole service over a store with conflicts, outages and unknown outcomes (I3), with workers and injectors that die.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test that called it")]

mod fleet;

use fleet::*;
use pelton_statestore::memory::{FaultPlan, Memory};
use std::time::{Duration, SystemTime};

/// `PELTON_SEED` where it is set, else a new one; it is printed.
#[allow(clippy::disallowed_methods, reason = "a seed may be anything")]
fn seed() -> u64 {
    let given = std::env::var("PELTON_SEED").ok().and_then(|text| text.parse().ok());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = given.unwrap_or(u64::from(now.subsec_nanos()));
    println!("PELTON_SEED={seed}");
    seed
}

#[tokio::test]
async fn i3_i7_in_a_storm_all_intervals_find_owners_and_announcements_only_grow() {
    let store = Memory::with_faults(seed(), FaultPlan::stormy().delayed(Duration::from_millis(2)));
    prepare(&store, 2, 12).await;
    let mut injector = Process::start(&store).await;
    injector.leads().await;
    let mut standby = Process::start(&store).await;
    let mut workers = Vec::new();
    for name in ["a", "b", "c"] {
        let clients = [injector.client(), standby.client()];
        workers.push(FakeWorker::join_when_possible(&clients, &hello(&store, name), GOOD).await);
    }
    let mut reached = 0;
    for round in 1..=4 {
        let secs = round * 10;
        eventually("all run and are heard", async || {
            let counts =
                |computation| -> usize { workers.iter().map(|worker| worker.count_of(computation)).sum() };
            for worker in &workers {
                worker.report(secs).await;
            }
            let low = workers[0].view.lock().unwrap().announced.get(&1).copied().unwrap_or(i64::MIN);
            assert!(low == i64::MIN || low >= reached, "I7: {low} after {reached}");
            (counts(1) == 12 && counts(2) == 12 && low == secs * 1_000_000).then_some(())
        })
        .await;
        reached = secs * 1_000_000;
        if round % 2 == 1 {
            // A worker dies; its next process has nothing.
            workers.remove(0).kill();
            let clients = [injector.client(), standby.client()];
            let next = hello(&store, ["d", "e"][usize::try_from(round / 2).unwrap()]);
            workers.push(FakeWorker::join_when_possible(&clients, &next, GOOD).await);
        } else {
            // The injector dies; the workers go over with what they run.
            injector.kill();
            injector = standby;
            standby = Process::start(&store).await;
            let clients = [injector.client(), standby.client()];
            let mut again = Vec::new();
            for worker in &workers {
                again.push(FakeWorker::join_when_possible(&clients, &worker.hello_again(), GOOD).await);
            }
            workers = again;
        }
    }
}
