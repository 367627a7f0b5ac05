//! Stage 3: learns what each hour of the week is usually like, by New York's clocks, and says when it is not.
//!
//! What is unusual is decided in `alert`; here is what is kept of each airport, and where alerts go.

use crate::alert::{Alert, UsualHour, Watches, judge};
use crate::bucket::Bucket;
use crate::hour::{HourOfWeek, new_york};
use jiff::tz::TimeZone;
use pelton::{Computation, Context, Declaration, Failure, Input, Map, Stream, Value};

/// Alerts, keyed by airport, each airport's in order of time.
pub(crate) static ALERTS: Stream<Alert> = Stream::new("alerts");

static USUAL: Map<HourOfWeek, UsualHour> = Map::new("usual");
static WATCHES: Value<Watches> = Value::new("watches");

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{Event, Signal};
    use crate::hour::Hour;
    use crate::hourly::BUCKETS;
    use crate::usual::Direction;
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
