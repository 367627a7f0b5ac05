//! Sources in a running pipeline.

use super::file::testing::{Files, gzip};
use super::*;
use crate::engine::worker::{Engine, EngineOptions};
use crate::{
    Computation, Context, Declaration, EventTime, Failure, Input, IntoSteps, Key, Pipeline, Step, Stream,
    Value,
};
use pelton_statestore::StoreHandle;
use pelton_statestore::memory::Memory;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    key: String,
    number: u64,
}

static ROWS: Stream<Row> = Stream::new("rows");
static SEEN: Value<Vec<u64>> = Value::new("seen");
const DISORDER: Duration = Duration::from_secs(10);

/// The event time of a row: up to nine seconds out of order.
fn at(row: &Row) -> EventTime {
    EventTime::from_secs(i64::try_from(row.number - row.number % 10 + (7 * row.number) % 10).unwrap())
}

/// Keeps the numbers of each key, and shows them.
#[derive(Clone, Default)]
struct Keep {
    seen: Arc<Mutex<BTreeMap<Key, Vec<u64>>>>,
}

impl Keep {
    fn count(&self) -> usize {
        self.seen.lock().unwrap().values().map(Vec::len).sum()
    }

    /// Each of the numbers below `count`, once, and nothing else.
    fn is_complete(&self, count: u64) -> bool {
        let mut numbers: Vec<u64> = self.seen.lock().unwrap().values().flatten().copied().collect();
        numbers.sort_unstable();
        numbers.into_iter().eq(0..count)
    }
}

impl Computation for Keep {
    type Input = Row;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&SEEN);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Row>) -> Result<(), Failure> {
        assert!(
            cx.input_watermark() <= input.event_time,
            "I7: {} at {}",
            input.event_time,
            cx.input_watermark()
        );
        let mut seen = SEEN.get(cx).await?.unwrap_or_default();
        seen.push(input.value.number);
        SEEN.set(cx, &seen)?;
        let mut shown = self.seen.lock().unwrap();
        // A call of an aborted engine may still be at work: it knows less.
        if shown.get(&input.key).is_none_or(|before| before.len() < seen.len()) {
            shown.insert(input.key, seen);
        }
        Ok(())
    }
}

fn csv(numbers: std::ops::Range<u64>) -> String {
    "number,other,key\n".to_owned() + &numbers.map(|n| format!("{n},x,k{}\n", n % 7)).collect::<String>()
}

fn source(paths: impl Into<Paths>) -> CsvSource<Row> {
    CsvSource::<Row>::new(paths, &ROWS).key(|row| row.key.as_str().into()).event_time(at).disorder(DISORDER)
}

async fn start(store: &StoreHandle, source: impl IntoSteps, keep: &Keep) -> Engine {
    let pipeline = Pipeline::builder("test").with(source).with(Step::new("keep", keep.clone()).reads(&ROWS));
    Engine::start(pipeline.build().unwrap(), store.clone(), EngineOptions::default()).await.unwrap()
}

