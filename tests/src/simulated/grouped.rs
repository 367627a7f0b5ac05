//! Workloads whose answer depends on what holds the watermark.
//!
//! | name | what would show in it |
//! |---|---|
//! | `held` | a watermark that passes a production, a timer's output time or a batch: a group closes too early |
//! | `failing` | the same for parked records; a parked record that is lost, or overtaken |

use super::{GROUP, GROUPS, numbers};
use crate::workload::{NUMBERS, at, parks_soon};
use pelton::testing::simulation::Simulation;
use pelton::{
    Bag, Computation, Context, Declaration, Failure, Fired, Input, List, Map, Pipeline, Step, Stream,
    TimeDomain, Timer,
};
use std::time::Duration;

#[must_use]
pub(super) fn held() -> Simulation {
    Simulation::new(|| grouped("held", Step::new("delay", Delay)))
}

#[must_use]
pub(super) fn failing() -> Simulation {
    Simulation::new(|| grouped("failing", Step::new("flaky", Flaky).retry(parks_soon())))
}

#[expect(clippy::expect_used, reason = "the graph is fixed")]
fn grouped<C: Computation<Input = u64> + Sync>(name: &str, middle: Step<C>) -> Pipeline {
    Pipeline::builder(name)
        .with(numbers())
        .with(middle.reads(&NUMBERS).intervals(2))
        .with(Step::new("close", Close).reads(&PASSED).intervals(2))
        .build()
        .expect("a sound graph")
}

static PASSED: Stream<u64> = Stream::new("passed");
static KEPT: Bag<u64> = Bag::new("kept");

/// Keeps numbers for a while, and its timer's output time holds the watermark for them.
#[derive(Clone)]
struct Delay;

impl Computation for Delay {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&KEPT).output(&PASSED);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        KEPT.add(cx, &input.value)?;
        if cx.timer("go", TimeDomain::Processing).await?.is_none() {
            // The numbers of a key ascend: its first is its earliest.
            let go = Timer::after("go", Duration::from_millis(150));
            cx.set_timer(go.output_at(input.event_time))?;
        }
        Ok(())
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
        let kept: Vec<u64> = KEPT.all(cx).await?;
        KEPT.clear(cx)?;
        let key = cx.key().clone();
        kept.iter().try_for_each(|number| cx.emit(&PASSED, key.clone(), at(*number), number))
    }
}

static IN_ORDER: List<u64> = List::new("in_order");

/// Passes numbers on; some keys fail half of the time.
#[derive(Clone)]
struct Flaky;

impl Computation for Flaky {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&IN_ORDER).output(&PASSED);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        let key = input.value % 5;
        let clock_ms = cx.now().as_micros() / 1000;
        // When it fails depends on the clock. What it does when it does not fail does not.
        if key % 2 == 1 && clock_ms % 1200 < 600 {
            return Err(Failure::retry("down for the moment"));
        }
        IN_ORDER.push(cx, &input.value)?;
        cx.emit(&PASSED, input.key, input.event_time, &input.value)
    }
}

static OPEN: Map<u64, (u64, u64)> = Map::new("open");
static CLOSED: List<(u64, u64, u64)> = List::new("closed");

/// Counts and adds up the numbers of each group of a key, and closes the group at its end.
#[derive(Clone)]
struct Close;

impl Computation for Close {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&OPEN).cell(&CLOSED);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        let group = input.value / GROUP;
        let (count, sum) = OPEN.get(cx, &group).await?.unwrap_or_default();
        OPEN.insert(cx, &group, &(count + 1, sum + input.value))?;
        let tag = usize::try_from(group).ok().and_then(|group| GROUPS.get(group)).copied();
        let tag = tag.ok_or_else(|| Failure::permanent("a number that is too large"))?;
        let timer = Timer::event(tag, at((group + 1) * GROUP));
        cx.set_timer(timer.payload(group.to_be_bytes().to_vec()))
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, timer: Fired) -> Result<(), Failure> {
        let group = u64::from_be_bytes(timer.payload.as_ref().try_into().map_err(Failure::permanent)?);
        let (count, sum) = OPEN.get(cx, &group).await?.unwrap_or_default();
        OPEN.remove(cx, &group)?;
        CLOSED.push(cx, &(group, count, sum))
    }
}
