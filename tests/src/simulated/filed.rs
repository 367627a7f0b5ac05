//! A stream that is written to a file, a real one, judged by what the file holds in the end.
//!
//! What would show: a line that is missing, there twice, torn or changed (I12), lines of one key out of order (I9).

use super::numbers;
use crate::workload::{COUNTS, Count, Counter, NUMBERS};
use pelton::testing::simulation::{Outcome, Simulation};
use pelton::{JsonLinesSink, Pipeline, Step};
use std::collections::BTreeMap;
use std::path::Path;

const FILE: &str = "counts.jsonl";

#[must_use]
pub(super) fn filed() -> Simulation {
    Simulation::in_directory(std::env::temp_dir().join("pelton-simulated-files"), pipeline).judge(judge)
}

#[expect(clippy::expect_used, reason = "the graph is fixed")]
fn pipeline(directory: &Path) -> Pipeline {
    Pipeline::builder("filed")
        .with(numbers())
        .with(Step::new("count", Counter).reads(&NUMBERS).intervals(2))
        .with(JsonLinesSink::new(directory.join(FILE), &COUNTS))
        .build()
        .expect("a sound graph")
}

/// The counts of each key follow each other, up to the last.
fn judge(outcome: &Outcome) -> Result<(), String> {
    let file = outcome.files.get(FILE).ok_or("there is no file")?;
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let shown = String::from_utf8_lossy(line);
        let Count { key, count, .. } =
            serde_json::from_slice(line).map_err(|error| format!("I12: the line {shown:?}: {error}"))?;
        let last = counts.entry(key).or_default();
        if count != *last + 1 {
            return Err(format!("I9, I12: count {count} of key {key} follows {last} in the file"));
        }
        *last = count;
    }
    let all: BTreeMap<u64, u64> = (0..super::KEYS).map(|key| (key, super::TOTAL / super::KEYS)).collect();
    if counts == all { Ok(()) } else { Err(format!("I12: the file ends at {counts:?} instead of {all:?}")) }
}
