//! What the main example says to bad input: a clear message and a failure, no panic, and nothing lost (I10).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test: a panic is its failure"
)]

use flate2::Compression;
use flate2::write::GzEncoder;
use pelton::local::LocalOptions;
use pelton::{EventTime, JsonLinesSink, JsonLinesSource, Pipeline, Stream};
use pelton_tests::flight_runs::{Run, example_binary, january};
use pelton_tests::independent::{differences, expected_hourly, flights_in};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::LazyLock;

static EXAMPLE: LazyLock<PathBuf> = LazyLock::new(|| example_binary().unwrap());

static WORDS: Stream<String> = Stream::new("words");

const HEADER: &str = "dep_time,dep_delay,origin,minute,time_hour";

fn run(input: &Path, output: &Path) -> Run {
    Run { binary: EXAMPLE.clone(), input: input.to_owned(), output: output.to_owned(), more: Vec::new() }
}

/// Runs it; it must fail and say all of `words` on stderr.
fn refused(run: &Run, words: &[&str]) -> String {
    let output = run.to_its_end().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "it went well, and said {said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in:\n{said}");
    }
    said
}

#[test]
fn a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    refused(&run(&dir.path().join("none.csv.gz"), &dir.path().join("out")), &["none.csv.gz", "no such file"]);
}

#[test]
fn a_directory_is_no_input() {
    let dir = tempfile::tempdir().unwrap();
    refused(&run(dir.path(), &dir.path().join("out")), &["is a directory"]);
}

#[test]
fn missing_columns_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("flights.csv");
    fs::write(&input, "origin,dest\nJFK,MIA\n").unwrap();
    refused(&run(&input, &dir.path().join("out")), &["time_hour", "minute", "dep_time", "dep_delay"]);
}

#[test]
fn bad_rows_are_dead_letters_with_their_lines_and_the_others_count() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("flights.csv");
    let rows = [
        HEADER,
        "517,2,EWR,15,2013-01-01T10:00:00Z",
        "533,soon,LGA,29,2013-01-01T10:00:00Z",
        "542,2,JFK,99,2013-01-01T10:00:00Z",
        "544,-1,JFK",
        "554,-6,,0,2013-01-01T11:00:00Z",
        "554,-4,EWR,58,yesterday",
        "NA,NA,EWR,30,2013-01-01T10:00:00Z",
    ];
    fs::write(&input, rows.join("\n")).unwrap();
    let run = run(&input, &dir.path().join("out"));
    let summary = run.to_success().unwrap();
    assert!(summary.contains("dead-lettered"), "{summary}");
    let hourly = run.lines("hourly.jsonl").unwrap();
    let expected = r#"{"origin":"EWR","hour":"2013-01-01T10:00:00Z","departed":1,"cancelled":1,"delay_minutes_mean":2.0}"#;
    assert_eq!(hourly, [expected]);
    let letters = run.lines("dead-letters.jsonl").unwrap();
    assert_eq!(letters.len(), 5, "{letters:#?}");
    for (line, word) in [(3, "dep_delay"), (4, "minute"), (5, "fields"), (6, "origin"), (7, "yesterday")] {
        let place = format!("line {line}");
        let letter = letters.iter().find(|letter| letter.contains(&place));
        assert!(letter.is_some_and(|letter| letter.contains(word)), "{place} with {word}: {letters:#?}");
    }
}

#[test]
fn a_gzip_that_breaks_off_is_told_and_read_on_once_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("flights.csv.gz");
    let whole = fs::read(january()).unwrap();
    fs::write(&input, &whole[..whole.len() / 2]).unwrap();
    let run = run(&input, &dir.path().join("out"));
    refused(&run, &["flights.csv.gz, line ", "the gzip stream breaks off"]);
    let before = run.line_set("hourly.jsonl").unwrap();

    fs::write(&input, &whole).unwrap();
    run.to_success().unwrap();
    let expected = expected_hourly(&january()).unwrap();
    assert_eq!(differences(&expected.lines, &run.lines("hourly.jsonl").unwrap()), [] as [&str; 0]);
    assert!(before.is_subset(&expected.lines));
}

#[test]
fn interrupted_it_stops_cleanly_and_goes_on_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut slow = run(&january(), &dir.path().join("out"));
    slow.more = vec!["--rate".into(), "2000".into()];
    let mut running = Running::start(&slow);
    running.wait_for("records");
    assert_eq!(running.interrupt(), Some(130));
    let summary = run(&january(), &slow.output).to_success().unwrap();
    assert!(summary.contains("Continued after a clean stop"), "{summary}");
    assert_eq!(flights_in(&slow.lines("hourly.jsonl").unwrap()).unwrap(), 27_004);
}

