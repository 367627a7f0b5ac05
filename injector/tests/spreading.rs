//! Workers come and go: intervals are spread, moved one owner after the other, and taken from the dead.

mod fleet;

use fleet::*;
use pelton_statestore::memory::Memory;

/// Whether every one of `intervals` of each of two computations runs at exactly one worker, evenly.
fn is_even(workers: &[&FakeWorker], intervals: usize) -> Option<()> {
    for computation in [1, 2] {
        let counts: Vec<usize> = workers.iter().map(|worker| worker.count_of(computation)).collect();
        let (least, most) = (counts.iter().min()?, counts.iter().max()?);
        if counts.iter().sum::<usize>() != intervals || most - least > 1 {
            return None;
        }
    }
    Some(())
}

#[tokio::test]
async fn intervals_are_spread_over_one_to_four_workers_as_they_come() {
    let store = Memory::new();
    prepare(&store, 2, 8).await;
    let injector = Process::start(&store).await;
    injector.leads().await;
    let mut workers = Vec::new();
    for number in 1..=4 {
        let hello = hello(&store, &format!("w{number}"));
        workers.push(FakeWorker::join(injector.client(), hello, GOOD).await.unwrap());
        let all: Vec<&FakeWorker> = workers.iter().collect();
        eventually("an even spread", async || is_even(&all, 8)).await;
    }
}
