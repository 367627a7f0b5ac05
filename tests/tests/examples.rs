//! The small examples end to end on real data, each against a computation that shares no code with the engine, also
//! where the run is stopped and goes on (I8, I10, I12).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test: a panic is its failure")]
#![allow(clippy::duplicate_mod, reason = "each example has the common part, as it has as a program")]

#[allow(dead_code, reason = "its main is not for here")]
#[path = "../../computation/examples/busiest_airports.rs"]
mod busiest_airports;
#[allow(dead_code, reason = "its main is not for here")]
#[path = "../../computation/examples/delays_by_weather.rs"]
mod delays_by_weather;
#[allow(dead_code, reason = "its main is not for here")]
#[path = "../../computation/examples/delays_in_a_row.rs"]
mod delays_in_a_row;
#[allow(dead_code, reason = "its main is not for here")]
#[path = "../../computation/examples/word_count.rs"]
mod word_count;

use pelton::local::{LocalOptions, Outcome, Progress, run_on};
use pelton::{Engine, EngineOptions, Pipeline};
use pelton_tests::flight_runs::january;
use pelton_tests::independent::differences;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// Rows of a file of data, by column.
fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let file = std::fs::File::open(path).unwrap();
    let mut reader = csv::Reader::from_reader(flate2::read::MultiGzDecoder::new(file));
    reader.deserialize().map(Result::unwrap).collect()
}

fn scheduled(row: &BTreeMap<String, String>) -> i64 {
    let hour = row["time_hour"].parse::<jiff::Timestamp>().unwrap().as_second();
    hour + row["minute"].parse::<i64>().unwrap() * 60
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

/// Runs to the end, after the engine was dropped `drops` times on the way.
async fn run(output: &Path, drops: usize, build: impl Fn() -> Pipeline) {
    let mut random = StdRng::seed_from_u64(pelton_tests::seed());
    let store = pelton::store::open(&format!("embedded:{}", output.join("store").display())).await.unwrap();
    for _ in 0..drops {
        let engine = Engine::start(build(), store.clone(), EngineOptions::default()).await.unwrap();
        engine.started().await.unwrap();
        tokio::time::sleep(Duration::from_millis(random.random_range(1..150))).await;
        engine.abort();
    }
    let options = LocalOptions { progress: Progress::Off, ..LocalOptions::new("") };
    assert_eq!(run_on(build(), store, options).await.unwrap().outcome, Outcome::Finished);
}

/// Rows of three late departures of each aircraft, straight from the file.
fn expected_rows() -> BTreeSet<String> {
    let mut flights = BTreeMap::<String, Vec<(i64, u64, i64)>>::new();
    for row in rows(&january()) {
        if row["tailnum"] != "NA" && row["dep_time"] != "NA" {
            let flight = (scheduled(&row), row["flight"].parse().unwrap(), row["dep_delay"].parse().unwrap());
            flights.entry(row["tailnum"].clone()).or_default().push(flight);
        }
    }
    let text = |second| jiff::Timestamp::from_second(second).unwrap().to_string();
    let mut expected = BTreeSet::new();
    for (aircraft, mut flights) in flights {
        flights.sort_unstable();
        let mut rest = flights.as_slice();
        while let [a, b, c, ..] = rest {
            if [a, b, c].iter().all(|flight| flight.2 >= 60) {
                let (from, to) = (text(a.0), text(c.0));
                expected.insert(format!(
                    r#"{{"aircraft":"{aircraft}","from":"{from}","to":"{to}","delays":[{},{},{}]}}"#,
                    a.2, b.2, c.2
                ));
                rest = &rest[3..];
            } else {
                rest = &rest[1..];
            }
        }
    }
    assert!(expected.len() > 20, "{}", expected.len());
    expected
}

#[tokio::test(flavor = "multi_thread")]
async fn delays_in_a_row_are_those_of_an_independent_computation_through_crashes() {
    for drops in [0, 6] {
        let output = tempfile::tempdir().unwrap();
        let arguments = delays_in_a_row::common::Arguments::new(output.path());
        run(output.path(), drops, || delays_in_a_row::build(&arguments).unwrap()).await;
        let found = lines(&output.path().join("rows.jsonl"));
        assert_eq!(differences(&expected_rows(), &found), [] as [&str; 0]);
    }
}

/// What is said in the scene: the second, the speaker and the words.
fn scene() -> Vec<(i64, String, Vec<String>)> {
    let text = std::fs::read_to_string(january().with_file_name("hamlet.jsonl")).unwrap();
    let said = text.lines().map(|line| serde_json::from_str::<(i64, String, String)>(line).unwrap());
    let words = |line: String| {
        let only = line.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric() && c != '\'', " ");
        only.split_whitespace().map(str::to_owned).collect()
    };
    said.map(|(second, speaker, line)| (second, speaker, words(line))).collect()
}

fn time(second: i64) -> String {
    jiff::Timestamp::from_second(second).unwrap().to_string()
}

