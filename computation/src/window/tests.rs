//! The operator on the engine: what the cases of the reference do not say. Those are in the tests' own crate.

mod closing;
mod holding;
mod merging;

use super::aggregators::Collect;
use super::{
    Accumulation, Closing, FixedWindows, OnTime, Pane, Refusal, Refused, Sessions, Strategy,
    TimestampCombiner, Timing, Trigger, WindowFn, Windowed,
};
use crate::testing::{Harness, Output};
use crate::{EventTime, Stream};
use std::time::Duration;

static RECORDS: Stream<u32> = Stream::new("records");
static PANES: Stream<Pane<Vec<u32>>> = Stream::new("panes");
static REFUSED: Stream<Refused<u32>> = Stream::new("refused");
const KEY: &str = "key";

const fn at(seconds: i64) -> EventTime {
    EventTime::from_secs(seconds)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The records of each window, collected.
fn collect(windows: impl WindowFn<u32>, strategy: Strategy) -> Harness {
    let step = Windowed::by(windows, Collect::new()).strategy(strategy).refused(&REFUSED);
    Harness::new(step.step("windows", &RECORDS, &PANES).unwrap()).unwrap()
}

fn tens(strategy: Strategy) -> Harness {
    collect(FixedWindows::of(secs(10)), strategy)
}

/// Panes as they are told: sign, values, timing, whether it is the last.
fn told(harness: &mut Harness) -> Vec<(char, Vec<u32>, Timing, bool)> {
    let pane = |Output { value: pane, .. }: Output<Pane<Vec<u32>>>| {
        let sign = if pane.retraction { '-' } else { '+' };
        (sign, pane.value, pane.info.timing, pane.info.last)
    };
    harness.output(&PANES).unwrap().into_iter().map(pane).collect()
}

/// How many entries of state, and how many timers, the key has.
fn left(harness: &mut Harness) -> (usize, usize) {
    (harness.entries(KEY).unwrap(), harness.timers(KEY).unwrap().len())
}

/// Pushes records, each with its second.
fn push<const N: usize>(harness: &mut Harness, records: [(u32, i64); N]) {
    for (value, second) in records {
        harness.push(&RECORDS, KEY, at(second), &value).unwrap();
    }
}
