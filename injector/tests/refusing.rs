//! Whoever may not join is told why and what to do; what makes no sense ends a stream and nothing else.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test that called it")]

mod fleet;

use bytes::Bytes;
use fleet::*;
use pelton_proto::injector::{self as proto, worker_message::Kind};
use pelton_statestore::memory::Memory;
use tonic::{Code, Status};

async fn world() -> (Memory, Process) {
    let store = Memory::new();
    prepare(&store, 1, 2).await;
    let injector = Process::start(&store).await;
    injector.leads().await;
    (store, injector)
}

async fn refused(injector: &Process, hello: proto::Hello) -> Status {
    match FakeWorker::join(injector.client(), hello, GOOD).await {
        Ok(_) => panic!("it joined"),
        Err(status) => status,
    }
}

#[tokio::test]
async fn a_worker_of_something_else_is_refused_in_words_that_say_what_to_do() {
    let (store, injector) = world().await;
    let good = || hello(&store, "a");
    let other = Bytes::from_static(&[7; 16]);
    for (hello, code, words) in [
        (proto::Hello { protocol: 2, ..good() }, Code::FailedPrecondition, "versions of Pelton"),
        (proto::Hello { pipeline: "x".into(), ..good() }, Code::FailedPrecondition, "--injector"),
        (proto::Hello { incarnation: other, ..good() }, Code::FailedPrecondition, "--store"),
        (proto::Hello { incarnation: Bytes::new(), ..good() }, Code::FailedPrecondition, "--store"),
        (proto::Hello { worker: "a b".into(), ..good() }, Code::InvalidArgument, "letters, digits"),
        (proto::Hello { worker: "x".repeat(65), ..good() }, Code::InvalidArgument, "letters, digits"),
        (proto::Hello { address: "nowhere".into(), ..good() }, Code::InvalidArgument, "HOST:PORT"),
        (proto::Hello { process: Bytes::new(), ..good() }, Code::InvalidArgument, "16"),
        (proto::Hello { graph_version: 9, ..good() }, Code::FailedPrecondition, "catalogue has 1"),
    ] {
        let status = refused(&injector, hello).await;
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(words), "{status}");
    }
    let fine = FakeWorker::join(injector.client(), good(), GOOD).await.unwrap();
    eventually("it runs all", async || (fine.count_of(1) == 2).then_some(())).await;
}

#[tokio::test]
async fn two_workers_of_one_name_are_told_apart() {
    let (store, injector) = world().await;
    let first = FakeWorker::join(injector.client(), hello(&store, "a"), GOOD).await.unwrap();
    eventually("it runs all", async || (first.count_of(1) == 2).then_some(())).await;
    let status = refused(&injector, hello(&store, "a")).await;
    assert_eq!(status.code(), Code::AlreadyExists);
    assert!(status.message().contains("a name of its own"), "{status}");
    assert_eq!(first.count_of(1), 2, "the first goes on");
    first.kill();
    drop(first);
    let second = eventually("the next process has the name at once", async || {
        FakeWorker::join(injector.client(), hello(&store, "a"), GOOD).await.ok()
    })
    .await;
    eventually("it runs all", async || (second.count_of(1) == 2).then_some(())).await;
}

#[tokio::test]
async fn what_makes_no_sense_ends_its_stream_and_nothing_else() {
    let (store, injector) = world().await;
    let fine = FakeWorker::join(injector.client(), hello(&store, "fine"), GOOD).await.unwrap();
    let backwards = proto::IntervalId { computation: 1, first_position: 2, last_position: 1, sequencer: 1 };
    let nobody = proto::IntervalId { sequencer: 0, ..Default::default() };
    let strange = proto::Report {
        interval: Some(proto::IntervalId { sequencer: 1, ..nobody }),
        holder: "moon".into(),
        ..Default::default()
    };
    for kind in [
        Kind::Hello(hello(&store, "again")),
        Kind::Running(proto::Running { intervals: vec![backwards] }),
        Kind::Released(proto::Released { intervals: vec![nobody], reason: String::new() }),
        Kind::Reports(proto::Reports { reports: vec![proto::Report::default()] }),
        Kind::Reports(proto::Reports { reports: vec![strange] }),
        Kind::Request(proto::Request { number: 1, kind: None }),
    ] {
        let worker = eventually("the name is free", async || {
            FakeWorker::join(injector.client(), hello(&store, "odd"), GOOD).await.ok()
        })
        .await;
        worker.send(kind.clone()).await;
        let status = worker.ended().await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{kind:?}: {status}");
    }
    assert!(fine.end().is_none());
    eventually("the other runs all", async || (fine.count_of(1) == 2).then_some(())).await;
}

#[tokio::test]
async fn a_newer_graph_is_followed_and_older_workers_keep_what_they_have() {
    let (store, injector) = world().await;
    let epoch = injector.leads().await;
    let old = FakeWorker::join(injector.client(), hello(&store, "old"), GOOD).await.unwrap();
    eventually("it runs all", async || (old.count_of(1) == 2).then_some(())).await;
    let before = old.running();
    catalogue(&store, 2, 2).await;
    fences(&store, 2..=2, 2).await;
    let newer = proto::Hello { graph_version: 2, ..hello(&store, "new") };
    let new = FakeWorker::join(injector.client(), newer, GOOD).await.unwrap();
    assert!(new.view.lock().unwrap().epoch == 0 || new.view.lock().unwrap().epoch > epoch);
    eventually("the new one has all that is new, and a share of the rest", async || {
        (new.count_of(2) == 2 && new.count_of(1) == 1 && old.count_of(1) == 1).then_some(())
    })
    .await;
    assert!(old.running().is_subset(&before), "under the reigns that it had");
    assert!(old.end().is_none(), "its session lives on");
    let status =
        injector.client().status(proto::StatusRequest { intervals: true }).await.unwrap().into_inner();
    assert_eq!((status.graph_version, status.computations.len(), status.intervals.len()), (2, 2, 4));
    assert!(status.epoch > epoch);
    let late = FakeWorker::join(injector.client(), hello(&store, "late"), GOOD).await.unwrap();
    eventually("time passes", async || (late.view.lock().unwrap().heartbeats >= 5).then_some(())).await;
    assert_eq!(late.running().len(), 0, "a member, with nothing to do");
}