/// How often each word is said in each minute.
fn expected_words() -> BTreeSet<String> {
    let mut counts = BTreeMap::<(i64, String), u64>::new();
    for (second, _, words) in scene() {
        words.into_iter().for_each(|word| *counts.entry((second / 60 * 60, word)).or_default() += 1);
    }
    counts.into_iter().map(|((minute, word), n)| format!(r#"["{}","{word}",{n}]"#, time(minute))).collect()
}

/// How many words each speaker says without twenty seconds between two lines.
fn expected_turns() -> BTreeSet<(String, String, String, u64)> {
    let mut speakers = BTreeMap::<String, BTreeMap<i64, u64>>::new();
    for (second, speaker, words) in scene() {
        *speakers.entry(speaker).or_default().entry(second).or_default() += words.len() as u64;
    }
    let mut turns = BTreeSet::new();
    for (speaker, lines) in speakers {
        let lines: Vec<(i64, u64)> = lines.into_iter().collect();
        for turn in lines.chunk_by(|a, b| b.0 - a.0 < 20) {
            let words = turn.iter().map(|(_, words)| words).sum();
            turns.insert((speaker.clone(), time(turn[0].0), time(turn[turn.len() - 1].0 + 20), words));
        }
    }
    turns
}

#[tokio::test(flavor = "multi_thread")]
async fn words_and_turns_are_those_of_a_plain_count_through_crashes() {
    for drops in [0, 6] {
        let output = tempfile::tempdir().unwrap();
        let arguments = word_count::common::Arguments::new(output.path());
        run(output.path(), drops, || word_count::build(&arguments).unwrap()).await;
        let found = lines(&output.path().join("minutes.jsonl"));
        assert_eq!(differences(&expected_words(), &found), [] as [&str; 0]);
        // What has been told and not taken back.
        let (mut turns, mut merged) = (BTreeSet::new(), 0);
        for line in lines(&output.path().join("turns.jsonl")) {
            let (speaker, from, to, sign, words): (String, String, String, String, u64) =
                serde_json::from_str(&line).unwrap();
            let turn = (speaker, from, to, words);
            let is_new = if sign == "taken back" { turns.remove(&turn) } else { turns.insert(turn) };
            assert!(is_new, "{line}");
            merged += u32::from(sign == "taken back");
        }
        assert_eq!(turns, expected_turns());
        assert!(merged > 0, "no turn was ever taken back");
    }
}

#[test]
fn the_book_shows_the_program_as_it_is() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |file: &str| std::fs::read_to_string(repository.join(file)).unwrap();
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let book = read("docs/src/windows-by-example.md");
    let (_, shown) = book.split_once("```rust,ignore\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let program = plain(&read("computation/examples/word_count.rs"));
    for part in shown.split("\n\n") {
        assert!(program.contains(&plain(part)), "the program has no\n{part}");
    }
}

/// Of each hour, the five airports most flights go to.
fn expected_busiest() -> BTreeSet<String> {
    let mut hours = BTreeMap::<String, BTreeMap<String, i64>>::new();
    for row in rows(&january()) {
        let count = hours.entry(row["time_hour"].clone()).or_default().entry(row["dest"].clone());
        *count.or_default() += 1;
    }
    let top = |(hour, counts): (String, BTreeMap<String, i64>)| {
        let mut all: Vec<(i64, String)> = counts.into_iter().map(|(airport, n)| (-n, airport)).collect();
        all.sort_unstable();
        let told = all.iter().take(5).map(|(n, airport)| format!(r#"[{},"{airport}"]"#, -n));
        let told = told.collect::<Vec<_>>().join(",");
        format!(r#"{{"hour":"{hour}","timing":"on_time","airports":[{told}]}}"#)
    };
    hours.into_iter().map(top).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_word_on_busy_airports_is_that_of_an_independent_computation_through_crashes() {
    for drops in [0, 6] {
        let output = tempfile::tempdir().unwrap();
        let arguments = busiest_airports::common::Arguments::new(output.path());
        run(output.path(), drops, || busiest_airports::build(&arguments).unwrap()).await;
        let (last, early): (Vec<String>, Vec<String>) = lines(&output.path().join("busiest.jsonl"))
            .into_iter()
            .partition(|line| line.contains(r#""timing":"on_time""#));
        assert_eq!(differences(&expected_busiest(), &last), [] as [&str; 0]);
        assert!(!early.is_empty() && early.iter().all(|line| line.contains(r#""timing":"early""#)));
    }
}

/// Flights, cancellations and delays by how far one could see.
fn expected_views() -> BTreeSet<String> {
    let weather = january().with_file_name("weather-2013-01.csv.gz");
    let mut views = BTreeMap::<(String, String), Option<f64>>::new();
    for row in rows(&weather) {
        views.insert((row["origin"].clone(), row["time_hour"].clone()), row["visib"].parse().ok());
    }
    let mut sums = BTreeMap::<&str, (u64, u64, i64)>::new();
    for row in rows(&january()) {
        let miles = views.get(&(row["origin"].clone(), row["time_hour"].clone())).copied().flatten();
        let view = match miles {
            None => "unknown",
            Some(miles) if miles >= 10.0 => "10 miles",
            Some(miles) if miles >= 3.0 => "3 to 10 miles",
            Some(miles) if miles >= 1.0 => "1 to 3 miles",
            Some(_) => "below 1 mile",
        };
        let sum = sums.entry(view).or_default();
        sum.0 += 1;
        match row["dep_time"].as_str() {
            "NA" => sum.1 += 1,
            _ => sum.2 += row["dep_delay"].parse::<i64>().unwrap(),
        }
    }
    let line = |(view, (flights, cancelled, delay)): (&str, (u64, u64, i64))| {
        format!(
            r#"{{"view":"{view}","flights":{flights},"cancelled":{cancelled},"delay_minutes_sum":{delay}}}"#
        )
    };
    sums.into_iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn delays_by_weather_are_those_of_an_independent_computation_through_crashes() {
    for drops in [0, 6] {
        let output = tempfile::tempdir().unwrap();
        let arguments = delays_by_weather::common::Arguments::new(output.path());
        run(output.path(), drops, || delays_by_weather::build(&arguments).unwrap()).await;
        let found = lines(&output.path().join("views.jsonl"));
        assert_eq!(differences(&expected_views(), &found), [] as [&str; 0]);
    }
}