async fn finish(engine: &Engine) {
    let finished = tokio::time::timeout(Duration::from_secs(60), engine.finished()).await;
    finished.unwrap_or_else(|_| panic!("it does not end: {:#?}", engine.status())).unwrap();
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_every_file_arrives_once_through_crashes() {
    let files = Files::new();
    let paths: Vec<PathBuf> = vec![
        files.put("a.csv", csv(0..5000)),
        files.put("b.csv.gz", gzip(csv(5000..8000).as_bytes())),
        files.put("c.csv", csv(8000..8001) + "no number,x,k\nfew\n"),
    ];
    let (store, keep): (StoreHandle, _) = (Arc::new(Memory::new()), Keep::default());
    for round in 0..12u64 {
        let engine = start(&store, source(paths.clone()).chunk_max(50, 100_000), &keep).await;
        tokio::time::sleep(Duration::from_millis(3 + 5 * round)).await;
        engine.abort();
    }
    let engine = start(&store, source(paths).chunk_max(50, 100_000), &keep).await;
    finish(&engine).await;
    assert!(keep.is_complete(8001), "I12: {} rows", keep.count());
    // An interval that has not been taken over yet says nothing of its totals.
    let totals = || engine.status().computation("rows.read").unwrap().totals;
    until("the totals", || (totals().dead_lettered, totals().productions) == (2, 8001)).await;
    let order = keep.seen.lock().unwrap()[&Key::from("k3")].clone();
    let of_first: Vec<u64> = order.into_iter().filter(|number| *number < 5000).collect();
    assert!(of_first.is_sorted(), "I9: the rows of one file and key keep their order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_gzip_stops_the_pipeline_and_holds_the_watermark_until_the_whole_file_is_there() {
    let files = Files::new();
    let whole = gzip(csv(0..20_000).as_bytes());
    let path = files.put("a.csv.gz", &whole[..whole.len() / 2]);
    let (store, keep): (StoreHandle, _) = (Arc::new(Memory::new()), Keep::default());
    for _ in 0..2 {
        let engine = start(&store, source(&path), &keep).await;
        let failed = engine.failed().await.to_string();
        assert!(failed.contains("a.csv.gz, line") && failed.contains("breaks off"), "{failed}");
        let low_watermark = engine.status().computation("rows.read").unwrap().low_watermark;
        assert!(low_watermark < EventTime::from_secs(20_000), "I7: it is at {low_watermark}");
        engine.stop().await;
    }
    files.put("a.csv.gz", &whole);
    let engine = start(&store, source(&path), &keep).await;
    finish(&engine).await;
    assert!(keep.is_complete(20_000), "I12: {} rows", keep.count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_cannot_list_its_splits_holds_at_minus_infinity() {
    let files = Files::new();
    let path = files.path("late.csv");
    let (store, keep): (StoreHandle, _) = (Arc::new(Memory::new()), Keep::default());
    let engine = start(&store, source(&path), &keep).await;
    let failed = engine.failed().await.to_string();
    assert!(failed.contains("late.csv: no such file"), "{failed}");
    assert_eq!(engine.status().computation("keep").unwrap().low_watermark, EventTime::MIN, "I7");
    engine.stop().await;
    files.put("late.csv", csv(0..10));
    let engine = start(&store, source(&path), &keep).await;
    finish(&engine).await;
    assert_eq!(keep.count(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_that_is_too_much_for_a_commit_is_cut_smaller_and_a_row_that_is_too_large_is_rejected() {
    static WIDE: Stream<BTreeMap<String, String>> = Stream::new("wide");
    static COUNT: Value<u64> = Value::new("count");
    #[derive(Clone)]
    struct Count(Arc<Mutex<u64>>);
    impl Computation for Count {
        type Input = BTreeMap<String, String>;
        fn declare(&self, declaration: &mut Declaration) {
            declaration.cell(&COUNT);
        }
        async fn process(&mut self, cx: &mut Context<'_>, _: Input<Self::Input>) -> Result<(), Failure> {
            let count = COUNT.get(cx).await?.unwrap_or(0) + 1;
            *self.0.lock().unwrap() = count;
            COUNT.set(cx, &count)
        }
    }
    let files = Files::new();
    // A row of commas becomes a map in which every column has its name: many times as much.
    let columns: Vec<String> =
        (0..60).map(|column| format!("a column with a long name, number {column}")).collect();
    let header = columns.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(",");
    let row = ",".repeat(59) + "\n";
    let large = "x".repeat(150_000) + &row;
    let path = files.put("a.csv", format!("{header}\n{}{large}{}", row.repeat(3000), row.repeat(10)));
    let source = CsvSource::new(&path, &WIDE).key(|_| "all".into()).event_time(|_| EventTime::from_secs(0));
    let (store, seen): (StoreHandle, _) = (Arc::new(Memory::new()), Arc::new(Mutex::new(0)));
    let source = source.row_bytes_max(200_000).chunk_max(3000, 1 << 20);
    let pipeline =
        Pipeline::builder("test").with(source).with(Step::new("count", Count(seen.clone())).reads(&WIDE));
    let engine = Engine::start(pipeline.build().unwrap(), store, EngineOptions::default()).await.unwrap();
    finish(&engine).await;
    assert_eq!(*seen.lock().unwrap(), 3010);
    assert_eq!(engine.status().computation("wide.read").unwrap().totals.dead_lettered, 1, "I10");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_is_kept_from_the_first_row_on_and_after_a_restart() {
    let files = Files::new();
    let path = files.put("a.csv", csv(0..100_000));
    let (store, keep): (StoreHandle, _) = (Arc::new(Memory::new()), Keep::default());
    for restart in 1..=2 {
        let engine = start(&store, source(&path).rate(500.0), &keep).await;
        let before = keep.count();
        tokio::time::sleep(Duration::from_millis(1000)).await;
        let count = keep.count() - before;
        // The machine may be slow; too fast it must never be: a second, and what a pause is made up for.
        assert!((50..=800).contains(&count), "{count} rows in a second of run {restart}");
        engine.abort();
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}

/// Numbers without any file: what a source of a user's own looks like.
#[derive(Clone, Debug)]
struct Numbers;

struct NumbersFrom(u64);

impl SplitSource for Numbers {
    type Value = Row;
    type Split = u64;
    type Cursor = u64;
    type Reader = NumbersFrom;

    fn validate(&self) -> Result<(), SourceError> {
        Ok(())
    }

    async fn splits(&self) -> Result<Vec<(Key, u64)>, Failure> {
        Ok((0..3).map(|split| (Key::from(split), split * 1000)).collect())
    }

    async fn open(&self, split: &u64, from: Option<&u64>) -> Result<NumbersFrom, Failure> {
        Ok(NumbersFrom(from.copied().unwrap_or(*split)))
    }
}

impl SplitReader for NumbersFrom {
    type Value = Row;
    type Cursor = u64;

    async fn next_chunk(&mut self, request: ChunkRequest) -> Result<Chunk<Row, u64>, Failure> {
        let end = (self.0 / 1000 + 1) * 1000;
        let to = end.min(self.0 + u64::try_from(request.rows_max).unwrap());
        let record = |number| {
            let value = Row { key: format!("k{}", number % 5), number };
            SourceRecord { key: Key::from(value.key.as_str()), event_time: at(&value), value, origin: number }
        };
        let records = (self.0..to).map(record).collect();
        self.0 = to;
        let next = match to {
            to if to == end => Next::End,
            to if to % 50 == 0 => Next::Idle(Duration::from_millis(1)),
            _ => Next::More,
        };
        // The last chunk ends at a boundary of a thousand, so the cursor of an ended split is never read from.
        let watermark = EventTime::from_secs(i64::try_from(to).unwrap()).minus(DISORDER);
        Ok(Chunk { records, rejected: Vec::new(), cursor: to, watermark, next })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_of_a_users_own_is_read_split_by_split() {
    let (store, keep): (StoreHandle, _) = (Arc::new(Memory::new()), Keep::default());
    let options = SourceOptions { chunk_rows_max: 10, ..SourceOptions::named("numbers") };
    for _ in 0..4 {
        let engine = start(&store, Source::new(Numbers, &ROWS, options.clone()), &keep).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        engine.abort();
    }
    let engine = start(&store, Source::new(Numbers, &ROWS, options), &keep).await;
    finish(&engine).await;
    assert!(keep.is_complete(3000), "I12: {} rows, {:#?}", keep.count(), engine.status());
    assert_eq!(engine.status().computation("numbers.read").unwrap().low_watermark, EventTime::MAX);
}
