//! Stage 3: learns what each hour of the week is usually like, and says when it is not.
//!
//! For each airport and hour of the week, by New York's clocks, it keeps what is usual of two signals: the
//! mean delay of the flights that left, and how many left (which cancellations lower). Three buckets in a row
//! that deviate the same way raise an alert; three in a row that do not clear it. Hours without a scheduled
//! departure have no bucket: a row may span a night. An hour that none left in says nothing about delay.

use crate::hour::{Hour, HourOfWeek, new_york};
use crate::hourly::Bucket;
use crate::usual::{Direction, Spread, Usual};
use crate::watch::{Change, Watch};
use jiff::tz::TimeZone;
use pelton::{Computation, Context, Declaration, Failure, Input, Map, Stream, Value};
use serde::{Deserialize, Serialize};

/// Alerts, keyed by airport, each airport's in order of time.
pub(crate) static ALERTS: Stream<Alert> = Stream::new("alerts");

static USUAL: Map<HourOfWeek, UsualHour> = Map::new("usual");
static WATCHES: Value<Watches> = Value::new("watches");

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
struct UsualHour {
    delay: Usual,
    departures: Usual,
}

/// What the signals of an airport are up to.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Watches {
    delay: Watch,
    departures: Watch,
}

/// Raises and clears alerts.
#[derive(Clone, Debug)]
pub(crate) struct Alerts {
    zone: TimeZone,
}

impl Alerts {
    /// By the clocks of New York.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self { zone: new_york()? })
    }
}

impl Computation for Alerts {
    type Input = Bucket;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&USUAL).cell(&WATCHES).output(&ALERTS);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Bucket>) -> Result<(), Failure> {
        let place = input.value.hour.of_week(&self.zone);
        let mut usual = USUAL.get(cx, &place).await?.unwrap_or_default();
        let mut watches = WATCHES.get(cx).await?.unwrap_or_default();
        let alerts = judge(&input.value, &mut usual, &mut watches);
        USUAL.insert(cx, &place, &usual)?;
        WATCHES.set(cx, &watches)?;
        for alert in alerts.into_iter().flatten() {
            cx.emit(&ALERTS, input.key.clone(), input.event_time, &alert)?;
        }
        Ok(())
    }
}

/// Judges a bucket by what is usual, and learns from it.
fn judge(bucket: &Bucket, usual: &mut UsualHour, watches: &mut Watches) -> [Option<Alert>; 2] {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hourly::BUCKETS;
    use pelton::Step;
    use pelton::testing::Harness;

    /// The alerts of one hour of the week, seen again and again.
    fn alerts(buckets: &[(u32, Option<f64>)]) -> Vec<Alert> {
        let step = Step::new("alerts", Alerts::new().unwrap()).reads(&BUCKETS);
        let mut harness = Harness::new(step).unwrap();
        let hour: Hour = "2013-01-01T10:00:00Z".parse().unwrap();
        for (departed, delay_minutes_mean) in buckets.iter().copied() {
            let origin = "JFK".to_owned();
            let bucket = Bucket { origin, hour, departed, cancelled: 0, delay_minutes_mean };
            harness.push(&BUCKETS, "JFK", hour.end(), &bucket).unwrap();
        }
        assert_eq!(harness.map(&USUAL, "JFK").unwrap().len(), 1, "one hour of the week is learned");
        harness.output(&ALERTS).unwrap().into_iter().map(|output| output.value).collect()
    }

    #[test]
    fn a_storm_raises_both_alerts_and_calm_clears_them() {
        let calm = (20, Some(5.0));
        let mut weeks = vec![calm; 4];
        weeks.extend([(20, Some(90.0)); 3]);
        weeks.extend([(1, None); 3]);
        weeks.extend([calm; 3]);
        let seen: Vec<_> = alerts(&weeks).iter().map(|a| (a.signal, a.kind, a.event, a.buckets)).collect();
        let expected = [
            (Signal::Delay, Direction::Spike, Event::Raised, 3),
            (Signal::Departures, Direction::Dip, Event::Raised, 3),
            (Signal::Delay, Direction::Spike, Event::Cleared, 3),
            (Signal::Departures, Direction::Dip, Event::Cleared, 3),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn an_alert_is_one_plain_line() {
        let mut weeks = vec![(20, Some(5.0)); 3];
        weeks.extend([(20, Some(90.5)); 3]);
        let line = serde_json::to_string(&alerts(&weeks)[0]).unwrap();
        assert!(
            line.starts_with(
                r#"{"origin":"JFK","signal":"delay","kind":"spike","event":"raised","since":"2013-01-01T10:00:00Z","#
            ),
            "{line}"
        );
        assert!(line.contains(r#""buckets":3,"observed":90.5,"usual":"#), "{line}");
    }
}
