//! A pipeline with a cell of every kind, dead letters, and lines of a file.

use pelton::local::{LocalOptions, Progress, run_on};
use pelton::{
    Bag, Computation, Context, Declaration, EventTime, Failure, Fired, Input, JsonLinesSink, JsonLinesSource,
    List, Map, Pipeline, Step, Stream, Timer, Value,
};
use pelton_statestore::StoreHandle;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

static ROWS: Stream<Row> = Stream::new("rows");
static SUMS: Stream<Sum> = Stream::new("sums");
static SUM: Value<u64> = Value::new("sum");
static BY_DIGIT: Map<u8, u64> = Map::new("by-digit");
static CAME: List<u64> = List::new("came");
static ODD: Bag<u64> = Bag::new("odd");
static SEEN: Value<i64> = Value::new("seen").expires_after(Duration::from_secs(1));
static WHIM: Value<i64> = Value::new("whim");

pub(crate) const ROWS_COUNT: u64 = 3_000;
pub(crate) const KEYS: u64 = 17;
/// Behind all rows.
const END: EventTime = EventTime::from_secs(1_000_000);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    key: String,
    number: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Sum {
    key: String,
    sum: u64,
}

/// What the code of a run is like.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Code {
    /// It keeps the time of the clock for one key.
    pub(crate) whimsical: bool,
    /// It has one more computation, which is said to act on the outside.
    pub(crate) acting: bool,
    /// So many rows a second.
    pub(crate) rate: Option<f64>,
}

#[derive(Clone)]
struct Tally {
    whimsical: bool,
}

impl Computation for Tally {
    type Input = Row;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&SUM).cell(&BY_DIGIT).cell(&CAME).cell(&ODD).cell(&SEEN).cell(&WHIM);
        declaration.output(&SUMS);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Row>) -> Result<(), Failure> {
        let Row { key, number } = input.value;
        if number % 500 == 3 {
            return Err(Failure::permanent(format!("{number} is not liked")));
        }
        let sum = SUM.get(cx).await?.unwrap_or(0) + number;
        SUM.set(cx, &sum)?;
        let digit = u8::try_from(number % 10).map_err(Failure::permanent)?;
        let before = BY_DIGIT.get(cx, &digit).await?.unwrap_or(0);
        BY_DIGIT.insert(cx, &digit, &(before + 1))?;
        CAME.push(cx, &number)?;
        if number % 2 == 1 {
            ODD.add(cx, &number)?;
        }
        let now = cx.now().as_micros();
        SEEN.set(cx, &now)?;
        if self.whimsical && key == "k3" {
            WHIM.set(cx, &now)?;
        }
        cx.set_timer(Timer::event("end", END))
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
        let key = cx.key().to_string();
        let sum = SUM.get(cx).await?.unwrap_or(0);
        cx.emit(&SUMS, key.as_str(), END, &Sum { key: key.clone(), sum })
    }
}

/// Looks at what comes, and is said to do something about it.
#[derive(Clone)]
struct Act;

impl Computation for Act {
    type Input = Sum;

    fn declare(&self, _: &mut Declaration) {}

    async fn process(&mut self, _: &mut Context<'_>, _: Input<Sum>) -> Result<(), Failure> {
        Ok(())
    }
}

/// The input: rows, and some that are none.
pub(crate) fn write_input(directory: &Path) {
    let mut text = String::new();
    for number in 0..ROWS_COUNT {
        text += &format!("{{\"key\":\"k{}\",\"number\":{number}}}\n", number % KEYS);
        if number % 1_000 == 7 {
            text += &format!("no row {number}\n");
        }
    }
    std::fs::write(directory.join("rows.jsonl"), text).unwrap();
}

pub(crate) fn sums(directory: &Path) -> std::path::PathBuf {
    directory.join("sums.jsonl")
}

pub(crate) fn pipeline(directory: &Path, code: Code) -> Pipeline {
    let rows = JsonLinesSource::<Row>::new(directory.join("rows.jsonl"), &ROWS)
        .key(|row| row.key.as_str().into())
        .event_time(|row| EventTime::from_secs(i64::try_from(row.number).unwrap()));
    let rows = match code.rate {
        Some(rate) => rows.rate(rate),
        None => rows,
    };
    let bad = JsonLinesSink::new(directory.join("bad.jsonl"), &rows.dead_letters()).named("bad");
    let pipeline = Pipeline::builder("tallies")
        .with(rows)
        .with(Step::new("tally", Tally { whimsical: code.whimsical }).reads(&ROWS).intervals(3))
        .with(JsonLinesSink::new(sums(directory), &SUMS))
        .with(bad);
    let pipeline = match code.acting {
        true => pipeline.with(Step::new("act", Act).reads(&SUMS).stable_input()),
        false => pipeline,
    };
    pipeline.build().unwrap()
}

pub(crate) async fn run(store: &StoreHandle, pipeline: Pipeline) {
    let options =
        LocalOptions { progress: Progress::Off, share_store: true, ..LocalOptions::new("in memory") };
    tokio::time::timeout(Duration::from_secs(180), run_on(pipeline, store.clone(), options))
        .await
        .unwrap()
        .unwrap();
}
