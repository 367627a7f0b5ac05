//! A small pipeline whose answer is known: numbers are counted by key, and every key's total is collected.
//!
//! `numbers` (a source that emits in chunks, its cursor in state) → `count` (per key: how many, and their sum) →
//! `collect` (one key: a map of what each count said last). Sensitive to a lost, repeated or reordered record:
//! each output carries the running count of its key, and the collector refuses a count that does not follow.

use pelton::{
    Computation, Context, Declaration, Engine, EventTime, Failure, Fired, Input, Map, Pipeline, RetryPolicy,
    Step, Stream, Timer, Value,
};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Numbers, keyed by their remainder.
pub static NUMBERS: Stream<u64> = Stream::new("numbers");
/// Running counts.
pub static COUNTS: Stream<Count> = Stream::new("counts");

/// What is known of a key after a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Its remainder.
    pub key: u64,
    /// How many numbers so far.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}

/// Emits the numbers below `total`, `chunk` at a time.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// How many.
    pub total: u64,
    /// How many at a time.
    pub chunk: u64,
    /// How many keys.
    pub keys: u64,
    /// How long after each chunk the next one comes.
    pub pause: Duration,
}

static CURSOR: Value<u64> = Value::new("cursor");

impl Computation for Numbers {
    type Input = ();

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&CURSOR).output(&NUMBERS);
    }

    async fn process(&mut self, _: &mut Context<'_>, _: Input<()>) -> Result<(), Failure> {
        Ok(())
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
        let from = CURSOR.get(cx).await?.unwrap_or(0);
        let to = (from + self.chunk).min(self.total);
        for number in from..to {
            cx.emit(&NUMBERS, number % self.keys, at(number), &number)?;
        }
        CURSOR.set(cx, &to)?;
        if to < self.total {
            cx.set_timer(Timer::after("more", self.pause).output_at(at(to)))?;
        }
        Ok(())
    }
}

/// The event time of a number: a millisecond each.
#[must_use]
pub fn at(number: u64) -> EventTime {
    EventTime::from_micros(i64::try_from(number).unwrap_or(i64::MAX).saturating_mul(1000))
}

/// A key that fails is parked soon, and tried again soon.
#[must_use]
pub fn parks_soon() -> RetryPolicy {
    RetryPolicy {
        delay_max: Duration::from_millis(100),
        grace: Duration::from_millis(100),
        ..RetryPolicy::default()
    }
}

static COUNT: Value<(u64, u64)> = Value::new("count");

/// Counts the numbers of a key.
#[derive(Clone, Debug)]
pub struct Counter;

impl Computation for Counter {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&COUNT).output(&COUNTS);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        let (count, sum) = COUNT.get(cx).await?.unwrap_or((0, 0));
        let (count, sum) = (count + 1, sum + input.value);
        COUNT.set(cx, &(count, sum))?;
        let key = u64::from_be_bytes(input.key.as_bytes().try_into().unwrap_or_default());
        cx.emit(&COUNTS, "all", input.event_time, &Count { key, count, sum })
    }
}

static LAST: Map<u64, Count> = Map::new("last");

/// Keeps the last count of each key, in state and, for tests to read, in memory.
#[derive(Clone, Debug, Default)]
pub struct Collect {
    /// What each key said last.
    pub seen: Arc<Mutex<std::collections::BTreeMap<u64, Count>>>,
}

impl Computation for Collect {
    type Input = Count;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&LAST);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Count>) -> Result<(), Failure> {
        let count = input.value;
        let before = LAST.get(cx, &count.key).await?.map_or(0, |last| last.count);
        if count.count != before + 1 {
            return Err(Failure::permanent(format!(
                "key {}: count {} follows {before}",
                count.key, count.count
            )));
        }
        LAST.insert(cx, &count.key, &count)?;
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(count.key, count);
        Ok(())
    }
}

/// The pipeline over `total` numbers with `keys` keys; what `collect` sees appears in `seen`.
#[must_use]
pub fn counting(total: u64, chunk: u64, keys: u64, seen: Collect) -> Pipeline {
    counting_with(Numbers { total, chunk, keys, pause: Duration::ZERO }, seen)
}

