//! Workers that die, hang, lie behind, do not read, or want to go: their intervals go on elsewhere.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test that called it")]

mod fleet;

use fleet::*;
use pelton_proto::injector::{self as proto, injector_message, worker_message::Kind};
use pelton_statestore::memory::Memory;
use std::collections::BTreeSet;
use std::time::Duration;

async fn world(intervals: u32) -> (Memory, Process) {
    let store = Memory::new();
    prepare(&store, 1, intervals).await;
    let injector = Process::start_with(&store, |options| options.limits.lease = Duration::from_secs(2)).await;
    injector.leads().await;
    (store, injector)
}

async fn join(store: &Memory, injector: &Process, name: &str, manners: Manners) -> FakeWorker {
    FakeWorker::join(injector.client(), hello(store, name), manners).await.unwrap()
}

async fn runs(worker: &FakeWorker, count: usize) {
    eventually("it runs its share", async || (worker.count_of(1) == count).then_some(())).await;
}

#[tokio::test]
async fn the_new_owner_is_told_only_when_the_old_one_has_stopped() {
    let (store, injector) = world(4).await;
    let slow = Manners { releases: false, ..GOOD };
    let first = join(&store, &injector, "a", slow).await;
    runs(&first, 4).await;
    let second = join(&store, &injector, "b", GOOD).await;
    let asked: Vec<proto::IntervalId> = eventually("the first is asked to stop two", async || {
        let view = first.view.lock().unwrap();
        let released = view.log.iter().filter_map(|kind| match kind {
            injector_message::Kind::Release(release) => Some(release.intervals.clone()),
            _ => None,
        });
        let asked: Vec<proto::IntervalId> = released.flatten().collect();
        (asked.len() == 2).then_some(asked)
    })
    .await;
    // Heartbeats go to and fro meanwhile, so anything that was to come has come.
    eventually("time passes", async || (second.view.lock().unwrap().heartbeats >= 5).then_some(())).await;
    assert_eq!(second.count_of(1), 0, "nothing before it is released");
    first.view.lock().unwrap().running.retain(|running| !asked.iter().any(|asked| id(asked) == *running));
    first.send(Kind::Released(proto::Released { intervals: asked.clone(), reason: String::new() })).await;
    runs(&second, 2).await;
    let bounds = |id: &Id| (id.1, id.2);
    let given: BTreeSet<_> = asked.iter().map(id).map(|id| bounds(&id)).collect();
    assert_eq!(second.running().iter().map(bounds).collect::<BTreeSet<_>>(), given);
}

#[tokio::test]
async fn what_a_dead_worker_had_goes_to_the_living_and_its_zombie_is_refused() {
    let (store, injector) = world(4).await;
    let first = join(&store, &injector, "a", GOOD).await;
    runs(&first, 4).await;
    let second = join(&store, &injector, "b", GOOD).await;
    runs(&second, 2).await;
    let zombie = first.hello_again();
    first.kill();
    drop(first);
    runs(&second, 4).await;
    second.report(10).await;
    let name = || "b".to_owned();
    eventually("it is said where all runs", async || {
        let view = second.view.lock().unwrap();
        (view.routes.len() == 4 && view.routes.values().all(|route| route.worker == name())).then_some(())
    })
    .await;
    // It comes back, and reports what it still believes to have.
    let old: BTreeSet<Id> = zombie.running.iter().map(id).collect();
    let zombie = FakeWorker::join(injector.client(), zombie, GOOD).await.unwrap();
    let reports = old.iter().map(|id| report(*id, 99)).collect();
    zombie.send(Kind::Reports(proto::Reports { reports })).await;
    eventually("all of it is released", async || zombie.running().is_disjoint(&old).then_some(())).await;
    let low = second.view.lock().unwrap().announced.get(&1).copied().unwrap_or(i64::MIN);
    assert!(low <= 10_000_000, "a zombie's report counts for nothing: {low}");
}

#[tokio::test]
async fn a_worker_that_keeps_silent_loses_everything_after_the_lease() {
    let (store, injector) = world(4).await;
    let hung = join(&store, &injector, "a", Manners { beats: false, ..GOOD }).await;
    runs(&hung, 4).await;
    let second = join(&store, &injector, "b", GOOD).await;
    runs(&second, 4).await;
    let status = hung.ended().await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(status.message().contains("join again"), "{status}");
}

