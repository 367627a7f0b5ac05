//! Takes the engine's own metrics, which are what an operator would see too: the histogram of arrival to durable
//! commit, and what the commits of intervals wrote.

use anyhow::{Result, anyhow};
use hdrhistogram::Histogram;
use metrics::{Counter, Gauge, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

type Shared = Arc<Mutex<Histogram<u64>>>;

static BY_COMPUTATION: OnceLock<Mutex<HashMap<String, Shared>>> = OnceLock::new();

/// Microseconds up to a minute, three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    #[expect(clippy::expect_used, reason = "the bounds are valid")]
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("valid bounds")
}

fn of(computation: &str) -> Shared {
    let all = BY_COMPUTATION.get_or_init(Mutex::default);
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.entry(computation.to_owned()).or_insert_with(|| Arc::new(Mutex::new(histogram()))).clone()
}

/// What was recorded of `computation` since the last call.
pub(crate) fn take(computation: &str) -> Histogram<u64> {
    std::mem::replace(&mut *of(computation).lock().unwrap_or_else(PoisonError::into_inner), histogram())
}

struct Microseconds(Shared);

impl HistogramFn for Microseconds {
    fn record(&self, seconds: f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a latency")]
        let micros = (seconds * 1e6) as u64;
        let mut histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        histogram.saturating_record(micros);
    }
}

/// What the commits of intervals wrote since the last time it was taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Writes {
    pub(crate) commits: u64,
    pub(crate) keys: u64,
    pub(crate) bytes: u64,
}

static COMMITS: LazyLock<Arc<AtomicU64>> = LazyLock::new(Arc::default);
static KEYS: LazyLock<Arc<AtomicU64>> = LazyLock::new(Arc::default);
static BYTES: LazyLock<Arc<AtomicU64>> = LazyLock::new(Arc::default);

/// What was written since the last call.
pub(crate) fn take_writes() -> Writes {
    let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
    Writes { commits: take(&COMMITS), keys: take(&KEYS), bytes: take(&BYTES) }
}

struct EngineMetrics;

impl Recorder for EngineMetrics {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match key.name() {
            "pelton_commits_total" => Counter::from_arc(COMMITS.clone()),
            "pelton_keys_written_total" => Counter::from_arc(KEYS.clone()),
            "pelton_bytes_written_total" => Counter::from_arc(BYTES.clone()),
            _ => Counter::noop(),
        }
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        if key.name() != "pelton_arrival_to_commit_seconds" {
            return metrics::Histogram::noop();
        }
        let computation = key.labels().find(|l| l.key() == "computation").map_or("", |l| l.value());
        metrics::Histogram::from_arc(Arc::new(Microseconds(of(computation))))
    }
}

/// Makes it the process's recorder.
pub(crate) fn install() -> Result<()> {
    metrics::set_global_recorder(EngineMetrics).map_err(|error| anyhow!("{error}"))
}
