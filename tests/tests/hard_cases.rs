//! The cases that break simpler designs, each under its name, on the counting pipeline: the answer is that of
//! a sequential run (I12). Those of the store alone are in its conformance suite; those that are pure decisions
//! stand beside the decisions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test: a panic is its failure"
)]

use pelton::{
    Computation, Context, Counters, Declaration, Engine, EngineOptions, EventTime, Failure, Fired, Input,
    MailFate, ManualClock, Pipeline, ProcessingTime, RetryPolicy, Step, Timer, Value,
};
use pelton_statestore::memory::{FaultPlan, Memory};
use pelton_statestore::{Commit, StoreHandle, Write};
use pelton_tests::workload::{
    COUNTS, Collect, Counter, NUMBERS, Numbers, check, counting, counting_weakly, finish,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);
const TOTAL: u64 = 5_000;
const KEYS: u64 = 31;

fn totals(engine: &Engine, name: &str) -> Counters {
    engine.status().computation(name).unwrap().totals
}

async fn run_to_the_end(store: StoreHandle, options: EngineOptions, seen: Collect) {
    let engine = Engine::start(counting(TOTAL, 50, KEYS, seen.clone()), store, options).await.unwrap();
    finish(&engine, PATIENCE).await;
    check(&engine, &seen, TOTAL, KEYS);
    engine.stop().await;
}

