//! A worker whose clock runs away, among others whose clocks are right.

use crate::services::{Services, wait};
use crate::{expected, of_client};
use pelton::client::IngestClient;
use pelton::{Clock, ProcessingTime, WallClock};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const HOUR_US: i64 = 3_600_000_000;
/// The injector's bound by default.
const AHEAD_MS_MAX: u64 = 60_000;

/// The machine's clock, and so much more.
#[derive(Debug, Default)]
struct Ahead(AtomicI64);

impl Clock for Ahead {
    fn now(&self) -> ProcessingTime {
        ProcessingTime::from_micros(WallClock.now().as_micros() + self.0.load(Ordering::SeqCst))
    }
}

fn now_ms() -> u64 {
    u64::try_from(WallClock.now().as_micros() / 1000).unwrap()
}

#[test]
fn i6_a_worker_whose_clock_runs_away_lifts_no_horizon_and_works_again_when_it_is_right() {
    let wild = Arc::new(Ahead::default());
    let services = Services::start_with(vec![wild.clone(), Arc::new(WallClock)]);
    let intervals = |worker: &str| {
        let status = services.status()?;
        let found = status.workers.into_iter().find(|status| status.worker == worker)?;
        Some((found.intervals, found.clock_refused))
    };
    let horizons_are_low = || {
        let most = now_ms() + AHEAD_MS_MAX;
        let computations = services.status().map(|status| status.computations).unwrap_or_default();
        computations.iter().all(|of| of.oldest_unacknowledged_ms <= most)
    };
    let append = |from: u64, to: u64| {
        services.block_on(async {
            let mut ann = IngestClient::connect(services.addresses(), "orders", "ann").unwrap();
            ann.append((from..to).map(|id| of_client("ann", id)).collect()).await.unwrap();
        });
    };
    wait("both to have something", || {
        let of = |worker| intervals(worker).is_some_and(|(count, _)| count > 0);
        of("worker-0") && of("worker-1")
    });
    append(0, 500);
    wild.0.store(2 * HOUR_US, Ordering::SeqCst);
    append(500, 1000);
    assert!(horizons_are_low());
    wait("the wild one to lose all", || intervals("worker-0") == Some((0, true)));
    append(1000, 1500);
    assert!(horizons_are_low());
    wild.0.store(0, Ordering::SeqCst);
    wait("it to have something again", || {
        intervals("worker-0").is_some_and(|(count, refused)| count > 0 && !refused)
    });
    append(1500, 2000);
    assert!(horizons_are_low());
    services.block_on(async {
        let mut any = IngestClient::connect(services.addresses(), "orders", "ann").unwrap();
        any.finish().await.unwrap();
    });
    assert_eq!(services.collected(1), expected(&["ann"], 2000));
    services.until_done();
}

#[test]
fn i6_a_worker_whose_clock_is_wrong_from_the_start_ends_and_says_why() {
    let services = Services::start(1);
    let wild = Arc::new(Ahead(AtomicI64::new(2 * HOUR_US)));
    let (runtime, worker) = services.join(9, wild);
    let ended = runtime.block_on(worker.ended()).unwrap_err().to_string();
    for words in ["its clock says", "the injector's", "NTP"] {
        assert!(ended.contains(words), "{words}: {ended}");
    }
    runtime.shutdown_background();
}
