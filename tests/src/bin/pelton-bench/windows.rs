//! What windows cost: the same records, counted for each key and hour by hand, and by each kind of window.

use crate::{Arguments, Figure};
use anyhow::Result;
use pelton::pipeline::IntoSteps;
use pelton::window::aggregators::Count;
use pelton::window::{
    CalendarWindows, FixedWindows, GlobalWindow, Pane, Sessions, SlidingWindows, Trigger, WindowFn, Windowed,
};
use pelton::{
    Computation, Context, Declaration, Engine, EngineOptions, EventTime, Failure, Fired, Input, Map,
    Pipeline, Step, Stream, TimeDomain, Timer, Value,
};
use std::marker::PhantomData;
use std::time::{Duration, Instant};

static RECORDS: Stream<u64> = Stream::new("records");
static PANES: Stream<Pane<u64>> = Stream::new("panes");
static COUNTS: Stream<u64> = Stream::new("counts");
static CURSOR: Value<u64> = Value::new("cursor");
static OPEN: Map<i64, u64> = Map::new("open");

/// Records emitted at once.
const CHUNK: u64 = 2048;
/// The event times of all records lie in so many hours.
const HOURS: u64 = 10;
const HOUR: Duration = Duration::from_secs(3_600);
const CLOSE: &str = "close";

/// Emits records in order of event time.
#[derive(Clone, Debug)]
struct Generate {
    records: u64,
    keys: u64,
}

impl Generate {
    fn time(&self, number: u64) -> EventTime {
        let micros =
            u128::from(number) * HOUR.as_micros() * u128::from(HOURS) / u128::from(self.records.max(1));
        EventTime::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

impl Computation for Generate {
    type Input = ();

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&CURSOR).output(&RECORDS);
    }

    async fn process(&mut self, _: &mut Context<'_>, _: Input<()>) -> Result<(), Failure> {
        Ok(())
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
        let from = CURSOR.get(cx).await?.unwrap_or(0);
        let to = (from + CHUNK).min(self.records);
        for number in from..to {
            // Multiplied by an odd number, so that keys do not come in the order of their positions.
            let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % self.keys;
            cx.emit(&RECORDS, key, self.time(number), &number)?;
        }
        CURSOR.set(cx, &to)?;
        match to < self.records {
            true => cx.set_timer(Timer::after("more", Duration::ZERO).output_at(self.time(to))),
            false => Ok(()),
        }
    }
}

/// Counts by the hour, as one writes it by hand.
#[derive(Clone, Debug)]
struct ByHand;

fn end_of(hour: i64) -> EventTime {
    EventTime::from_secs((hour + 1) * 3_600)
}

impl Computation for ByHand {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&OPEN).output(&COUNTS);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        let hour = input.event_time.as_micros().div_euclid(3_600_000_000);
        let count = OPEN.get(cx, &hour).await?.unwrap_or(0) + 1;
        OPEN.insert(cx, &hour, &count)?;
        match cx.timer(CLOSE, TimeDomain::Event).await? {
            Some(at) if at <= end_of(hour).as_micros() => Ok(()),
            _ => cx.set_timer(Timer::event(CLOSE, end_of(hour))),
        }
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
        let mut open = OPEN.all(cx).await?;
        open.sort_unstable();
        for (hour, count) in open {
            if end_of(hour) > cx.input_watermark() {
                return cx.set_timer(Timer::event(CLOSE, end_of(hour)));
            }
            OPEN.remove(cx, &hour)?;
            cx.emit(&COUNTS, cx.key().clone(), end_of(hour), &count)?;
        }
        Ok(())
    }
}

/// Takes what comes out.
#[derive(Clone, Debug)]
struct Tail<T>(PhantomData<fn(T)>);

impl<T: Clone + Send + 'static> Computation for Tail<T> {
    type Input = T;

    fn declare(&self, _: &mut Declaration) {}

    async fn process(&mut self, _: &mut Context<'_>, _: Input<T>) -> Result<(), Failure> {
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
async fn run(arguments: &Arguments, step: impl IntoSteps) -> Result<f64> {
    let (store, _place) = crate::store(arguments).await?;
    let generate = Generate { records: arguments.window_records, keys: arguments.window_keys };
    let pipeline = Pipeline::builder("windows")
        .with(Step::new("generate", generate).starts_with_key("generate").intervals(1))
        .with(step)
        .build()?;
    let engine = Engine::start(pipeline, store, EngineOptions::default()).await?;
    engine.started().await?;
    let began = Instant::now();
    engine.finished().await?;
    let seconds = began.elapsed().as_secs_f64();
    engine.stop().await;
    Ok(arguments.window_records as f64 / seconds)
}

async fn windowed(arguments: &Arguments, windows: impl WindowFn<u64>, trigger: Trigger) -> Result<f64> {
    let windowed = Windowed::by(windows, Count::new()).trigger(trigger);
    let step = windowed.step("count", &RECORDS, &PANES)?.intervals(1);
    let tail = Step::new("tail", Tail::<Pane<u64>>(PhantomData)).reads(&PANES).intervals(1);
    let mut steps = step.into_steps();
    steps.extend(tail.into_steps());
    run(arguments, steps).await
}

/// By hand first, then each kind of window; in rounds.
pub(crate) async fn measure(arguments: &Arguments, figures: &mut Vec<Figure>) -> Result<()> {
    const NAMES: [&str; 6] = [
        "by hand: an hour, a map and a timer",
        "fixed, 1 h",
        "calendar, 1 day",
        "sliding, 1 h every 15 min: four windows",
        "sessions, gap 1 h: one that grows",
        "global, a pane for every 3 records",
    ];
    let mut sums = [0.0; 6];
    for _ in 0..arguments.rounds.max(1) {
        let tail = Step::new("tail", Tail::<u64>(PhantomData)).reads(&COUNTS).intervals(1);
        let mut by_hand = Step::new("count", ByHand).reads(&RECORDS).intervals(1).into_steps();
        by_hand.extend(tail.into_steps());
        let end = Trigger::after_watermark;
        let reached = [
            run(arguments, by_hand).await?,
            windowed(arguments, FixedWindows::of(HOUR), end()).await?,
            windowed(arguments, CalendarWindows::days(1), end()).await?,
            windowed(arguments, SlidingWindows::of(HOUR, HOUR / 4), end()).await?,
            windowed(arguments, Sessions::with_gap(HOUR), end()).await?,
            windowed(arguments, GlobalWindow, Trigger::after_count(3).repeatedly()).await?,
        ];
        sums.iter_mut().zip(reached).for_each(|(sum, rate)| *sum += rate);
    }
    let [by_hand, ..] = sums;
    for (what, sum) in NAMES.into_iter().zip(sums) {
        let value = sum / f64::from(arguments.rounds.max(1)) / 1000.0;
        let ratio = Some(sum / by_hand);
        figures.push(Figure { part: "windows", what: what.into(), value, unit: "k rec/s", ratio });
    }
    Ok(())
}
