//! A worker whose clock has run away may not assign ids: it is refused, loses what it has, and lifts no horizon.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test that called it")]
#![allow(clippy::disallowed_methods, reason = "the clocks are the test's")]

mod fleet;

use fleet::*;
use pelton_proto::injector::{self as proto, WorkerStatus, worker_message::Kind};
use pelton_statestore::memory::Memory;
use std::time::SystemTime;
use tonic::Code;

const HOUR_US: i64 = 3_600_000_000;

/// The clock of the injectors here, in microseconds.
fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

async fn world(intervals: u32) -> (Memory, Process) {
    let store = Memory::new();
    prepare(&store, 1, intervals).await;
    let injector = Process::start(&store).await;
    injector.leads().await;
    (store, injector)
}

async fn status_of(injector: &Process, worker: &str) -> WorkerStatus {
    let request = proto::StatusRequest { intervals: false };
    let workers = injector.client().status(request).await.unwrap().into_inner().workers;
    workers.into_iter().find(|status| status.worker == worker).unwrap()
}

#[tokio::test]
async fn i6_a_worker_whose_clock_is_ahead_may_not_join_and_is_told_both_times() {
    let (store, injector) = world(2).await;
    let wild = proto::Hello { clock_us: Some(now_us() + HOUR_US), ..hello(&store, "a") };
    let refused = FakeWorker::join(injector.client(), wild.clone(), GOOD).await.err().unwrap();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    for words in ["its clock says", "the injector's", "ahead by 3", "60 s is the most", "NTP"] {
        assert!(refused.message().contains(words), "{words}: {refused}");
    }
    // Slow, or right: both may join.
    for (name, clock_us) in [("slow", now_us() - HOUR_US), ("right", now_us())] {
        let hello = proto::Hello { clock_us: Some(clock_us), ..hello(&store, name) };
        FakeWorker::join(injector.client(), hello, GOOD).await.unwrap();
    }
    let recovered = proto::Hello { clock_us: Some(now_us()), ..wild };
    FakeWorker::join(injector.client(), recovered, GOOD).await.unwrap();
}

#[tokio::test]
async fn i6_a_worker_whose_clock_runs_away_loses_its_intervals_until_it_is_right_again() {
    let (store, injector) = world(4).await;
    let (a, b) = (hello(&store, "a"), hello(&store, "b"));
    let a = FakeWorker::join(injector.client(), a, GOOD).await.unwrap();
    let b = FakeWorker::join(injector.client(), b, GOOD).await.unwrap();
    eventually("they share", async || ((a.count_of(1), b.count_of(1)) == (2, 2)).then_some(())).await;
    a.say_clock(now_us() + HOUR_US).await;
    eventually("the other has all", async || ((a.count_of(1), b.count_of(1)) == (0, 4)).then_some(())).await;
    let status = status_of(&injector, "a").await;
    assert!(status.clock_refused && status.clock_ahead_ms > 3_500_000, "{status:?}");
    assert!(!status_of(&injector, "b").await.clock_refused);
    assert!(a.end().is_none(), "it stays a member");
    a.say_clock(now_us()).await;
    eventually("they share again", async || ((a.count_of(1), b.count_of(1)) == (2, 2)).then_some(())).await;
    assert!(!status_of(&injector, "a").await.clock_refused);
}

#[tokio::test]
async fn i6_no_promise_lifts_the_horizon_over_the_bound() {
    let (store, injector) = world(2).await;
    let worker = FakeWorker::join(injector.client(), hello(&store, "a"), GOOD).await.unwrap();
    eventually("it runs all", async || (worker.count_of(1) == 2).then_some(())).await;
    let before_ms = u64::try_from(now_us() / 1000).unwrap();
    let promised_ms = before_ms + 3_600_000;
    let reports = worker.running().into_iter().map(|id| proto::Report {
        interval: Some(interval_id(id)),
        low_watermark_us: 1,
        oldest_unacknowledged_ms: promised_ms,
        ..Default::default()
    });
    worker.send(Kind::Reports(proto::Reports { reports: reports.collect() })).await;
    let announced_ms = eventually("it is announced", async || {
        let request = proto::StatusRequest { intervals: false };
        let status = injector.client().status(request).await.unwrap().into_inner();
        let announced_ms = status.computations[0].oldest_unacknowledged_ms;
        (announced_ms > 0).then_some(announced_ms)
    })
    .await;
    let now_ms = u64::try_from(now_us() / 1000).unwrap();
    assert!((before_ms..=now_ms + 60_000).contains(&announced_ms), "{announced_ms} at {now_ms}");
    let id_time_ms_max = worker.view.lock().unwrap().id_time_ms_max.unwrap();
    assert!((before_ms..=now_ms + 60_000).contains(&id_time_ms_max), "what workers are told is the same");
}
