//! The main example end to end on real flights: the right lines, late flights counted, kills survived, and
//! nothing done twice (I8, I10, I12).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test: a panic is its failure"
)]

use pelton_tests::flight_runs::{Kills, Run, example_binary, january, kill_repeatedly};
use pelton_tests::independent::{differences, expected_hourly, flights_in};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

const FLIGHTS: u64 = 27_004;

static EXAMPLE: LazyLock<std::path::PathBuf> = LazyLock::new(|| example_binary().unwrap());

fn run(output: &Path, more: &[&str]) -> Run {
    let more = more.iter().map(|&word| word.to_owned()).collect();
    Run { binary: EXAMPLE.clone(), input: january(), output: output.to_owned(), more }
}

/// The first number after `name` in the summary.
fn number(summary: &str, name: &str) -> u64 {
    let line = summary.lines().find(|line| line.trim_start().starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name:?} in:\n{summary}"));
    let word = line.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    let number = word.and_then(|word| word.replace(',', "").parse().ok());
    number.unwrap_or_else(|| panic!("no number in {line:?}"))
}

#[test]
fn january_equals_an_independent_computation() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path(), &[]);
    let summary = run.to_success().unwrap();
    let expected = expected_hourly(&january()).unwrap();
    let lines = run.lines("hourly.jsonl").unwrap();
    assert_eq!(differences(&expected.lines, &lines), [] as [&str; 0]);
    assert_eq!(flights_in(&lines).unwrap(), FLIGHTS);
    assert_eq!(number(&summary, "records read"), FLIGHTS);
    assert_eq!(number(&summary, "late"), 0);
    assert_eq!(number(&summary, "dead-lettered"), 0);
    assert!(run.lines("dead-letters.jsonl").unwrap().is_empty());
    alerts_begin_and_end_in_turn(&run.lines("alerts.jsonl").unwrap());
    assert!(std::fs::read_to_string(dir.path().join("report.html")).unwrap().ends_with("</html>\n"));
}

/// Of each airport and signal, in the order of the file: raised, cleared, raised, .. with growing times.
fn alerts_begin_and_end_in_turn(lines: &[String]) {
    let mut last = BTreeMap::new();
    for line in lines {
        let alert: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| alert[field].as_str().unwrap().to_owned();
        let (event, hour) = (text("event"), text("hour"));
        let before = last.insert((text("origin"), text("signal")), (event.clone(), hour.clone()));
        let (event_before, hour_before) = before.unwrap_or(("cleared".into(), String::new()));
        assert!(event != event_before && hour > hour_before, "{line} after {event_before} at {hour_before}");
    }
    assert!(!lines.is_empty());
}

#[test]
fn lines_and_late_flights_add_up_under_a_bound_that_is_too_tight() {
    let dir = tempfile::tempdir().unwrap();
    // At a rate, so that the watermark follows closely: a whole month read at once would hold it back.
    let run = run(dir.path(), &["--disorder", "2h", "--rate", "15000"]);
    let summary = run.to_success().unwrap();
    let late = number(&summary, "late");
    assert!(late > 0, "{summary}");
    assert_eq!(flights_in(&run.lines("hourly.jsonl").unwrap()).unwrap() + late, FLIGHTS);
}

#[test]
fn killed_at_random_moments_it_ends_with_the_lines_of_an_undisturbed_run() {
    let seed = pelton_tests::seed();
    let dir = tempfile::tempdir().unwrap();
    let undisturbed = run(&dir.path().join("undisturbed"), &[]);
    undisturbed.to_success().unwrap();
    let killed = run(&dir.path().join("killed"), &["--rate", "6000"]);
    let kills = Kills { count: 8, over: Duration::from_millis(3_000), seed };
    let summary =
        kill_repeatedly(&killed, kills, &["hourly.jsonl", "alerts.jsonl"], |kill| println!("{kill:?}"))
            .unwrap();
    assert!(summary.contains("unclean stop"), "{summary}");
    for file in ["hourly.jsonl", "alerts.jsonl"] {
        let expected = undisturbed.line_set(file).unwrap();
        assert_eq!(
            differences(&expected, &killed.lines(file).unwrap()),
            [] as [&str; 0],
            "{file}, seed {seed}"
        );
    }
}

#[test]
fn started_again_after_its_end_it_changes_nothing_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path(), &[]);
    run.to_success().unwrap();
    let files = ["hourly.jsonl", "alerts.jsonl", "dead-letters.jsonl"];
    let before = files.map(|file| run.lines(file).unwrap());
    let summary = run.to_success().unwrap();
    assert!(summary.contains("already done"), "{summary}");
    assert_eq!(files.map(|file| run.lines(file).unwrap()), before);
}
