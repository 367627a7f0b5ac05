//! A small pipeline, an injector over a store in memory, and a clock that stands still.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test that called it")]

use pelton_domain::{AttemptToken, EventTime, KeyInterval, Name, ProcessingTime, Sequencer, SystemTime};
use pelton_injector::{
    Announced, Assigned, End, Graph, Injector, InjectorOptions, IntervalReport, Load, Node,
};
use pelton_statestore::fence::Tokens;
use pelton_statestore::memory::Memory;
use pelton_statestore::{PipelineKeys, StoreHandle};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinHandle;

pub(crate) fn keys() -> PipelineKeys {
    PipelineKeys::new(&Name::new("flights").unwrap())
}

/// 1 produces for 2, and 2 for 3.
pub(crate) fn graph() -> Graph {
    let node = |computation: u32, producers: &[u32]| {
        let name = Name::new(&format!("c{computation}")).unwrap();
        Node { computation, name, producers: producers.to_vec() }
    };
    Graph::new([node(1, &[]), node(2, &[1]), node(3, &[2])]).unwrap()
}

/// Tokens that no other call of this function gives.
pub(crate) fn tokens() -> Tokens {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Arc::new(|| AttemptToken(NEXT.fetch_add(1, Ordering::Relaxed).into()))
}

pub(crate) fn options() -> InjectorOptions {
    InjectorOptions::new(Arc::new(|| ProcessingTime::from_secs(77)))
}

/// Starts an injector and drives it.
pub(crate) async fn start(store: &Memory) -> (Injector, JoinHandle<End>) {
    start_with(store, options()).await
}

pub(crate) async fn start_with(store: &Memory, options: InjectorOptions) -> (Injector, JoinHandle<End>) {
    let handle: StoreHandle = Arc::new(store.clone());
    let (injector, driver) = Injector::start(handle, keys(), graph(), tokens(), options).await.unwrap();
    (injector, tokio::spawn(driver))
}

pub(crate) fn announced(secs: u64) -> Announced {
    Announced {
        low_watermark: EventTime::from_secs(i64::try_from(secs).unwrap()),
        oldest_unacknowledged: SystemTime::from_millis(secs * 1000),
    }
}

pub(crate) fn report_of(
    computation: u32,
    interval: KeyInterval,
    sequencer: Sequencer,
    secs: u64,
) -> IntervalReport {
    let Announced { low_watermark, oldest_unacknowledged } = announced(secs);
    let load = Load::default();
    IntervalReport {
        computation,
        interval,
        sequencer,
        low_watermark,
        oldest_unacknowledged,
        holder: None,
        load,
    }
}

/// The report `secs` of an assigned interval.
pub(crate) fn report(computation: u32, assigned: &Assigned, secs: u64) -> IntervalReport {
    let assignment = &assigned.assignment;
    report_of(computation, assignment.interval, assignment.sequencer, secs)
}

/// Assigns all of a computation to one worker.
pub(crate) async fn assign_whole(injector: &Injector, computation: u32) -> Assigned {
    let mut assigned = injector.assign(computation, vec![(KeyInterval::FULL, "w".into())]).await.unwrap();
    assigned.pop().unwrap()
}

/// Waits until `computation` stands at `secs`.
pub(crate) async fn until(injector: &Injector, computation: u32, secs: u64) {
    let mut tables = injector.subscribe();
    let reached = tables.wait_for(|table| table.of(computation).is_at_least(announced(secs))).await.unwrap();
    assert_eq!(reached.of(computation), announced(secs));
}

/// Runs a future on a runtime of its own, on which time is simulated.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}
