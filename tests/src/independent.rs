//! What `hourly.jsonl` must say, computed straight from the flights file.
//!
//! It shares no code with the engine or the example: its own reading, its own row type, its own text. So a
//! mistake would have to be made twice to stay unseen (I10, I12).

use anyhow::{Context, Result};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

/// The columns that matter here.
#[derive(Deserialize)]
struct CsvRow {
    dep_time: String,
    dep_delay: String,
    origin: String,
    time_hour: String,
}

#[derive(Default)]
struct Sums {
    departed: u64,
    cancelled: u64,
    delay: i64,
}

/// What an undisturbed run must give.
#[derive(Debug)]
pub struct Expected {
    /// The lines of `hourly.jsonl`, in no order.
    pub lines: BTreeSet<String>,
    /// How many flights they sum up.
    pub flights: u64,
}

/// Computes the lines for the gzipped CSV file at `path`.
///
/// # Errors
/// Where the file cannot be read, or a row is not as the data's page says.
pub fn expected_hourly(path: &Path) -> Result<Expected> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut sums = BTreeMap::<(String, String), Sums>::new();
    let mut flights = 0;
    for row in csv::Reader::from_reader(MultiGzDecoder::new(file)).deserialize() {
        let row: CsvRow = row?;
        let bucket = sums.entry((row.origin, row.time_hour)).or_default();
        if row.dep_time == "NA" {
            bucket.cancelled += 1;
        } else {
            bucket.departed += 1;
            bucket.delay += row.dep_delay.parse::<i64>().context("dep_delay")?;
        }
        flights += 1;
    }
    let lines = sums.iter().map(|((origin, hour), sums)| line(origin, hour, sums)).collect();
    Ok(Expected { lines, flights })
}

#[expect(clippy::cast_precision_loss, reason = "the sums of a year are far below 2^53")]
fn line(origin: &str, hour: &str, sums: &Sums) -> String {
    let mean = match sums.departed {
        0 => "null".to_owned(),
        departed => format!("{:?}", sums.delay as f64 / departed as f64),
    };
    format!(
        r#"{{"origin":"{origin}","hour":"{hour}","departed":{},"cancelled":{},"delay_minutes_mean":{mean}}}"#,
        sums.departed, sums.cancelled
    )
}

/// How many flights the lines sum up.
///
/// # Errors
/// Where a line is no JSON object with the two counts.
pub fn flights_in<'a>(lines: impl IntoIterator<Item = &'a String>) -> Result<u64> {
    #[derive(Deserialize)]
    struct Counts {
        departed: u64,
        cancelled: u64,
    }
    let mut flights = 0;
    for line in lines {
        let counts: Counts = serde_json::from_str(line).with_context(|| format!("line {line:?}"))?;
        flights += counts.departed + counts.cancelled;
    }
    Ok(flights)
}

/// In what `found` differs from the set `expected`: missing, surplus and repeated lines; empty if in nothing.
#[must_use]
pub fn differences(expected: &BTreeSet<String>, found: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for line in found {
        if !seen.insert(line) {
            all.push(format!("repeated: {line}"));
        } else if !expected.contains(line) {
            all.push(format!("surplus: {line}"));
        }
    }
    all.extend(expected.iter().filter(|line| !seen.contains(line)).map(|line| format!("missing: {line}")));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_surplus_and_repeated_lines_are_told_apart() {
        let expected = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let found = ["a", "a", "c"].map(str::to_owned);
        assert_eq!(differences(&expected, &found), ["repeated: a", "surplus: c", "missing: b"]);
        assert!(differences(&expected, &["b", "a"].map(str::to_owned)).is_empty());
    }

    #[test]
    fn a_line_is_written_as_documented() {
        let sums = Sums { departed: 12, cancelled: 1, delay: 87 };
        let text = r#"{"origin":"JFK","hour":"2013-01-01T10:00:00Z","departed":12,"cancelled":1,"delay_minutes_mean":7.25}"#;
        assert_eq!(line("JFK", "2013-01-01T10:00:00Z", &sums), text);
        let none = Sums { cancelled: 2, ..Sums::default() };
        assert!(
            line("JFK", "2013-01-01T10:00:00Z", &none)
                .ends_with(r#""departed":0,"cancelled":2,"delay_minutes_mean":null}"#)
        );
    }
}
