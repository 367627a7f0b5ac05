//! The ends of reigns in a running engine: an interval fenced from outside, a split that is cut off half way, an
//! orderly stop. And what every commit of a reign has in common.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test: a panic is its failure"
)]

use bytes::Bytes;
use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use pelton::{Engine, EngineOptions, KeyInterval, KeyPosition};
use pelton_domain::{Name, Sequencer};
use pelton_statestore::fence::{Fence, random_tokens, read_fences, take_over};
use pelton_statestore::memory::Memory;
use pelton_statestore::{Commit, ComputationKeys, KeyRange, PipelineKeys, Precondition, StoreHandle, Write};
use pelton_tests::workload::{self, Collect, Numbers, counting};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TOTAL: u64 = 5_000;
const KEYS: u64 = 31;
/// The numbers that the catalogue gives to the computations of the pipeline.
const COMPUTATIONS: [(u32, &str); 3] = [(1, "numbers"), (2, "count"), (3, "collect")];

fn keys() -> PipelineKeys {
    PipelineKeys::new(&Name::new("counting").unwrap())
}

async fn start(store: &Memory, seen: &Collect) -> Engine {
    start_with(store, seen, EngineOptions::default()).await
}

/// So that there are many commits, and much is under way at any moment.
async fn start_in_small_batches(store: &Memory, seen: &Collect) -> Engine {
    let mut options = EngineOptions::default();
    options.interval.batch_calls_max = 20;
    start_with(store, seen, options).await
}

async fn start_with(store: &Memory, seen: &Collect, options: EngineOptions) -> Engine {
    Engine::start(counting(TOTAL, 10, KEYS, seen.clone()), Arc::new(store.clone()), options).await.unwrap()
}

async fn finish(engine: &Engine, seen: &Collect) {
    workload::finish(engine, Duration::from_secs(60)).await;
    workload::check(engine, seen, TOTAL, KEYS);
}

fn collected(engine: &Engine) -> u64 {
    engine.status().computation("collect").unwrap().totals.records
}

