//! Injectors come and go: one leads, what it announced never goes back (I7), and nothing moves that need not.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test that called it")]

mod fleet;

use fleet::*;
use pelton_proto::injector::{self as proto, worker_message::Kind};
use pelton_statestore::memory::Memory;
use std::collections::BTreeSet;
use std::time::Duration;

/// Two workers that share two computations of 8 intervals each.
async fn two_workers(store: &Memory, injector: &Process) -> Vec<FakeWorker> {
    let mut workers = Vec::new();
    for name in ["a", "b"] {
        workers.push(FakeWorker::join(injector.client(), hello(store, name), GOOD).await.unwrap());
    }
    eventually("an even spread", async || {
        let fair = |worker: &FakeWorker| worker.count_of(1) == 4 && worker.count_of(2) == 4;
        workers.iter().all(fair).then_some(())
    })
    .await;
    workers
}

fn watermark(worker: &FakeWorker, computation: u32) -> i64 {
    worker.view.lock().unwrap().announced.get(&computation).copied().unwrap_or(i64::MIN)
}

async fn announced(worker: &FakeWorker, computation: u32, secs: i64) {
    eventually("the value is announced", async || {
        worker.report(secs).await;
        (watermark(worker, computation) >= secs * 1_000_000).then_some(())
    })
    .await;
}

#[tokio::test]
async fn i7_a_standby_takes_over_and_nothing_goes_back_and_nothing_moves() {
    let store = Memory::new();
    prepare(&store, 2, 8).await;
    let first = Process::start(&store).await;
    let epoch = first.leads().await;
    let second = Process::start(&store).await;
    second.stands_by().await;
    let workers = two_workers(&store, &first).await;
    for worker in &workers {
        worker.report(10).await;
    }
    announced(&workers[0], 1, 10).await;
    let before: Vec<BTreeSet<Id>> = workers.iter().map(FakeWorker::running).collect();

    first.kill();
    assert!(second.leads().await > epoch);
    let mut rejoined = Vec::new();
    for worker in &workers {
        let hello = worker.hello_again();
        rejoined.push(FakeWorker::join_when_possible(&[second.client()], &hello, GOOD).await);
    }
    assert!(watermark(&rejoined[0], 1) == i64::MIN || watermark(&rejoined[0], 1) >= 10_000_000);
    eventually("what stands is told", async || (watermark(&rejoined[0], 1) >= 10_000_000).then_some(()))
        .await;
    for worker in &rejoined {
        worker.report(20).await;
    }
    announced(&rejoined[1], 2, 20).await;
    let after: Vec<BTreeSet<Id>> = rejoined.iter().map(FakeWorker::running).collect();
    assert_eq!(before, after, "the same intervals under the same reigns");
}

#[tokio::test]
async fn i7_a_deposed_injector_announces_nothing_new_and_sends_its_workers_away() {
    let store = Memory::new();
    prepare(&store, 2, 8).await;
    let first = Process::start(&store).await;
    first.leads().await;
    let workers = two_workers(&store, &first).await;
    for worker in &workers {
        worker.report(10).await;
    }
    announced(&workers[0], 1, 10).await;
    // A lease of nothing: it deposes a leader that lives.
    let second = Process::start_with(&store, |options| options.lease = Duration::from_millis(1)).await;
    second.leads().await;
    for worker in &workers {
        worker.report(99).await;
        let status = worker.ended().await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
        assert_eq!(watermark(worker, 1), 10_000_000);
    }
}

#[tokio::test]
async fn an_injector_that_stands_by_names_the_one_that_leads() {
    let store = Memory::new();
    prepare(&store, 1, 1).await;
    let first = Process::start(&store).await;
    first.leads().await;
    let second = Process::start(&store).await;
    let address = first.address.to_string();
    let status = eventually("it knows the leader", async || {
        let status = second.client().status(proto::StatusRequest { intervals: false }).await.unwrap_err();
        status.metadata().contains_key("pelton-leader").then_some(status)
    })
    .await;
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert_eq!(status.metadata().get("pelton-leader").unwrap().to_str().unwrap(), address);
    let Err(status) = FakeWorker::join(second.client(), hello(&store, "a"), GOOD).await else {
        panic!("it leads")
    };
    assert_eq!(status.metadata().get("pelton-leader").unwrap().to_str().unwrap(), address);
}

#[tokio::test]
async fn a_leader_with_nothing_to_do_keeps_the_lead() {
    let store = Memory::new();
    prepare(&store, 1, 1).await;
    let lease = |options: &mut pelton_injector::service::ServiceOptions| {
        options.lease = Duration::from_millis(1_500);
    };
    let first = Process::start_with(&store, lease).await;
    let epoch = first.leads().await;
    let _second = Process::start_with(&store, lease).await;
    let commits = store.counts().commits;
    eventually("several renewals", async || (store.counts().commits >= commits + 8).then_some(())).await;
    assert_eq!(first.leads().await, epoch, "nobody took its place");
}

#[tokio::test]
async fn an_injector_waits_for_the_first_worker_to_write_the_graph() {
    let store = Memory::new();
    let injector = Process::start(&store).await;
    injector.stands_by().await;
    let Err(status) = FakeWorker::join(injector.client(), hello(&store, "a"), GOOD).await else {
        panic!("it leads without a graph")
    };
    assert_eq!(status.code(), tonic::Code::Unavailable);
    prepare(&store, 1, 2).await;
    injector.leads().await;
    let worker = FakeWorker::join_when_possible(&[injector.client()], &hello(&store, "a"), GOOD).await;
    eventually("it runs all", async || (worker.count_of(1) == 2).then_some(())).await;
}

#[tokio::test]
async fn what_a_worker_claims_to_run_and_is_not_assigned_is_released() {
    let store = Memory::new();
    prepare(&store, 1, 2).await;
    let injector = Process::start(&store).await;
    injector.leads().await;
    let claimed = proto::IntervalId { computation: 1, first_position: 0, last_position: 9, sequencer: 77 };
    let hello = proto::Hello { running: vec![claimed], ..hello(&store, "a") };
    let worker = FakeWorker::join(injector.client(), hello, GOOD).await.unwrap();
    eventually("it runs what it is assigned and nothing else", async || {
        (worker.count_of(1) == 2 && !worker.running().contains(&id(&claimed))).then_some(())
    })
    .await;
    worker.send(Kind::Running(proto::Running { intervals: vec![claimed] })).await;
    eventually("it is told again", async || {
        let view = worker.view.lock().unwrap();
        let told = |kind: &&proto::injector_message::Kind| match kind {
            proto::injector_message::Kind::Release(release) => release.intervals.contains(&claimed),
            _ => false,
        };
        (view.log.iter().filter(told).count() >= 2).then_some(())
    })
    .await;
}
