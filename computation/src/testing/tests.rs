//! What the harness shows is what the engine does: one computation that does as it is told, and what comes of it.

mod book;
mod crashes;
mod failures;
mod mistakes;
mod records;
mod state;
mod surroundings;
mod timers;

use super::{Harness, HarnessBuilder};
use crate::codec::Json;
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::pipeline::Step;
use crate::state::{Bag, Combiner, Combining, List, Map, Set, Value};
use crate::stream::Stream;
use crate::timer::{Fired, TimeDomain, Timer};
use pelton_domain::{EventTime, Key, ProcessingTime};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static ORDERS: Stream<Do> = Stream::new("orders");
static COUNTS: Stream<u64> = Stream::new("counts");
static FIRED: Stream<(String, i64), Json> = Stream::new("fired");

static SEEN: Value<u64> = Value::new("seen");
static SUM: Combining<Sum> = Combining::new("sum");
static BAG: Bag<u64> = Bag::new("bag");
static LIST: List<u64> = List::new("list");
static MAP: Map<u64, String> = Map::new("map");
static SET: Set<u64> = Set::new("set");
static BRIEFLY: Value<u64> = Value::new("briefly").expires_after(Duration::from_secs(60));

struct Sum;

impl Combiner for Sum {
    type Input = u64;
    type Accumulator = u64;

    fn add(accumulator: &mut u64, input: u64) {
        *accumulator += input;
    }

    fn merge(accumulator: &mut u64, other: u64) {
        *accumulator += other;
    }
}

/// What the computation is told to do. Times are in seconds, those of the clock from its start.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Do {
    /// Counts the record and tells the count.
    Count,
    /// Counts it, unless it is late.
    CountInTime,
    /// Keeps a number in every cell.
    Keep(u64),
    /// Sets event timers.
    Event { a: Option<i64>, b: Option<i64> },
    /// Sets an event timer that holds the watermark earlier than it fires.
    Holding { fires: i64, holds: i64 },
    /// Sets processing timers.
    Processing { a: Option<u64>, b: Option<u64> },
    /// Clears the timers "a".
    Clear,
    /// Sets a timer that sets itself again, always due.
    Spin,
    /// Fails until the clock shows this, then counts.
    NotBefore(i64),
    /// Fails for good.
    Never,
    /// Panics.
    Panic,
    /// Stops the pipeline until it is mended.
    Stop,
}

#[derive(Clone, Default)]
struct Obedient {
    mended: Arc<AtomicBool>,
}

impl Obedient {
    async fn count(cx: &mut Context<'_>, key: Key) -> Result<(), Failure> {
        let seen = SEEN.get(cx).await?.unwrap_or(0) + 1;
        SEEN.set(cx, &seen)?;
        let at = cx.event_time();
        cx.emit(&COUNTS, key, at, &seen)
    }

    async fn keep(cx: &mut Context<'_>, number: u64) -> Result<(), Failure> {
        SUM.add(cx, number).await?;
        BAG.add(cx, &number)?;
        LIST.push(cx, &number)?;
        MAP.insert(cx, &number, &number.to_string())?;
        SET.insert(cx, &number)?;
        BRIEFLY.set(cx, &number)
    }

    fn set(cx: &mut Context<'_>, timers: [Option<Timer>; 2]) -> Result<(), Failure> {
        timers.into_iter().flatten().try_for_each(|timer| cx.set_timer(timer))
    }
}

impl Computation for Obedient {
    type Input = Do;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&SEEN).cell(&SUM).cell(&BAG).cell(&LIST).cell(&MAP).cell(&SET).cell(&BRIEFLY);
        declaration.output(&COUNTS).output(&FIRED);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Do>) -> Result<(), Failure> {
        let (at, after) = (EventTime::from_secs, Duration::from_secs);
        match input.value {
            Do::Count => Self::count(cx, input.key).await,
            Do::CountInTime if input.event_time < cx.input_watermark() => {
                cx.drop_late();
                Ok(())
            }
            Do::CountInTime => Self::count(cx, input.key).await,
            Do::Keep(number) => Self::keep(cx, number).await,
            Do::Event { a, b } => {
                Self::set(cx, [a.map(|s| Timer::event("a", at(s))), b.map(|s| Timer::event("b", at(s)))])
            }
            Do::Holding { fires, holds } => cx.set_timer(Timer::event("a", at(fires)).output_at(at(holds))),
            Do::Processing { a, b } => Self::set(
                cx,
                [a.map(|s| Timer::after("a", after(s))), b.map(|s| Timer::after("b", after(s)))],
            ),
            Do::Clear => {
                cx.clear_timer("a", TimeDomain::Processing)?;
                cx.clear_timer("a", TimeDomain::Event)
            }
            Do::Spin => cx.set_timer(Timer::after("spin", Duration::ZERO)),
            Do::NotBefore(clock) if seconds(cx.now()) < clock => Err(Failure::retry("not yet")),
            Do::NotBefore(_) => Self::count(cx, input.key).await,
            Do::Never => Err(Failure::permanent("never")),
            Do::Panic => panic!("as told"),
            Do::Stop if self.mended.load(Ordering::SeqCst) => Self::count(cx, input.key).await,
            Do::Stop => Err(Failure::stop("mend me")),
        }
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, timer: Fired) -> Result<(), Failure> {
        if timer.tag == "spin" {
            return cx.set_timer(Timer::after("spin", Duration::ZERO));
        }
        let told = match timer.domain {
            TimeDomain::Event => cx.input_watermark().as_micros() / 1_000_000,
            TimeDomain::Processing => seconds(cx.now()),
        };
        cx.emit(&FIRED, cx.key().clone(), timer.event_time(), &(timer.tag, told))
    }
}

/// Seconds since the harness's clock began.
fn seconds(now: ProcessingTime) -> i64 {
    (now.as_micros() - Harness::START.as_micros()) / 1_000_000
}

fn at(seconds: i64) -> EventTime {
    EventTime::from_secs(seconds)
}

fn step() -> Step<Obedient> {
    Step::new("obedient", Obedient::default()).reads(&ORDERS)
}

fn harness() -> Harness {
    Harness::new(step()).unwrap()
}

fn builder() -> HarnessBuilder {
    Harness::builder(step())
}

/// What has been counted.
fn counts(harness: &mut Harness) -> Vec<u64> {
    harness.output(&COUNTS).unwrap().into_iter().map(|output| output.value).collect()
}

/// The timers that have fired: tag, and second of their domain.
fn fired(harness: &mut Harness) -> Vec<(String, i64)> {
    harness.output(&FIRED).unwrap().into_iter().map(|output| output.value).collect()
}

fn timer(tag: &str, second: i64) -> (String, i64) {
    (tag.to_owned(), second)
}