#[test]
fn a_file_that_is_only_named_gzip_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("flights.csv.gz");
    fs::write(&input, HEADER).unwrap();
    refused(&run(&input, &dir.path().join("out")), &["not gzip"]);
}

#[test]
fn an_output_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    refused(&run(&january(), &file.join("out")), &["file/out"]);
    refused(&run(&january(), &file), &["file"]);
    assert_eq!(fs::read(&file).unwrap(), b"");
}

#[test]
fn another_input_is_not_mixed_into_the_outputs_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first.csv.gz"), dir.path().join("second.csv.gz"));
    for path in [&first, &second] {
        let mut gzip = GzEncoder::new(fs::File::create(path).unwrap(), Compression::fast());
        write!(gzip, "{HEADER}\n517,2,EWR,15,2013-01-01T10:00:00Z\n").unwrap();
        gzip.finish().unwrap();
    }
    let output = dir.path().join("out");
    run(&first, &output).to_success().unwrap();
    refused(&run(&second, &output), &["first.csv.gz", "--output"]);
    run(&first, &output).to_success().unwrap();
    assert_eq!(flights_in(&run(&first, &output).lines("hourly.jsonl").unwrap()).unwrap(), 1);
}

#[test]
fn a_directory_with_other_things_in_it_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let (store, output) = (dir.path().join("store"), dir.path().join("out"));
    fs::create_dir(&store).unwrap();
    fs::write(store.join("letter.txt"), "dear").unwrap();
    let mut run = run(&january(), &output);
    run.more = vec!["--store".into(), format!("embedded:{}", store.display())];
    refused(&run, &["is no Pelton store"]);
    assert_eq!(fs::read_to_string(store.join("letter.txt")).unwrap(), "dear");
}

#[test]
fn a_store_of_a_newer_program_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(&january(), dir.path());
    run.to_success().unwrap();
    let marker = dir.path().join("store/PELTON");
    let newer = fs::read_to_string(&marker).unwrap().replace("format 1", "format 9");
    fs::write(&marker, &newer).unwrap();
    refused(&run, &["format 9", "format 1"]);
    assert_eq!(fs::read_to_string(&marker).unwrap(), newer);
}

#[tokio::test]
async fn a_store_of_another_pipeline_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("words.jsonl");
    fs::write(&input, "\"one\"\n").unwrap();
    let source = JsonLinesSource::<String>::new(&input, &WORDS)
        .key(|word| word.as_str().into())
        .event_time(|_| EventTime::from_secs(0));
    let words = Pipeline::builder("words")
        .with(source)
        .with(JsonLinesSink::new(dir.path().join("copy.jsonl"), &WORDS))
        .build()
        .unwrap();
    let store = format!("embedded:{}", dir.path().join("store").display());
    pelton::local::run(words, LocalOptions::new(&store)).await.unwrap();
    let mut run = run(&january(), &dir.path().join("out"));
    run.more = vec!["--store".into(), store];
    refused(&run, &["words", "flight-delays"]);
    assert_eq!(fs::read_to_string(dir.path().join("copy.jsonl")).unwrap(), "\"one\"\n");
}

#[test]
fn a_store_url_that_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run(&january(), &dir.path().join("out"));
    run.more = vec!["--store".into(), "floppy:a".into()];
    refused(&run, &["floppy:a"]);
}

/// A running example that is killed when the test ends.
struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Running {
    fn start(run: &Run) -> Self {
        let mut child = run.command().stdout(Stdio::null()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr }
    }

    /// Reads what it says until `words` are in it.
    fn wait_for(&mut self, words: &str) {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert!(self.stderr.read_line(&mut line).unwrap() > 0, "it ended and never said {words:?}");
        }
    }

    /// Interrupts it, as Ctrl-C does, and gives its exit code.
    fn interrupt(&mut self) -> Option<i32> {
        let sent = Command::new("kill").arg("-INT").arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_store_that_another_process_holds_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut slow = run(&january(), &dir.path().join("out"));
    slow.more = vec!["--rate".into(), "2000".into()];
    let mut running = Running::start(&slow);
    running.wait_for("records");
    refused(&slow, &["in use by another process"]);
    drop(running);
    run(&january(), &slow.output).to_success().unwrap();
    assert_eq!(flights_in(&slow.lines("hourly.jsonl").unwrap()).unwrap(), 27_004);
}
