//! A flow that uses every operator, each into a file of its name.

use pelton::flow::{Dedup, Enrich, Flow, Rate, Records};
use pelton::join::{Offset, Pair};
use pelton::window::aggregators::Count;
use pelton::window::{Accumulation, FixedWindows, Trigger};
use pelton::{
    Computation, Context, Declaration, EventTime, Failure, Input, JsonLinesSink, JsonLinesSource, Key,
    Pipeline, PipelineError, Stream, Value,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// The files that are read.
pub(crate) const A: &str = "a.jsonl";
pub(crate) const B: &str = "b.jsonl";
/// How late a record of a file may be.
pub(crate) const DISORDER_S: i64 = 30;

static AS: Stream<Entry> = Stream::new("as");
static BS: Stream<Entry> = Stream::new("bs");

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) key: u64,
    pub(crate) second: i64,
    pub(crate) value: u32,
}

static SEEN: Value<u64> = Value::new("seen");
static NUMBERED: Stream<(u64, u64)> = Stream::new("numbered-by-hand");

/// Numbers the records of a key.
#[derive(Clone)]
struct Number;

impl Computation for Number {
    type Input = Entry;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&SEEN).output(&NUMBERED);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Entry>) -> Result<(), Failure> {
        let number = SEEN.get(cx).await?.unwrap_or(0) + 1;
        SEEN.set(cx, &number)?;
        cx.emit(&NUMBERED, input.key, input.event_time, &(input.value.key, number))
    }
}

fn source(path: &Path, stream: &Stream<Entry>) -> JsonLinesSource<Entry> {
    JsonLinesSource::new(path, stream)
        .key(|entry| entry.key.into())
        .event_time(|entry| EventTime::from_secs(entry.second))
        .disorder(Duration::from_secs(DISORDER_S.unsigned_abs()))
}

fn write<T>(folder: &Path, name: &str, records: &Records<'_, T>)
where
    T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let file = folder.join(format!("{name}.jsonl"));
    records.write(&format!("{name}.out"), |told| JsonLinesSink::new(file, told));
}

fn twenty_seconds() -> FixedWindows {
    FixedWindows::of(Duration::from_secs(20))
}

fn second(at: EventTime) -> i64 {
    at.as_micros() / 1_000_000
}

fn number(key: &Key) -> u64 {
    u64::from_be_bytes(key.as_bytes().try_into().unwrap_or_default())
}

fn pair(pair: Pair<&Entry, &Entry>) -> (Option<u32>, Option<u32>) {
    match pair {
        Pair::Both(a, b) => (Some(a.value), Some(b.value)),
        Pair::Left(a) => (Some(a.value), None),
        Pair::Right(b) => (None, Some(b.value)),
    }
}

/// Says it all.
pub(crate) fn build(folder: &Path) -> Result<Pipeline, PipelineError> {
    let flow = Flow::new("operators");
    let a = flow.read(source(&folder.join(A), &AS));
    let b = flow.read(source(&folder.join(B), &BS));
    joins(folder, &a, &b);
    panes(folder, &a, &b);
    others(folder, &a, &b);
    flow.build()
}

fn joins(folder: &Path, a: &Records<'_, Entry>, b: &Records<'_, Entry>) {
    let join = || a.key_as(|a| a.key).join(b.key_as(|b| b.key));
    let windows = || join().window(twenty_seconds());
    write(folder, "inner", &windows().inner("inner", |a, b| (a.value, b.value)));
    write(folder, "left", &windows().left("left", |a, b| (a.value, b.map(|b| b.value))));
    write(folder, "full", &windows().full("full", pair));
    let groups = windows().co_group("groups").map_with_key(|key, pane| {
        let (left, right) = pane.value;
        let sorted = |entries: Vec<Entry>| {
            let mut values: Vec<u32> = entries.into_iter().map(|entry| entry.value).collect();
            values.sort_unstable();
            values
        };
        (number(key), second(pane.window.start()), sorted(left), sorted(right))
    });
    write(folder, "groups", &groups);
    let seconds = Duration::from_secs;
    let between = join().between(Offset::before(seconds(5)), Offset::after(seconds(10)));
    write(folder, "between", &between.full("between", pair));
    let table = a.key_as(|a| a.key).join_table(b.key_as(|b| b.key).table());
    write(folder, "table", &table.left("table", |a, b| (a.value, b.map(|b| b.value))));
    let side = a.side_input(b.key_as(|b| b.key).table(), |a| (a.key + 1) % 7).copies(4);
    let side = side.join("side", |a, b| (a.value, b.map(|b| b.value)));
    write(folder, "side", &side.map_with_key(|key, (a, b)| (number(key), a, b)));
}

fn panes(folder: &Path, a: &Records<'_, Entry>, b: &Records<'_, Entry>) {
    let merged = a.merge(b).key_as(|entry| entry.key).window(twenty_seconds());
    let most = merged.reduce("most", |a, b| if a.value < b.value { b } else { a });
    write(folder, "most", &most.map(|pane| (pane.value.key, second(pane.window.start()), pane.value.value)));
    let early = a
        .key_as(|a| a.key)
        .window(twenty_seconds())
        .trigger(Trigger::after_watermark().early(Trigger::after_count(1)))
        .accumulation(Accumulation::Accumulating)
        .aggregate("early", Count::new());
    let last = early.suppress("final", Duration::ZERO);
    write(
        folder,
        "final",
        &last.map_with_key(|key, pane| (number(key), second(pane.window.start()), pane.value)),
    );
}

fn others(folder: &Path, a: &Records<'_, Entry>, b: &Records<'_, Entry>) {
    let ones = b.map(|b| (b.key, 1u64)).key_as(|(key, _)| *key);
    write(folder, "running", &ones.reduce("running", |(key, a), (_, b)| (key, a + b)));
    let pairs = b.key_as(|b| b.key).scan("pairs", |before: &mut Option<u32>, b| {
        before.replace(b.value).map(|before| (b.key, before, b.value))
    });
    write(folder, "pairs", &pairs);
    let (even, odd) = a.branch(|a| a.value.is_multiple_of(2));
    write(folder, "even", &even);
    write(folder, "odd", &odd);
    let (thirds, wrong) = a.side_output(|a| {
        let wrong = (a.value, "not a multiple of three".to_owned());
        if a.value.is_multiple_of(3) { Ok(a.value / 3) } else { Err(wrong) }
    });
    write(folder, "thirds", &thirds);
    write(folder, "wrong", &wrong);
    let repeated = a.flat_map(|a| vec![a; 1 + a.value as usize % 3]);
    let once = repeated.key_as(|a| u64::from(a.value)).dedup("once", Dedup::within(Duration::from_secs(60)));
    write(folder, "once", &once);
    let limited = a.key_as(|a| a.key).rate_limit("limited", Rate::per_second(500));
    write(folder, "limited", &limited.map(|a| a.value));
    let asked = b.key_as(|b| b.key).enrich("asked", Enrich::concurrency(8), async |b| {
        tokio::task::yield_now().await;
        Ok((b.value, b.value * 2))
    });
    write(folder, "asked", &asked);
    let by_hand = b.key_as(|b| b.key).process("by-hand", Number);
    write(folder, "by-hand", &by_hand.stream(&NUMBERED).map(|(key, number)| (number, key)));
}