fn faulty_mail(seed: u64) -> EngineOptions {
    let random = Mutex::new(StdRng::seed_from_u64(seed));
    let mut options = EngineOptions::default();
    options.interval.resend_after = Duration::from_millis(50);
    options.mail_fault = Some(Arc::new(move |_| match random.lock().unwrap().random_range(0..30) {
        0 => MailFate::Lost,
        1 | 2 => MailFate::Twice,
        3 => MailFate::Late,
        _ => MailFate::Arrives,
    }));
    options
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_outcomes_late_commits_conflicts_and_outages_change_nothing() {
    let seed = pelton_tests::seed();
    let store = Arc::new(Memory::with_faults(seed, FaultPlan::stormy().delayed(Duration::from_millis(1))));
    run_to_the_end(store, EngineOptions::default(), Collect::default()).await;
}

/// Whether a commit is one of the interval of `count`: it writes that computation's state.
fn counts(commit: &Commit) -> bool {
    let is_count = |key: &[u8]| key.windows(6).any(|w| w == b"\x05count");
    commit.writes.iter().any(|write| matches!(write, Write::Put { key, .. } if is_count(key)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicate_of_an_uncommitted_record_is_acknowledged_only_with_the_original() {
    let (memory, seen) = (Memory::new(), Collect::default());
    let gate = memory.hold_next_commit_where(counts);
    let mut options = EngineOptions::default();
    options.interval.resend_after = Duration::from_millis(5);
    options.mail_fault = Some(Arc::new(|_| MailFate::Twice));
    let engine = Engine::start(counting(TOTAL, 50, KEYS, seen.clone()), Arc::new(memory.clone()), options)
        .await
        .unwrap();
    gate.caught().await;
    // The originals are in flight; their senders send them again and again. Then all crash, and the commit is lost.
    tokio::time::sleep(Duration::from_millis(60)).await;
    engine.abort();
    drop(gate);
    run_to_the_end(Arc::new(memory), EngineOptions::default(), seen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_runs_and_zombies_change_nothing() {
    let seed = pelton_tests::seed();
    let mut random = StdRng::seed_from_u64(seed);
    let (memory, seen) = (Memory::new(), Collect::default());
    let mut zombies = Vec::new();
    for _ in 0..6 {
        let pipeline = counting(TOTAL, 20, KEYS, seen.clone());
        zombies
            .push(Engine::start(pipeline, Arc::new(memory.clone()), EngineOptions::default()).await.unwrap());
        tokio::time::sleep(Duration::from_millis(random.random_range(1..25))).await;
    }
    // Each has fenced the one before, which runs on, on state that it can no longer commit.
    let engine = zombies.pop().unwrap();
    finish(&engine, PATIENCE).await;
    check(&engine, &seen, TOTAL, KEYS);
    zombies.into_iter().for_each(Engine::abort);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promises_about_ids_hold_when_the_clock_goes_back() {
    let (memory, seen) = (Memory::new(), Collect::default());
    for hours in [10, 9, 1, 8] {
        let options = EngineOptions {
            clock: Arc::new(ManualClock::at(ProcessingTime::from_secs(hours * 3600))),
            ..EngineOptions::default()
        };
        let pipeline = counting(TOTAL, 20, KEYS, seen.clone());
        let engine = Engine::start(pipeline, Arc::new(memory.clone()), options).await.unwrap();
        engine.started().await.unwrap();
        tokio::time::sleep(Duration::from_millis(15)).await;
        engine.abort();
    }
    // Timers that were set at ten o'clock fire at ten o'clock.
    let clock = Arc::new(ManualClock::at(ProcessingTime::from_secs(10 * 3600)));
    run_to_the_end(Arc::new(memory), EngineOptions { clock, ..EngineOptions::default() }, seen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packed_ids_are_found_across_splits_merges_and_crashes() {
    let seed = pelton_tests::seed();
    let mut random = StdRng::seed_from_u64(seed);
    let (memory, seen) = (Memory::new(), Collect::default());
    for round in 0..8 {
        let mut options = faulty_mail(seed ^ round);
        options.interval.dedup_bucket_ms = 50;
        let engine =
            Engine::start(counting(TOTAL, 10, KEYS, seen.clone()), Arc::new(memory.clone()), options)
                .await
                .unwrap();
        engine.started().await.unwrap();
        for name in ["count", "collect", "count"] {
            let intervals = engine.intervals(name);
            if intervals.len() > 2 {
                engine.merge(name, intervals[1].first()).await.unwrap();
            } else {
                let at = intervals[random.random_range(0..intervals.len())].halves().unwrap().1.first();
                engine.split(name, at).await.unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(1..30))).await;
        engine.abort();
    }
    let mut options = faulty_mail(seed);
    options.interval.dedup_bucket_ms = 50;
    run_to_the_end(Arc::new(memory), options, seen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_stages_with_full_mailboxes_do_not_deadlock() {
    let mut options = EngineOptions::default();
    options.interval.channel_records_max = 2;
    options.interval.channel_bytes_max = 64;
    options.interval.outbox_bytes_max = 256;
    options.interval.batch_calls_max = 3;
    options.interval.cache_bytes_max = 1000;
    options.interval.removal_delay = Duration::from_millis(1);
    run_to_the_end(Arc::new(Memory::new()), options, Collect::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weak_ids_are_the_same_after_every_crash() {
    let seed = pelton_tests::seed();
    let mut random = StdRng::seed_from_u64(seed);
    let (memory, seen) = (Memory::new(), Collect::default());
    for round in 0..12 {
        let pipeline = counting_weakly(TOTAL, 20, KEYS, seen.clone());
        let options = if round % 2 == 0 { faulty_mail(seed ^ round) } else { EngineOptions::default() };
        let engine = Engine::start(pipeline, Arc::new(memory.clone()), options).await.unwrap();
        tokio::time::sleep(Duration::from_millis(random.random_range(1..30))).await;
        engine.abort();
    }
    let pipeline = counting_weakly(TOTAL, 20, KEYS, seen.clone());
    let engine = Engine::start(pipeline, Arc::new(memory), faulty_mail(seed)).await.unwrap();
    finish(&engine, PATIENCE).await;
    check(&engine, &seen, TOTAL, KEYS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_advances_before_the_source_has_begun_and_all_ends_at_plus_infinity() {
    let memory = Memory::new();
    let first_records = |commit: &Commit| {
        commit
            .writes
            .iter()
            .any(|w| matches!(w, Write::Put { key, .. } if key.windows(7).any(|k| k == b"\x06cursor")))
    };
    let gate = memory.hold_next_commit_where(first_records);
    let seen = Collect::default();
    let pipeline = counting(TOTAL, 50, KEYS, seen.clone());
    let engine = Engine::start(pipeline, Arc::new(memory), EngineOptions::default()).await.unwrap();
    gate.caught().await;
    engine.started().await.unwrap();
    for computation in engine.status().computations {
        assert_eq!(computation.low_watermark, EventTime::MIN, "I7: {} went ahead", computation.name);
    }
    gate.land().unwrap().unwrap();
    finish(&engine, PATIENCE).await;
    assert!(engine.status().computations.iter().all(|c| c.low_watermark == EventTime::MAX));
    check(&engine, &seen, TOTAL, KEYS);
}

static LAST: Value<u64> = Value::new("last");

/// Fails for one key until it is told to recover, and refuses numbers out of order.
#[derive(Clone, Debug)]
struct Stubborn {
    recovered: Arc<AtomicBool>,
}

impl Computation for Stubborn {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&LAST).output(&COUNTS);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        if input.value % KEYS == 7 && !self.recovered.load(Ordering::SeqCst) {
            return Err(Failure::retry("the outside is down"));
        }
        match LAST.get(cx).await? {
            Some(last) if last + KEYS != input.value => Err(Failure::permanent("out of order")),
            None if input.value >= KEYS => Err(Failure::permanent("not the first")),
            _ => LAST.set(cx, &input.value),
        }
    }
}

fn stubborn(recovered: &Arc<AtomicBool>, policy: RetryPolicy) -> Pipeline {
    let code = Stubborn { recovered: recovered.clone() };
    Pipeline::builder("stubborn")
        .with(
            Step::new("numbers", Numbers { total: TOTAL, chunk: 50, keys: KEYS, pause: Duration::ZERO })
                .starts_with_key("numbers"),
        )
        .with(Step::new("count", code).reads(&NUMBERS).retry(policy))
        .build()
        .unwrap()
}

async fn until(what: &str, engine: &Engine, condition: impl Fn(&pelton::ComputationStatus) -> bool) {
    for _ in 0..60_000 {
        if condition(engine.status().computation("count").unwrap()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{what} never came: {:#?}", engine.status());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_key_is_parked_holds_the_watermark_and_recovers_in_order() {
    let (memory, recovered) = (Memory::new(), Arc::new(AtomicBool::new(false)));
    let policy = RetryPolicy {
        grace: Duration::from_millis(20),
        delay_max: Duration::from_millis(50),
        ..RetryPolicy::default()
    };
    let of_key = (0..TOTAL).filter(|n| n % KEYS == 7).count() as u64;
    let start =
        || Engine::start(stubborn(&recovered, policy), Arc::new(memory.clone()), EngineOptions::default());
    let engine = start().await.unwrap();
    until("parking", &engine, |c| c.parked == of_key && c.totals.records == TOTAL - of_key).await;
    // Its senders do not wait for it, and its parked records hold what comes after (I7).
    let first = EventTime::from_micros(7000);
    until("the watermark of its first record", &engine, |c| c.low_watermark == first).await;
    let numbers = engine.status().computation("numbers").unwrap().clone();
    assert_eq!((numbers.low_watermark, numbers.outbox_bytes), (EventTime::MAX, 0));
    engine.abort();
    let engine = start().await.unwrap();
    until("the parked records after a crash", &engine, |c| c.parked == of_key && c.running == c.intervals)
        .await;
    recovered.store(true, Ordering::SeqCst);
    finish(&engine, PATIENCE).await;
    let count = totals(&engine, "count");
    assert_eq!((count.records, count.dead_lettered), (TOTAL, 0), "I9, I10");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_past_its_bound_goes_to_the_dead_letters_with_its_error() {
    let recovered = Arc::new(AtomicBool::new(false));
    let policy =
        RetryPolicy { grace: Duration::from_millis(1), parked_records_max: 20, ..RetryPolicy::default() };
    let memory = Memory::new();
    let engine =
        Engine::start(stubborn(&recovered, policy), Arc::new(memory.clone()), EngineOptions::default())
            .await
            .unwrap();
    until("giving up", &engine, |c| c.totals.dead_lettered > 20).await;
    recovered.store(true, Ordering::SeqCst);
    finish(&engine, PATIENCE).await;
    let count = totals(&engine, "count");
    assert_eq!(count.records + count.dead_lettered, TOTAL, "I10: processed, or a dead letter");
    let letters = engine.dead_letters("count", 10_000).await.unwrap();
    assert_eq!(letters.len() as u64, count.dead_lettered);
    assert!(
        letters.iter().any(|letter| letter.error.contains("parked records; the outside is down")),
        "{letters:?}"
    );
}

/// Panics on one number, and never returns on another.
#[derive(Clone, Debug)]
struct Broken;

impl Computation for Broken {
    type Input = u64;

    fn declare(&self, _: &mut Declaration) {}

    async fn process(&mut self, _: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        match input.value {
            100 => panic!("one hundred"),
            200 => std::future::pending().await,
            300 => Err(Failure::permanent("three hundred")),
            _ => Ok(()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panics_overruns_and_permanent_errors_become_dead_letters_and_can_be_replayed() {
    let policy =
        RetryPolicy { crashes_max: 2, delay_min: Duration::from_millis(1), ..RetryPolicy::default() };
    let pipeline = |fixed: bool| {
        let numbers =
            Step::new("numbers", Numbers { total: TOTAL, chunk: 50, keys: KEYS, pause: Duration::ZERO })
                .starts_with_key("numbers");
        let builder = Pipeline::builder("broken").with(numbers);
        if fixed {
            return builder.with(Step::new("count", Counter).reads(&NUMBERS)).build().unwrap();
        }
        let code =
            Step::new("count", Broken).reads(&NUMBERS).retry(policy).deadline(Duration::from_millis(5));
        builder.with(code).build().unwrap()
    };
    let memory = Memory::new();
    let engine =
        Engine::start(pipeline(false), Arc::new(memory.clone()), EngineOptions::default()).await.unwrap();
    finish(&engine, PATIENCE).await;
    let count = totals(&engine, "count");
    assert_eq!((count.records, count.dead_lettered), (TOTAL - 3, 3), "I10");
    let letters = engine.dead_letters("count", 100).await.unwrap();
    for expected in ["panicked: one hundred", "did not return within 5ms", "three hundred"] {
        assert!(letters.iter().any(|letter| letter.error.contains(expected)), "{expected}: {letters:?}");
    }
    engine.stop().await;
    let engine = Engine::start(pipeline(true), Arc::new(memory), EngineOptions::default()).await.unwrap();
    engine.started().await.unwrap();
    assert_eq!(engine.replay_dead_letters("count").await.unwrap(), 3);
    until("the replay", &engine, |c| c.totals.records == TOTAL).await;
    assert!(engine.dead_letters("count", 100).await.unwrap().is_empty());
}

/// Sets a timer that holds nothing, on the last of its records.
#[derive(Clone, Debug)]
struct Postscript {
    fired: Arc<AtomicBool>,
}

impl Computation for Postscript {
    type Input = u64;

    fn declare(&self, _: &mut Declaration) {}

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        let timer = Timer::after("postscript", Duration::from_millis(300)).output_at(EventTime::MAX);
        if input.value + 1 == TOTAL { cx.set_timer(timer) } else { Ok(()) }
    }

    async fn on_timer(&mut self, _: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
        self.fired.store(true, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn done_means_plus_infinity_everywhere_and_no_timer_left() {
    let fired = Arc::new(AtomicBool::new(false));
    let numbers =
        Step::new("numbers", Numbers { total: TOTAL, chunk: 500, keys: KEYS, pause: Duration::ZERO });
    let pipeline = Pipeline::builder("done")
        .with(numbers.starts_with_key("numbers"))
        .with(Step::new("count", Postscript { fired: fired.clone() }).reads(&NUMBERS))
        .build()
        .unwrap();
    let engine = Engine::start(pipeline, Arc::new(Memory::new()), EngineOptions::default()).await.unwrap();
    finish(&engine, PATIENCE).await;
    assert!(engine.status().computations.iter().all(|c| c.low_watermark == EventTime::MAX));
    assert!(fired.load(Ordering::SeqCst), "a timer is left that holds nothing");
}
