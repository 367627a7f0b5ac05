//! Each join against a plain computation of the same records, in disorder and through crashes (I2, I7, I8, I12); and
//! what its records leave behind (I11).

mod intervals;
mod tables;

use super::*;
use crate::flow::disturbed::{at, disordered, random, run};
use crate::outlet::Outlet;
use crate::testing::{Harness, Output};
use crate::{EventTime, Key, Step, Stream};
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::Duration;

static LEFT: Stream<u32> = Stream::new("left");
static RIGHT: Stream<u32> = Stream::new("right");
static TOLD: Stream<(Option<u32>, Option<u32>)> = Stream::new("told");

const RUNS: u32 = 40;
const KEYS: u64 = 3;

/// A record: of the left or the right, with its key, its second and a value that no other has.
#[derive(Clone, Copy, Debug)]
struct Event {
    left: bool,
    key: u64,
    second: i64,
    value: u32,
}

/// What was told, with key and event time.
type Told = (u64, EventTime, (Option<u32>, Option<u32>));

fn events(random: &mut StdRng, count: u32) -> Vec<Event> {
    (0..count)
        .map(|value| Event {
            left: random.random_bool(0.5),
            key: random.random_range(0..KEYS),
            second: random.random_range(0..60),
            value,
        })
        .collect()
}

fn push(harness: &mut Harness, event: &Event) {
    let stream = if event.left { &LEFT } else { &RIGHT };
    harness.push(stream, event.key, at(event.second), &event.value).unwrap();
}

fn told(harness: &mut Harness) -> Vec<Told> {
    let number = |key: &Key| u64::from_be_bytes(key.as_bytes().try_into().unwrap());
    let told = |Output { key, event_time, value, .. }: Output<_>| (number(&key), event_time, value);
    harness.output(&TOLD).unwrap().into_iter().map(told).collect()
}

/// What comes of these records, in disorder and through crashes. Sorted.
fn joined(harness: &mut Harness, random: &mut StdRng, events: &[Event]) -> Vec<Told> {
    let arriving = disordered(random, events.iter().copied(), |event| event.second, 20);
    let mut all = Vec::new();
    let see = |harness: &mut Harness, before: EventTime| {
        let new = told(harness);
        assert!(new.iter().all(|(_, at, _)| *at >= before), "I7: {new:?} is before {before}");
        all.extend(new);
    };
    run(harness, random, &arriving, |event| event.second, push, see);
    all.sort_unstable();
    assert_eq!(harness.late_dropped(), 0);
    for key in 0..KEYS {
        assert_eq!((harness.entries(key).unwrap(), harness.timers(key).unwrap().len()), (0, 0), "I11");
    }
    all
}
