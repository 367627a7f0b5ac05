//! Intervals change while they stay: new reigns, splits and merges, by the owner's word or by load.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test that called it")]

mod fleet;

use fleet::*;
use pelton_injector::assign::heat::HeatLimits;
use pelton_injector::{Load, service::ServiceOptions};
use pelton_proto::injector::{self as proto, injector_message, request, worker_message::Kind};
use pelton_statestore::memory::Memory;
use std::time::Duration;

async fn world(intervals: u32, change: impl FnOnce(&mut ServiceOptions)) -> (Memory, Process) {
    let store = Memory::new();
    prepare(&store, 1, intervals).await;
    let injector = Process::start_with(&store, change).await;
    injector.leads().await;
    (store, injector)
}

async fn join(store: &Memory, injector: &Process, name: &str) -> FakeWorker {
    FakeWorker::join(injector.client(), hello(store, name), GOOD).await.unwrap()
}

async fn runs(worker: &FakeWorker, count: usize) {
    eventually("it runs its share", async || (worker.count_of(1) == count).then_some(())).await;
}

fn bounds(id: Id) -> proto::Bounds {
    proto::Bounds { first_position: id.1, last_position: id.2 }
}

async fn ask(worker: &FakeWorker, number: u64, kind: request::Kind) -> proto::Response {
    worker.send(Kind::Request(proto::Request { number, kind: Some(kind) })).await;
    eventually("it is answered", async || {
        let view = worker.view.lock().unwrap();
        view.log.iter().find_map(|kind| match kind {
            injector_message::Kind::Response(response) if response.number == number => Some(response.clone()),
            _ => None,
        })
    })
    .await
}

/// The first change of bounds that a worker is asked for.
async fn asked(worker: &FakeWorker, what: &str) -> proto::Reshape {
    eventually(what, async || {
        let view = worker.view.lock().unwrap();
        view.log.iter().find_map(|kind| match kind {
            injector_message::Kind::Reshape(reshape) => Some(reshape.clone()),
            _ => None,
        })
    })
    .await
}

#[tokio::test]
async fn a_reign_lost_in_doubt_is_followed_by_another_for_its_owner_only() {
    let (store, injector) = world(2, |_| {}).await;
    let owner = join(&store, &injector, "a").await;
    runs(&owner, 2).await;
    let lost = *owner.running().first().unwrap();
    let response = ask(&owner, 7, request::Kind::Again(interval_id(lost))).await;
    assert_eq!(response.refused, "");
    let [assign] = &response.assigned[..] else { panic!("{response:?}") };
    let again = id(&assign.interval.unwrap());
    assert_eq!((again.0, again.1, again.2), (lost.0, lost.1, lost.2));
    assert!(again.3 > lost.3, "a newer reign");
    owner.send(Kind::Reports(proto::Reports { reports: vec![report(lost, 99)] })).await;
    eventually("the old reign's report is refused", async || {
        let view = owner.view.lock().unwrap();
        view.log
            .iter()
            .any(|kind| match kind {
                injector_message::Kind::Release(release) => release.intervals.iter().any(|i| id(i) == lost),
                _ => false,
            })
            .then_some(())
    })
    .await;
    let other = join(&store, &injector, "b").await;
    let response = ask(&other, 8, request::Kind::Again(interval_id(again))).await;
    assert!(response.refused.contains("not yours"), "{response:?}");
    let elsewhere = proto::IntervalId { last_position: lost.2 - 1, ..interval_id(lost) };
    let response = ask(&owner, 9, request::Kind::Again(elsewhere)).await;
    assert!(response.refused.contains("not yours"), "{response:?}");
}

#[tokio::test]
async fn an_owner_turns_its_interval_into_parts_and_reports_them() {
    let (store, injector) = world(1, |_| {}).await;
    let owner = join(&store, &injector, "a").await;
    runs(&owner, 1).await;
    let whole = *owner.running().first().unwrap();
    let halves = vec![
        proto::Bounds { first_position: 0, last_position: u64::MAX / 2 },
        proto::Bounds { first_position: u64::MAX / 2 + 1, last_position: u64::MAX },
    ];
    let gap = proto::Reassign { computation: 1, old: vec![bounds(whole)], new: halves[..1].to_vec() };
    let response = ask(&owner, 1, request::Kind::Reassign(gap)).await;
    assert!(response.refused.contains("cover exactly"), "{response:?}");
    let split = proto::Reassign { computation: 1, old: vec![bounds(whole)], new: halves.clone() };
    let response = ask(&owner, 2, request::Kind::Reassign(split)).await;
    assert_eq!((response.assigned.len(), response.refused.as_str()), (2, ""));
    let parts: Vec<Id> = response.assigned.iter().map(|assign| id(&assign.interval.unwrap())).collect();
    assert_eq!(
        parts.iter().map(|part| bounds(*part)).collect::<Vec<_>>(),
        halves,
        "in the order of positions"
    );
    let intervals = parts.iter().map(|part| interval_id(*part)).collect();
    owner.send(Kind::Running(proto::Running { intervals })).await;
    let reports = parts.iter().map(|part| report(*part, 12)).collect();
    owner.send(Kind::Reports(proto::Reports { reports })).await;
    eventually("both count", async || {
        (owner.view.lock().unwrap().announced.get(&1) == Some(&12_000_000)).then_some(())
    })
    .await;
    let status =
        injector.client().status(proto::StatusRequest { intervals: true }).await.unwrap().into_inner();
    assert!(status.intervals.iter().all(|interval| interval.running && interval.report.is_some()));
    assert_eq!((status.intervals.len(), status.computations[0].running), (2, 2));
}

