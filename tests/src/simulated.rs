//! Pipelines for the simulation, each sensitive to other mistakes, each with one right answer whatever happens.
//!
//! | name | what would show in it |
//! |---|---|
//! | `counting` | a record lost, repeated or out of order; a wrong cursor of a source |
//! | `weak` | the same behind a weak computation |
//! | `timers` | an event timer that fires twice, never, early, after it was replaced or cleared, or out of order |
//! | `flushes` | a processing timer that is lost, or fires without its state |
//! | `transfers` | one half of a commit; a stage that loses what another has |
//! | `ingested` | a record from outside that is lost, or twice, or out of order; a stream that ends too early |
//! | `published` | the same for those who read a published stream |
//! | `held` | a watermark that passes a production, a timer's output time or a batch: a group closes too early |
//! | `failing` | the same for parked records; a parked record that is lost, or overtaken |
//! | `filed` | a line of a file that is lost, twice, torn or out of order |

mod filed;
mod grouped;
mod ingested;
mod published;

pub mod windows;

use crate::workload::{Collect, NUMBERS, Numbers, at, counting_slowly, counting_weakly_and_slowly};
use pelton::testing::simulation::Simulation;
use pelton::{
    Bag, Computation, Context, Declaration, Failure, Fired, Input, List, Pipeline, Step, Stream, TimeDomain,
    Timer, Value,
};
use std::time::Duration;

const TOTAL: u64 = 240;
const KEYS: u64 = 5;

/// Every workload, by name.
#[must_use]
pub fn workloads() -> Vec<(&'static str, Simulation)> {
    let all = vec![
        ("counting", Simulation::new(|| counting_slowly(TOTAL, 7, KEYS, Collect::default()))),
        ("weak", Simulation::new(|| counting_weakly_and_slowly(TOTAL, 7, KEYS, Collect::default()))),
        ("timers", Simulation::new(|| behind_numbers("timers", Step::new("groups", Groups).reads(&NUMBERS)))),
        ("flushes", Simulation::new(flushes)),
        ("transfers", Simulation::new(transfers)),
        ("ingested", ingested::ingested()),
        ("published", published::published()),
        ("filed", filed::filed()),
    ];
    let grouped = [("held", grouped::held()), ("failing", grouped::failing())];
    all.into_iter().chain(windows::workloads()).chain(grouped).collect()
}

fn numbers() -> Step<Numbers> {
    let numbers = Numbers { total: TOTAL, chunk: 6, keys: KEYS, pause: Duration::from_millis(60) };
    Step::new("numbers", numbers).starts_with_key("numbers").intervals(1)
}

#[expect(clippy::expect_used, reason = "the graph is fixed")]
fn behind_numbers<C: Computation + Sync>(name: &str, step: Step<C>) -> Pipeline {
    Pipeline::builder(name).with(numbers()).with(step.intervals(3)).build().expect("a sound graph")
}

static FIRED: List<(u64, u64)> = List::new("fired");
static IN_GROUP: Value<(u64, u64)> = Value::new("in_group");

/// How many numbers, of all keys, are one group.
const GROUP: u64 = 20;
/// A tag for each: what is set again must be set before it may have fired, or the answer would depend on the way there.
const GROUPS: [&str; 12] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"];

/// Sets one event timer for each group of numbers, again with each number, and clears it with some; what fired is kept.
#[derive(Clone)]
struct Groups;

impl Computation for Groups {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&FIRED).cell(&IN_GROUP);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        let group = input.value / GROUP;
        let (before, seen) = IN_GROUP.get(cx).await?.unwrap_or((group, 0));
        let seen = if before == group { seen + 1 } else { 1 };
        IN_GROUP.set(cx, &(group, seen))?;
        let tag = usize::try_from(group).ok().and_then(|group| GROUPS.get(group));
        let tag = tag.ok_or_else(|| Failure::permanent("there are not so many groups"))?;
        // Two numbers later it is a timer again, or is not: what counts is the last word before the group's end.
        if input.value.is_multiple_of(7) {
            return cx.clear_timer(tag, TimeDomain::Event);
        }
        let payload = (group * 1000 + seen).to_be_bytes().to_vec();
        cx.set_timer(Timer::event(tag, at((group + 1) * GROUP)).payload(payload))
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, timer: Fired) -> Result<(), Failure> {
        let payload: [u8; 8] = timer.payload.as_ref().try_into().map_err(Failure::permanent)?;
        let fire_at = u64::try_from(timer.fire_at_us).map_err(Failure::permanent)?;
        if cx.input_watermark().as_micros() < timer.fire_at_us {
            return Err(Failure::permanent("I8: a timer fired before its time"));
        }
        FIRED.push(cx, &(fire_at, u64::from_be_bytes(payload)))
    }
}

static WAITING: Bag<u64> = Bag::new("waiting");
static FLUSHED: Stream<u64> = Stream::new("flushed");
static SUM: Value<i64> = Value::new("sum");

/// Gathers numbers, and sends their sum on when a processing timer fires.
#[derive(Clone)]
struct Flush;

impl Computation for Flush {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&WAITING).output(&FLUSHED);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        WAITING.add(cx, &input.value)?;
        if cx.timer("flush", TimeDomain::Processing).await?.is_none() {
            let flush = Timer::after("flush", Duration::from_millis(90));
            cx.set_timer(flush.output_at(input.event_time))?;
        }
        Ok(())
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, timer: Fired) -> Result<(), Failure> {
        let waiting: Vec<u64> = WAITING.all(cx).await?;
        if waiting.is_empty() {
            return Err(Failure::permanent("I2, I8: a timer fired without its state"));
        }
        WAITING.clear(cx)?;
        let key = cx.key().clone();
        cx.emit(&FLUSHED, key, timer.output_time, &waiting.iter().sum())
    }
}

/// Sums up.
#[derive(Clone)]
struct Sum;

impl Computation for Sum {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&SUM);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        let sum = SUM.get(cx).await?.unwrap_or(0) + i64::try_from(input.value).map_err(Failure::permanent)?;
        SUM.set(cx, &sum)
    }
}

#[expect(clippy::expect_used, reason = "the graph is fixed")]
fn flushes() -> Pipeline {
    Pipeline::builder("flushes")
        .with(numbers())
        .with(Step::new("flush", Flush).reads(&NUMBERS).intervals(2))
        .with(Step::new("sum", Sum).reads(&FLUSHED).intervals(2))
        .build()
        .expect("a sound graph")
}

static CREDITS: Stream<u64> = Stream::new("credits");
static DEBITED: Value<i64> = Value::new("debited");

/// Takes an amount from one account, and has it added to another.
#[derive(Clone)]
struct Debit;

impl Computation for Debit {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&DEBITED).output(&CREDITS);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        let debited =
            DEBITED.get(cx).await?.unwrap_or(0) - i64::try_from(input.value).map_err(Failure::permanent)?;
        DEBITED.set(cx, &debited)?;
        // Two records of one call: both or none.
        cx.emit(&CREDITS, (input.value * 3 + 1) % KEYS, input.event_time, &(input.value / 2))?;
        cx.emit(&CREDITS, (input.value * 2) % KEYS, input.event_time, &(input.value - input.value / 2))
    }
}

#[expect(clippy::expect_used, reason = "the graph is fixed")]
fn transfers() -> Pipeline {
    Pipeline::builder("transfers")
        .with(numbers())
        .with(Step::new("debit", Debit).reads(&NUMBERS).intervals(2))
        .with(Step::new("credit", Sum).reads(&CREDITS).intervals(3))
        .build()
        .expect("a sound graph")
}