/// The same, so that it takes some seconds.
#[must_use]
pub fn counting_slowly(total: u64, chunk: u64, keys: u64, seen: Collect) -> Pipeline {
    counting_with(Numbers { total, chunk, keys, pause: Duration::from_millis(60) }, seen)
}

/// The same behind numbers that come as they say.
///
/// # Panics
/// Never: the graph is sound.
#[must_use]
#[expect(clippy::expect_used, reason = "the graph is fixed")]
pub fn counting_with(numbers: Numbers, seen: Collect) -> Pipeline {
    Pipeline::builder("counting")
        .with(Step::new("numbers", numbers).starts_with_key("numbers").intervals(1))
        .with(Step::new("count", Counter).reads(&NUMBERS).intervals(3))
        .with(Step::new("collect", seen).reads(&COUNTS).intervals(1))
        .build()
        .expect("a sound graph")
}

static RELAYED: Stream<u64> = Stream::new("relayed");

/// Passes numbers on, under the same key and time.
#[derive(Clone, Debug)]
struct Relay;

impl Computation for Relay {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.output(&RELAYED);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        cx.emit(&RELAYED, input.key, input.event_time, &input.value)
    }
}

/// The counting pipeline with a weak relay before the count.
#[must_use]
pub fn counting_weakly(total: u64, chunk: u64, keys: u64, seen: Collect) -> Pipeline {
    counting_weakly_with(Numbers { total, chunk, keys, pause: Duration::ZERO }, seen)
}

/// The same, so that it takes some seconds.
#[must_use]
pub fn counting_weakly_and_slowly(total: u64, chunk: u64, keys: u64, seen: Collect) -> Pipeline {
    counting_weakly_with(Numbers { total, chunk, keys, pause: Duration::from_millis(60) }, seen)
}

#[expect(clippy::expect_used, reason = "the graph is fixed")]
fn counting_weakly_with(numbers: Numbers, seen: Collect) -> Pipeline {
    Pipeline::builder("counting")
        .with(Step::new("numbers", numbers).starts_with_key("numbers").intervals(1))
        .with(Step::new("relay", Relay).reads(&NUMBERS).weak().intervals(2))
        .with(Step::new("count", Counter).reads(&RELAYED).intervals(2))
        .with(Step::new("collect", seen).reads(&COUNTS).intervals(1))
        .build()
        .expect("a sound graph")
}

/// What every key's last count must be.
#[must_use]
pub fn expected(total: u64, keys: u64) -> std::collections::BTreeMap<u64, Count> {
    let of_key = |key: u64| {
        let numbers = (0..total).filter(|n| n % keys == key);
        let (count, sum) = numbers.fold((0, 0), |(count, sum), n| (count + 1, sum + n));
        (key, Count { key, count, sum })
    };
    (0..keys.min(total)).map(of_key).collect()
}

/// Waits until the pipeline has ended.
///
/// # Panics
/// Where it fails, or has not ended after `patience`.
#[expect(clippy::unwrap_used, reason = "a test's judgement: a panic is its failure")]
pub async fn finish(engine: &Engine, patience: Duration) {
    let finished = tokio::time::timeout(patience, engine.finished()).await;
    finished.unwrap_or_else(|_| panic!("it does not end: {:#?}", engine.status())).unwrap();
}

/// Judges a pipeline of `total` numbers and `keys` keys that has ended: each number counted exactly once, in order.
///
/// # Panics
/// Where the answer is wrong.
#[expect(clippy::unwrap_used, reason = "a test's judgement: a panic is its failure")]
pub fn check(engine: &Engine, seen: &Collect, total: u64, keys: u64) {
    let status = engine.status();
    let of = |name: &str| status.computation(name).unwrap().totals;
    assert_eq!(of("collect").dead_lettered, 0, "I9, I12: a count did not follow the one before");
    assert_eq!((of("count").records, of("collect").records), (total, total), "I12: each exactly once");
    assert_eq!(*seen.seen.lock().unwrap(), expected(total, keys), "I12");
}