#[tokio::test]
async fn a_broken_stream_of_a_living_process_costs_nothing() {
    let (store, injector) = world(4).await;
    let first = join(&store, &injector, "a", GOOD).await;
    runs(&first, 4).await;
    let before = first.running();
    let hello = first.hello_again();
    // The new stream comes while the old one still seems to live, and takes its place.
    let again = FakeWorker::join(injector.client(), hello, GOOD).await.unwrap();
    let status = first.ended().await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    eventually("time passes", async || (again.view.lock().unwrap().heartbeats >= 5).then_some(())).await;
    assert_eq!(again.running(), before, "the same reigns");
}

#[tokio::test]
async fn drained_and_leaving_workers_lose_everything_and_end_well() {
    let (store, injector) = world(6).await;
    let mut workers = Vec::new();
    for name in ["a", "b", "c"] {
        workers.push(join(&store, &injector, name, GOOD).await);
    }
    for worker in &workers {
        runs(worker, 2).await;
    }
    let drained = injector.client().drain(proto::DrainRequest { worker: "a".into() }).await.unwrap();
    assert_eq!(drained.into_inner().moved, 2);
    assert!(workers[0].ended().await.is_ok());
    workers[1].send(Kind::Leaving(proto::Leaving {})).await;
    assert!(workers[1].ended().await.is_ok());
    runs(&workers[2], 6).await;
    let unknown = injector.client().drain(proto::DrainRequest { worker: "x".into() }).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
    // Nobody else is there: what is released stays so until somebody comes.
    workers[2].send(Kind::Leaving(proto::Leaving {})).await;
    assert!(workers[2].ended().await.is_ok());
    assert_eq!(workers[2].count_of(1), 0);
    let next = join(&store, &injector, "d", GOOD).await;
    runs(&next, 6).await;
}

#[tokio::test]
async fn a_worker_that_never_reads_is_cut_off_and_others_go_on() {
    let store = Memory::new();
    prepare(&store, 1, 4).await;
    let few = |options: &mut pelton_injector::service::ServiceOptions| options.control_messages_max = 8;
    let injector = Process::start_with(&store, few).await;
    injector.leads().await;
    // It claims what it has not, again and again, and never reads that it is to stop.
    let (sender, requests) = tokio::sync::mpsc::channel(64);
    let hello = proto::WorkerMessage { kind: Some(Kind::Hello(hello(&store, "deaf"))), clock_us: None };
    sender.send(hello).await.unwrap();
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let response = injector.client().join(requests).await.unwrap();
    let mut unread = response.into_inner();
    let bogus = proto::IntervalId { computation: 1, first_position: 1, last_position: 2, sequencer: 9 };
    let running = Kind::Running(proto::Running { intervals: vec![bogus; 2_000] });
    let flood = tokio::spawn(async move {
        let message = proto::WorkerMessage { kind: Some(running), clock_us: None };
        while sender.send(message.clone()).await.is_ok() {}
    });
    let other = join(&store, &injector, "b", GOOD).await;
    runs(&other, 4).await;
    flood.abort();
    let end = loop {
        match unread.message().await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    let status = end.unwrap_err();
    assert!(status.message().contains("too slow"), "{status}");
}

#[tokio::test]
async fn a_flood_of_reports_does_not_keep_others_from_being_heard() {
    let (store, injector) = world(2).await;
    let flooding = join(&store, &injector, "a", GOOD).await;
    let other = join(&store, &injector, "b", GOOD).await;
    runs(&flooding, 1).await;
    runs(&other, 1).await;
    let flood = async {
        loop {
            let one = *flooding.running().first().unwrap();
            let reports = vec![report(one, 50); 2_000];
            flooding.send(Kind::Reports(proto::Reports { reports })).await;
        }
    };
    let heard = async {
        for secs in [10, 20, 30, 40] {
            other.report(secs).await;
            eventually("it is announced", async || {
                let low = other.view.lock().unwrap().announced.get(&1).copied();
                (low == Some(secs * 1_000_000)).then_some(())
            })
            .await;
        }
    };
    tokio::select! {
        () = flood => {}
        () = heard => {}
    }
    assert!(other.end().is_none() && flooding.end().is_none());
}
