//! The whole year, for machines that have it: `PELTON_FLIGHTS` names the gzipped CSV file of all 336,776 flights.
//!
//!     PELTON_FLIGHTS=flights-2013.csv.gz cargo test --release -p pelton-tests --test flights_year -- --ignored --nocapture

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test: a panic is its failure"
)]

use pelton_tests::flight_runs::{Kills, Run, example_binary, kill_repeatedly};
use pelton_tests::independent::{differences, expected_hourly, flights_in};
use std::path::{Path, PathBuf};
use std::time::Duration;

const FLIGHTS: u64 = 336_776;

fn year() -> PathBuf {
    PathBuf::from(
        std::env::var_os("PELTON_FLIGHTS").expect("PELTON_FLIGHTS names the file of the whole year"),
    )
}

fn run(output: &Path, more: &[&str]) -> Run {
    let more = more.iter().map(|&word| word.to_owned()).collect();
    Run { binary: example_binary().unwrap(), input: year(), output: output.to_owned(), more }
}

#[test]
#[ignore = "needs the whole year's file in PELTON_FLIGHTS"]
fn the_year_equals_an_independent_computation() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path(), &[]);
    println!("{}", run.to_success().unwrap());
    let expected = expected_hourly(&year()).unwrap();
    let lines = run.lines("hourly.jsonl").unwrap();
    assert_eq!(differences(&expected.lines, &lines), [] as [&str; 0]);
    assert_eq!(flights_in(&lines).unwrap(), FLIGHTS);
}

#[test]
#[ignore = "needs the whole year's file in PELTON_FLIGHTS"]
fn fifty_kills_over_the_year_change_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let undisturbed = run(&dir.path().join("undisturbed"), &[]);
    undisturbed.to_success().unwrap();
    let killed = run(&dir.path().join("killed"), &["--rate", "10000"]);
    let kills = Kills { count: 50, over: Duration::from_secs(22), seed: pelton_tests::seed() };
    println!(
        "{}",
        kill_repeatedly(&killed, kills, &["hourly.jsonl", "alerts.jsonl"], |kill| println!("{kill:?}"))
            .unwrap()
    );
    for file in ["hourly.jsonl", "alerts.jsonl"] {
        let expected = undisturbed.line_set(file).unwrap();
        assert_eq!(differences(&expected, &killed.lines(file).unwrap()), [] as [&str; 0], "{file}");
    }
    assert_eq!(flights_in(&killed.lines("hourly.jsonl").unwrap()).unwrap(), FLIGHTS);
}
