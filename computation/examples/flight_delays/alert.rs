//! When the hours of an airport are unusual, and what is told then. Pure.
//!
//! What is usual of each hour of the week is known of two signals: the mean delay of the flights that left, and how many
//! left (which cancellations lower). Three buckets in a row that deviate the same way raise an alert; three in a row
//! that do not clear it. Hours without a scheduled departure have no bucket: a row may span a night. An hour that none
//! left in says nothing about delay.

use crate::bucket::Bucket;
use crate::hour::Hour;
use crate::usual::{Direction, Spread, Usual};
use crate::watch::{Change, Watch};
use serde::{Deserialize, Serialize};

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Signal {
    /// The mean delay of the flights that left, in minutes.
    Delay,
    /// How many flights left.
    Departures,
}

/// Whether an alert begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// It begins.
    Raised,
    /// All is as usual again.
    Cleared,
}

/// An alert, as `alerts.jsonl` has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Alert {
    /// The airport.
    pub(crate) origin: String,
    /// What it is about.
    pub(crate) signal: Signal,
    /// Which way it deviates.
    pub(crate) kind: Direction,
    /// Whether it begins or ends here.
    pub(crate) event: Event,
    /// The first hour that deviated.
    pub(crate) since: Hour,
    /// The hour that raised or cleared it.
    pub(crate) hour: Hour,
    /// How many hours have deviated so far.
    pub(crate) buckets: u32,
    /// What was observed in `hour`: minutes or flights.
    pub(crate) observed: f64,
    /// What is usual in such an hour.
    pub(crate) usual: f64,
}

/// What is usual in one hour of the week.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct UsualHour {
    delay: Usual,
    departures: Usual,
}

/// What the signals of an airport are up to.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Watches {
    delay: Watch,
    departures: Watch,
}

/// Judges a bucket by what is usual, and learns from it.
pub(crate) fn judge(bucket: &Bucket, usual: &mut UsualHour, watches: &mut Watches) -> [Option<Alert>; 2] {
    const MINUTES: Spread = Spread { least: 10.0, least_share: 0.0 };
    const FLIGHTS: Spread = Spread { least: 2.0, least_share: 0.15 };
    let departed = f64::from(bucket.departed);
    let on_delay = bucket
        .delay_minutes_mean
        .and_then(|mean| watch(bucket, Signal::Delay, mean, MINUTES, &mut usual.delay, &mut watches.delay));
    let on_departures =
        watch(bucket, Signal::Departures, departed, FLIGHTS, &mut usual.departures, &mut watches.departures);
    [on_delay, on_departures]
}

fn watch(
    bucket: &Bucket,
    signal: Signal,
    observed: f64,
    spread: Spread,
    usual: &mut Usual,
    watch: &mut Watch,
) -> Option<Alert> {
    let verdict = usual.observe(observed, spread);
    let (event, streak) = match watch.see(bucket.hour, verdict.deviation)? {
        Change::Raised(streak) => (Event::Raised, streak),
        Change::Cleared(streak) => (Event::Cleared, streak),
    };
    Some(Alert {
        origin: bucket.origin.clone(),
        signal,
        kind: streak.direction,
        event,
        since: streak.since,
        hour: bucket.hour,
        buckets: streak.buckets,
        observed: hundredths(observed),
        usual: hundredths(verdict.usual),
    })
}

/// Rounded for readers.
fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