fn hasty(options: &mut ServiceOptions) {
    options.reshape_every = Duration::from_millis(50);
    let hot = Load { busy_permille: 700, memory_bytes: 1 << 40 };
    options.heat = HeatLimits::new(hot, 300, 2, 1, 64).unwrap();
}

async fn report_load(worker: &FakeWorker, busy_permille: u32) {
    let load = |id| proto::Report { busy_permille, ..report(id, 5) };
    let reports = worker.running().into_iter().map(load).collect();
    worker.send(Kind::Reports(proto::Reports { reports })).await;
}

#[tokio::test]
async fn a_hot_interval_is_to_be_split_by_its_owner() {
    let (store, injector) = world(1, hasty).await;
    let owner = join(&store, &injector, "a").await;
    runs(&owner, 1).await;
    report_load(&owner, 900).await;
    let reshape = asked(&owner, "it is to split").await;
    assert_eq!((reshape.old.len(), reshape.new.len()), (1, 2));
    assert_eq!((reshape.old[0].first_position, reshape.old[0].last_position), (0, u64::MAX));
}

#[tokio::test]
async fn cold_intervals_of_two_owners_come_to_one_before_they_are_to_be_merged() {
    let (store, injector) = world(2, hasty).await;
    let first = join(&store, &injector, "a").await;
    runs(&first, 2).await;
    report_load(&first, 100).await;
    // One owner already: it is asked at once.
    let reshape = asked(&first, "it is to merge").await;
    assert_eq!((reshape.old.len(), reshape.new.len()), (2, 1));
    drop(first);

    let (store, injector) = world(2, |options| {
        hasty(options);
        options.reshape_every = Duration::from_millis(400);
    })
    .await;
    let workers = [join(&store, &injector, "a").await, join(&store, &injector, "b").await];
    eventually("each has one", async || workers.iter().all(|worker| worker.count_of(1) == 1).then_some(()))
        .await;
    let merged = eventually("one of them is to merge", async || {
        for worker in &workers {
            report_load(worker, 100).await;
        }
        workers.iter().position(|worker| {
            let view = worker.view.lock().unwrap();
            view.log.iter().any(|kind| matches!(kind, injector_message::Kind::Reshape(_)))
        })
    })
    .await;
    let reshape = asked(&workers[merged], "the same").await;
    assert_eq!((reshape.old.len(), reshape.new.len()), (2, 1));
    let view = workers[merged].view.lock().unwrap();
    let at = |wanted: fn(&injector_message::Kind) -> bool| view.log.iter().rposition(wanted);
    assert!(
        at(|kind| matches!(kind, injector_message::Kind::Assign(_)))
            < at(|kind| matches!(kind, injector_message::Kind::Reshape(_))),
        "it was given the other one first"
    );
}

#[tokio::test]
async fn what_holds_a_watermark_is_told_in_words() {
    let (store, injector) = world(2, |_| {}).await;
    let explain = async |name: &str| {
        injector.client().explain(proto::ExplainRequest { computation: name.into() }).await
    };
    let nobody = explain("c1").await.unwrap().into_inner();
    assert_eq!((nobody.cause.as_str(), nobody.path), ("unassigned", vec!["c1".to_owned()]));
    let unknown = explain("nothing").await.unwrap_err();
    assert!(unknown.code() == tonic::Code::NotFound && unknown.message().contains("c1"), "{unknown}");
    let owner = join(&store, &injector, "a").await;
    runs(&owner, 2).await;
    assert_eq!(explain("c1").await.unwrap().into_inner().cause, "silent");
    let all: Vec<Id> = owner.running().into_iter().collect();
    let held = proto::Report {
        holder: "parked".into(),
        holder_key: Some(bytes::Bytes::from_static(b"JFK")),
        totals: Some(proto::Totals { records: 3, ..Default::default() }),
        held: Some(proto::Held { parked: 2, ..Default::default() }),
        ..report(all[0], 5)
    };
    owner.send(Kind::Reports(proto::Reports { reports: vec![held, report(all[1], 9)] })).await;
    let told = eventually("the hold is seen", async || {
        let told = explain("c1").await.unwrap().into_inner();
        (told.cause == "held").then_some(told)
    })
    .await;
    assert_eq!((told.worker.as_str(), told.holder_key.as_deref()), ("a", Some(&b"JFK"[..])));
    assert_eq!(told.interval.as_ref().map(id), Some(all[0]));
    assert!(told.words.contains("JFK") && told.since_us.is_some(), "{told:?}");
    let status =
        injector.client().status(proto::StatusRequest { intervals: false }).await.unwrap().into_inner();
    let computation = &status.computations[0];
    assert_eq!(computation.totals.unwrap().records, 3);
    assert_eq!((computation.held.unwrap().parked, computation.intervals), (2, 2));
    assert_eq!((status.workers[0].worker.as_str(), status.workers[0].intervals), ("a", 2));
}