/// Takes an interval over from outside, as another worker would: whoever runs it is fenced.
async fn fence_from_outside(store: &Memory, computation: u32, which: usize) {
    let (store, keys): (StoreHandle, _) = (Arc::new(store.clone()), keys().computation(computation));
    let fences = read_fences(&store, &keys).await.unwrap();
    let fence: &Fence = &fences[which % fences.len()];
    let next = Sequencer::new(fence.sequencer.map_or(0, Sequencer::get) + 1).unwrap();
    // It may have been taken over meanwhile: then it was fenced all the same.
    let _ = take_over(&store, &keys, fence.interval, next, vec![], &random_tokens()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_work_of_a_fenced_interval_is_discarded_admissions_included_and_run_again() {
    let seed = pelton_tests::seed();
    let mut random = StdRng::seed_from_u64(seed);
    let (store, seen) = (Memory::new(), Collect::default());
    // Slow enough that it is not over before it has been fenced a few times.
    let numbers = Numbers { total: TOTAL, chunk: 10, keys: KEYS, pause: Duration::from_millis(2) };
    let pipeline = workload::counting_with(numbers, seen.clone());
    let engine = Engine::start(pipeline, Arc::new(store.clone()), EngineOptions::default()).await.unwrap();
    engine.started().await.unwrap();
    let mut fenced = 0;
    while collected(&engine) < TOTAL * 9 / 10 && fenced < 15 {
        fence_from_outside(&store, random.random_range(1..=3), random.random_range(0..3)).await;
        fenced += 1;
        tokio::time::sleep(Duration::from_millis(random.random_range(1..15))).await;
    }
    assert!(fenced > 2, "the run was over after {fenced}");
    finish(&engine, &seen).await;
    engine.stop().await;
}

fn within(range: &KeyRange, key: &Bytes) -> bool {
    range.start <= *key && *key < range.end
}

/// Whether a commit is that of a split of `count`: it puts two fences in the place of one.
fn splits(commit: &Commit) -> bool {
    let fences = keys().computation(2).fences();
    let puts =
        commit.writes.iter().filter(|write| matches!(write, Write::Put { key, .. } if within(&fences, key)));
    let requires = |p: &Precondition| matches!(p, Precondition::Value { key, .. } if within(&fences, key));
    puts.count() == 2 && commit.preconditions.iter().any(requires)
}

/// Starts, splits an interval of `count`, and crashes when the injector has written the split down and the
/// commit that changes the fences is on its way. Returns that commit, and the intervals as they were.
async fn crash_within_a_split(
    store: &Memory,
    seen: &Collect,
) -> (pelton_statestore::memory::Gate, Vec<KeyInterval>) {
    let engine = start(store, seen).await;
    engine.started().await.unwrap();
    while collected(&engine) < TOTAL / 10 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let before = engine.intervals("count");
    let gate = store.hold_next_commit_where(splits);
    let at = before[1].halves().unwrap().1.first();
    tokio::select! {
        ended = engine.split("count", at) => panic!("the split was not held: {ended:?}"),
        () = gate.caught() => {}
    }
    engine.abort();
    let assignments = keys().assignments(2);
    let assigned = store.dump().iter().filter(|(key, _)| within(&assignments, key)).count();
    assert_eq!((before.len(), assigned), (3, 4), "the journal has the parts, the fences have the whole");
    (gate, before)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_that_is_lost_between_the_journal_and_the_fences_did_not_happen() {
    let (store, seen) = (Memory::new(), Collect::default());
    let (gate, before) = crash_within_a_split(&store, &seen).await;
    drop(gate);
    let engine = start(&store, &seen).await;
    assert_eq!(engine.intervals("count"), before, "the fences decide");
    finish(&engine, &seen).await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_whose_fences_change_before_the_restart_happened() {
    let (store, seen) = (Memory::new(), Collect::default());
    let (gate, before) = crash_within_a_split(&store, &seen).await;
    assert_eq!(gate.land(), Some(Ok(())));
    let engine = start(&store, &seen).await;
    let (low, high) = before[1].halves().unwrap();
    assert_eq!(engine.intervals("count"), [before[0], low, high, before[2]], "the fences decide");
    finish(&engine, &seen).await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_that_arrives_after_the_take_over_changes_nothing() {
    let (store, seen) = (Memory::new(), Collect::default());
    let (gate, before) = crash_within_a_split(&store, &seen).await;
    let engine = start(&store, &seen).await;
    engine.started().await.unwrap();
    assert!(matches!(gate.land(), Some(Err(_))), "I1: two would own its positions");
    finish(&engine, &seen).await;
    assert_eq!(engine.intervals("count"), before);
    engine.stop().await;
}

/// Counts one counter, and nothing else.
#[derive(Default)]
struct Abandoned(Arc<Count>);

#[derive(Default)]
struct Count(AtomicU64);

impl CounterFn for Count {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::SeqCst);
    }

    fn absolute(&self, value: u64) {
        self.0.fetch_max(value, Ordering::SeqCst);
    }
}

impl Abandoned {
    fn count(&self) -> u64 {
        self.0.0.load(Ordering::SeqCst)
    }
}

impl Recorder for Abandoned {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match key.name() {
            "pelton_intervals_abandoned_total" => Counter::from_arc(self.0.clone()),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// All on one thread, so that the counter of this thread sees everything.
fn counting_abandoned(story: impl Future<Output = ()>) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let abandoned = Abandoned::default();
    metrics::with_local_recorder(&abandoned, || runtime.block_on(story));
    abandoned.count()
}

#[test]
fn no_interval_is_abandoned_by_an_orderly_stop_a_split_or_a_merge() {
    let abandoned = counting_abandoned(async {
        let (store, seen) = (Memory::new(), Collect::default());
        for pause in [0, 1, 3, 5, 10] {
            let engine = start_in_small_batches(&store, &seen).await;
            tokio::time::sleep(Duration::from_millis(pause)).await;
            engine.stop().await;
        }
        let engine = start_in_small_batches(&store, &seen).await;
        engine.started().await.unwrap();
        for _ in 0..3 {
            let at = engine.intervals("count")[0].halves().unwrap().1.first();
            engine.split("count", at).await.unwrap();
            engine.merge("count", at).await.unwrap();
        }
        finish(&engine, &seen).await;
        engine.stop().await;
    });
    assert_eq!(abandoned, 0);
    let abandoned = counting_abandoned(async {
        let (store, seen) = (Memory::new(), Collect::default());
        let engine = start_in_small_batches(&store, &seen).await;
        engine.started().await.unwrap();
        assert!(collected(&engine) < TOTAL, "it is over before it is disturbed");
        for which in 0..3 {
            fence_from_outside(&store, 2, which).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        finish(&engine, &seen).await;
    });
    assert!(abandoned > 0, "this would not see it");
}

/// Everything of one computation but its fences.
fn contents(keys: &ComputationKeys) -> Vec<KeyRange> {
    let (least, greatest) = (KeyPosition(0), KeyPosition(u64::MAX));
    let ids = |first| keys.dedup_buckets(first, 0, u64::MAX);
    vec![
        keys.state_of_interval(KeyInterval::FULL),
        keys.timers(KeyInterval::FULL),
        keys.parked_of_interval(KeyInterval::FULL),
        keys.dead_letters(KeyInterval::FULL),
        KeyRange { start: keys.outbox_of(least).start, end: keys.outbox_of(greatest).end },
        KeyRange { start: ids(least).start, end: ids(greatest).end },
    ]
}

/// What is wrong with a commit: it writes something of a computation without requiring a fence of it as it
/// stands and replacing it.
fn fault(commit: &Commit) -> Option<String> {
    let touches = |range: &KeyRange| {
        commit.writes.iter().any(|write| match write {
            Write::Put { key, .. } | Write::Delete { key } => within(range, key),
            Write::DeleteRange { range: gone } => gone.start < range.end && range.start < gone.end,
        })
    };
    for (number, name) in COMPUTATIONS {
        let keys = keys().computation(number);
        if !contents(&keys).iter().any(touches) {
            continue;
        }
        let fences = keys.fences();
        let held: Vec<&Bytes> = commit
            .preconditions
            .iter()
            .filter_map(|precondition| match precondition {
                Precondition::Value { key, expected: Some(_) } if within(&fences, key) => Some(key),
                _ => None,
            })
            .collect();
        let creates = commit.preconditions.contains(&Precondition::Empty { range: fences });
        let replaces = |key: &&Bytes| {
            commit
                .writes
                .iter()
                .any(|w| matches!(w, Write::Put { key: k, .. } | Write::Delete { key: k } if k == *key))
        };
        if !creates && (held.is_empty() || !held.iter().all(replaces)) {
            return Some(format!("{name}: {commit:?}"));
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_written_of_an_interval_goes_through_its_fence() {
    let (store, seen) = (Memory::new(), Collect::default());
    let faults: Arc<Mutex<Vec<String>>> = Arc::default();
    let commits = Arc::new(AtomicU64::new(0));
    let (found, counted) = (faults.clone(), commits.clone());
    // It holds none: it looks at each.
    let _look = store.hold_next_commit_where(move |commit| {
        counted.fetch_add(1, Ordering::SeqCst);
        found.lock().unwrap().extend(fault(commit));
        false
    });
    let mut options = EngineOptions::default();
    options.interval.dedup_bucket_ms = 5;
    options.interval.promise_interval = Duration::from_millis(5);
    options.interval.removal_delay = Duration::from_millis(1);
    options.interval.batch_calls_max = 20;
    let engine = start_with(&store, &seen, options).await;
    engine.started().await.unwrap();
    let at = engine.intervals("count")[0].halves().unwrap().1.first();
    engine.split("count", at).await.unwrap();
    engine.merge("count", at).await.unwrap();
    finish(&engine, &seen).await;
    engine.stop().await;
    assert!(commits.load(Ordering::SeqCst) > 50);
    assert_eq!(*faults.lock().unwrap(), Vec::<String>::new(), "I1");
}
