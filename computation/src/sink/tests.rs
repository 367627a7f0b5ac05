//! The file sink in a running pipeline, fed by the file source.

use super::*;
use crate::engine::worker::{Engine, EngineOptions};
use crate::source::{CsvSource, JsonLinesSource};
use crate::{EventTime, Pipeline, Stream};
use pelton_statestore::StoreHandle;
use pelton_statestore::memory::Memory;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    number: u64,
    text: String,
}

static ROWS: Stream<Row> = Stream::new("rows");

struct World {
    directory: tempfile::TempDir,
    store: StoreHandle,
}

impl World {
    fn new(rows: u64) -> Self {
        let world = Self { directory: tempfile::tempdir().unwrap(), store: Arc::new(Memory::new()) };
        let row = |n: u64| format!("{n},{}\n", "x".repeat(usize::try_from(n * 37 % 211).unwrap()));
        std::fs::write(
            world.path("in.csv"),
            "number,text\n".to_owned() + &(0..rows).map(row).collect::<String>(),
        )
        .unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn source(&self) -> CsvSource<Row> {
        let source = CsvSource::<Row>::new(self.path("in.csv"), &ROWS).key(|row| (row.number % 50).into());
        source
            .event_time(|row| EventTime::from_micros(i64::try_from(row.number).unwrap()))
            .chunk_max(97, 1 << 20)
    }

    fn sink(&self) -> JsonLinesSink<Row, crate::codec::Postcard> {
        JsonLinesSink::new(self.path("out.jsonl"), &ROWS)
    }

    async fn start(&self, sink: JsonLinesSink<Row, crate::codec::Postcard>) -> Engine {
        let bad = JsonLinesSink::new(self.path("bad.jsonl"), &self.source().dead_letters()).named("bad");
        let pipeline = Pipeline::builder("test").with(self.source()).with(sink).with(bad).build().unwrap();
        Engine::start(pipeline, self.store.clone(), EngineOptions::default()).await.unwrap()
    }

    fn written(&self) -> String {
        std::fs::read_to_string(self.path("out.jsonl")).unwrap_or_default()
    }
}

async fn finish(engine: &Engine) {
    let finished = tokio::time::timeout(Duration::from_secs(100), engine.finished()).await;
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

fn numbers(text: &str) -> Vec<u64> {
    text.lines().map(|line| serde_json::from_str::<Row>(line).unwrap().number).collect()
}

/// Whether `text` has a line for each of the numbers below `count`, and no other.
fn is_complete(text: &str, count: u64) -> bool {
    let mut numbers = numbers(text);
    numbers.sort_unstable();
    numbers.into_iter().eq(0..count)
}

/// What of `text` ends with a line break.
fn whole_lines(text: &str) -> &str {
    text.rfind('\n').map_or("", |end| &text[..=end])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_is_one_line_through_crashes_and_no_line_ever_changes() {
    const ROWS: u64 = 6000;
    let world = World::new(ROWS);
    let mut seen = String::new();
    let mut look = |now: String| {
        let lines = whole_lines(&now);
        assert!(lines.starts_with(&seen), "a line changed");
        numbers(lines);
        seen = lines.to_owned();
    };
    for round in 0..15u64 {
        let engine = world.start(world.sink()).await;
        for _ in 0..=round {
            tokio::time::sleep(Duration::from_millis(4)).await;
            look(world.written());
        }
        engine.abort();
        look(world.written());
    }
    let engine = world.start(world.sink()).await;
    finish(&engine).await;
    look(world.written());
    assert!(is_complete(&seen, ROWS), "I12");
    for key in 0..50 {
        let of_key: Vec<u64> = numbers(&seen).into_iter().filter(|number| number % 50 == key).collect();
        assert!(of_key.is_sorted(), "I9: the lines of key {key} are in order");
    }
    assert_eq!(engine.status().computation("rows.write").unwrap().low_watermark, EventTime::MAX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_there_already_is_kept_unless_it_may_be_overwritten() {
    let world = World::new(100);
    let precious = "precious\n".repeat(2000);
    std::fs::write(world.path("out.jsonl"), &precious).unwrap();
    let engine = world.start(world.sink()).await;
    let failed = engine.failed().await.to_string();
    assert!(failed.contains("out.jsonl has 18000 bytes already"), "{failed}");
    engine.stop().await;
    assert_eq!(world.written(), precious);
    for _ in 0..2 {
        let engine = world.start(world.sink().overwrite()).await;
        finish(&engine).await;
        assert!(is_complete(&world.written(), 100), "it is overwritten once, and not at every start");
        engine.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_taken_away_stops_the_pipeline_and_nothing_is_lost() {
    const ROWS: u64 = 20_000;
    let world = World::new(ROWS);
    let engine = world.start(world.sink()).await;
    until("some lines", || world.written().len() > 100_000).await;
    std::fs::rename(world.path("out.jsonl"), world.path("away.jsonl")).unwrap();
    let failed = engine.failed().await.to_string();
    assert!(failed.contains("out.jsonl is gone"), "{failed}");
    engine.stop().await;
    assert!(!world.path("out.jsonl").exists());
    std::fs::rename(world.path("away.jsonl"), world.path("out.jsonl")).unwrap();
    let engine = world.start(world.sink()).await;
    finish(&engine).await;
    assert!(is_complete(&world.written(), ROWS), "I12");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_cannot_be_written_is_waited_for_and_no_line_is_given_up() {
    const ROWS: u64 = 20_000;
    let world = World::new(ROWS);
    let directory = world.path("out");
    let sink = JsonLinesSink::new(directory.join("out.jsonl"), &super::tests::ROWS);
    let engine = world.start(sink).await;
    until("the failure", || engine.status().computation("rows.write").unwrap().failing_keys == 1).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let status = engine.status();
    let write = status.computation("rows.write").unwrap();
    assert_eq!(
        (write.parked, write.totals.dead_lettered),
        (0, 0),
        "its senders wait, and no record is parked"
    );
    std::fs::create_dir(&directory).unwrap();
    finish(&engine).await;
    assert!(is_complete(&std::fs::read_to_string(directory.join("out.jsonl")).unwrap(), ROWS), "I12");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_none_are_lines_of_the_dead_letter_file() {
    let world = World::new(10);
    let rows = std::fs::read_to_string(world.path("in.csv")).unwrap();
    std::fs::write(world.path("in.csv"), rows + "x,\"a\"\"b\"\n5\n").unwrap();
    let engine = world.start(world.sink()).await;
    finish(&engine).await;
    let letters = std::fs::read_to_string(world.path("bad.jsonl")).unwrap();
    let letters: Vec<crate::DeadLetter> =
        letters.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reasons: BTreeSet<&str> =
        letters.iter().filter_map(|letter| letter.error.split(", ").nth(1)).collect();
    assert_eq!(
        reasons,
        BTreeSet::from([
            "line 12: column \"number\" is \"x\": invalid digit found in string",
            "line 13: it has 1 fields"
        ])
    );
    assert!(letters.iter().any(|letter| letter.value == "x,\"a\"\"b\""), "{letters:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_sink_wrote_the_source_can_read() {
    let world = World::new(500);
    let engine = world.start(world.sink()).await;
    finish(&engine).await;
    engine.stop().await;
    let path: &Path = &world.path("out.jsonl");
    let source = JsonLinesSource::<Row>::new(path, &ROWS).key(|row| row.number.into());
    let source = source.event_time(|row| EventTime::from_micros(i64::try_from(row.number).unwrap()));
    let copy = JsonLinesSink::new(world.path("copy.jsonl"), &ROWS).named("copy");
    let pipeline = Pipeline::builder("copy").with(source).with(copy).build().unwrap();
    let engine = Engine::start(pipeline, world.store.clone(), EngineOptions::default()).await.unwrap();
    finish(&engine).await;
    let copied = std::fs::read_to_string(world.path("copy.jsonl")).unwrap();
    assert!(is_complete(&copied, 500));
}
