//! The windowed example end to end on real flights: the hours and the alerts of the hand-written one, line for line, and
//! sessions that equal an independent computation, also where the run is stopped and goes on (I8, I10, I12).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test: a panic is its failure")]

#[path = "../../computation/examples/flight_delays/alert.rs"]
mod alert;
#[path = "../../computation/examples/flight_delays/bucket.rs"]
mod bucket;
#[path = "../../computation/examples/flight_windows/days.rs"]
mod days;
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../computation/examples/flight_delays/hour.rs"]
mod hour;
#[path = "../../computation/examples/flight_windows/pipeline.rs"]
mod pipeline;
#[path = "../../computation/examples/flight_delays/usual.rs"]
mod usual;
#[path = "../../computation/examples/flight_delays/watch.rs"]
mod watch;

use pelton::local::{LocalOptions, Outcome, Progress, run_on};
use pelton::{Engine, EngineOptions};
use pelton_statestore::StoreHandle;
use pelton_tests::flight_runs::{Kills, Run, example_binary, january, kill_repeatedly, program};
use pelton_tests::independent::{differences, expected_hourly};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

/// The days of each aircraft, straight from the file. It shares no code with the engine.
fn expected_days() -> BTreeSet<String> {
    const GAP_S: i64 = 36_000;
    let file = std::fs::File::open(january()).unwrap();
    let mut reader = csv::Reader::from_reader(flate2::read::MultiGzDecoder::new(file));
    let columns = reader.headers().unwrap().clone();
    let at = |name: &str| columns.iter().position(|column| column == name).unwrap();
    let (tail, time, delay, hour, minute) =
        (at("tailnum"), at("dep_time"), at("dep_delay"), at("time_hour"), at("minute"));
    let mut flights = BTreeMap::<String, Vec<(i64, i32)>>::new();
    for row in reader.records() {
        let row = row.unwrap();
        if &row[tail] != "NA" && &row[time] != "NA" {
            let start = row[hour].parse::<jiff::Timestamp>().unwrap().as_second();
            let scheduled = start + row[minute].parse::<i64>().unwrap() * 60;
            flights.entry(row[tail].to_owned()).or_default().push((scheduled, row[delay].parse().unwrap()));
        }
    }
    let text = |second| jiff::Timestamp::from_second(second).unwrap().to_string();
    let mut days = BTreeSet::new();
    for (aircraft, mut flights) in flights {
        flights.sort_unstable();
        for day in flights.chunk_by(|a, b| b.0 - a.0 < GAP_S) {
            let (from, to) = (text(day[0].0), text(day[day.len() - 1].0));
            let most = day.iter().map(|flight| flight.1).max().unwrap();
            let count = day.len();
            days.insert(format!(
                r#"{{"aircraft":"{aircraft}","from":"{from}","to":"{to}","flights":{count},"delay_minutes_max":{most}}}"#
            ));
        }
    }
    days
}

/// The alerts of the hand-written example, each airport's in their order.
static ALERTS: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(|| {
    let output = tempfile::tempdir().unwrap();
    let (binary, more) = (example_binary().unwrap(), Vec::new());
    Run { binary, input: january(), output: output.path().to_owned(), more }.to_success().unwrap();
    by_airport(lines(&output.path().join("alerts.jsonl")))
});

fn by_airport(lines: Vec<String>) -> BTreeMap<String, Vec<String>> {
    let mut airports = BTreeMap::<String, Vec<String>>::new();
    for line in lines {
        let alert: serde_json::Value = serde_json::from_str(&line).unwrap();
        airports.entry(alert["origin"].as_str().unwrap().to_owned()).or_default().push(line);
    }
    airports
}

fn judge(output: &Path) {
    let expected = expected_hourly(&january()).unwrap();
    let none: [&str; 0] = [];
    assert_eq!(differences(&expected.lines, &lines(&output.join("hourly.jsonl"))), none);
    assert_eq!(ALERTS.len(), 3, "every airport has some: {:?}", *ALERTS);
    assert_eq!(by_airport(lines(&output.join("alerts.jsonl"))), *ALERTS);
    assert_eq!(differences(&expected_days(), &lines(&output.join("aircraft-days.jsonl"))), none);
}

async fn store(output: &Path) -> StoreHandle {
    pelton::store::open(&format!("embedded:{}", output.join("store").display())).await.unwrap()
}

async fn run_to_the_end(output: &Path, store: StoreHandle) {
    let options = LocalOptions { progress: Progress::Off, ..LocalOptions::new("") };
    let pipeline = pipeline::build(&january(), output, None).unwrap();
    assert_eq!(run_on(pipeline, store, options).await.unwrap().outcome, Outcome::Finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_and_alerts_are_those_of_the_hand_written_example_and_days_those_of_an_independent_computation()
{
    let output = tempfile::tempdir().unwrap();
    run_to_the_end(output.path(), store(output.path()).await).await;
    judge(output.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_that_are_dropped_in_the_middle_change_no_line() {
    let mut random = StdRng::seed_from_u64(pelton_tests::seed());
    let output = tempfile::tempdir().unwrap();
    let store = store(output.path()).await;
    for _ in 0..8 {
        let pipeline = pipeline::build(&january(), output.path(), None).unwrap();
        let engine = Engine::start(pipeline, store.clone(), EngineOptions::default()).await.unwrap();
        engine.started().await.unwrap();
        tokio::time::sleep(Duration::from_millis(random.random_range(1..120))).await;
        engine.abort();
    }
    run_to_the_end(output.path(), store).await;
    judge(output.path());
}

#[test]
fn processes_killed_at_random_moments_change_no_line_of_windows_and_sessions() {
    let output = tempfile::tempdir().unwrap();
    let binary = program("examples/flight_windows", &["--example", "flight_windows"]).unwrap();
    let more = vec!["--rate".to_owned(), "6000".to_owned()];
    let run = Run { binary, input: january(), output: output.path().to_owned(), more };
    let kills = Kills { count: 8, over: Duration::from_millis(3_000), seed: pelton_tests::seed() };
    kill_repeatedly(&run, kills, &["hourly.jsonl", "alerts.jsonl", "aircraft-days.jsonl"], |kill| {
        println!("{kill:?}")
    })
    .unwrap();
    judge(output.path());
}

/// The lines of code of a file of the examples, without comments and tests.
fn lines_of_code(file: &str) -> usize {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../computation/examples");
    let text = std::fs::read_to_string(examples.join(file)).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap();
    code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

#[test]
fn the_book_says_how_much_shorter_the_flow_is_than_the_same_by_hand() {
    let by_hand =
        ["hourly", "alerts", "pipeline"].map(|file| lines_of_code(&format!("flight_delays/{file}.rs")));
    let (by_hand, flow) = (by_hand.iter().sum::<usize>(), lines_of_code("flight_windows/pipeline.rs"));
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/windows.md");
    let book = std::fs::read_to_string(book).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [format!("{flow} lines of code"), format!("have {by_hand} without it")] {
        assert!(book.contains(&words), "windows.md does not say {words:?}");
    }
}
