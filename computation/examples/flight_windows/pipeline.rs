//! The flights, and what is made of them: the hours of each airport and the alerts of `flight_delays`, line for line; and
//! the days of each aircraft.

use crate::alert::{UsualHour, Watches, judge};
use crate::bucket::Bucket;
use crate::days;
use crate::hour::{Hour, HourOfWeek, new_york};
use anyhow::Result;
use pelton::flow::Flow;
use pelton::window::aggregators::{Count, Sum};
use pelton::window::{Aggregator, FixedWindows};
use pelton::{CsvSource, EventTime, JsonLinesSink, Pipeline, Stream};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

static FLIGHTS: Stream<Flight> = Stream::new("flights");

/// A scheduled departure and what became of it. The fields are named as the file's columns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Flight {
    origin: String,
    pub(crate) tailnum: Option<String>,
    dep_time: Option<u16>,
    pub(crate) dep_delay: Option<i32>,
    time_hour: Hour,
    minute: u32,
}

impl Flight {
    fn scheduled(&self) -> EventTime {
        self.time_hour.start().plus(self.minute * HOUR / 60)
    }

    pub(crate) fn has_departed(&self) -> bool {
        self.dep_time.is_some()
    }
}

/// Says it all.
pub(crate) fn build(input: &Path, output: &Path, rate: Option<f64>) -> Result<Pipeline> {
    let zone = new_york()?;
    let flow = Flow::new("flight-windows");
    let flights = CsvSource::<Flight>::new(input, &FLIGHTS)
        .null("NA")
        .key(|flight| flight.origin.as_str().into())
        .event_time(Flight::scheduled)
        .disorder(24 * HOUR);
    let flights = flow.read(match rate {
        Some(rate) => flights.rate(rate),
        None => flights,
    });
    let delay = |flight: &Flight| flight.dep_time.and(flight.dep_delay).map_or(0, i64::from);
    let departed = |flight: &Flight| u32::from(flight.has_departed());
    let number = |n: u128| u32::try_from(n).unwrap_or(u32::MAX);
    let hours = flights
        .key_as(|flight| flight.origin.clone())
        .window(FixedWindows::of(HOUR))
        .aggregate("hourly", (Count::new(), (Sum::<u32>::new().of(departed), Sum::<i64>::new().of(delay))))
        .map_with_key(move |origin, pane| {
            let (flights, (departed, delay)) = pane.value;
            Bucket {
                origin: origin.to_string(),
                hour: Hour::of(pane.window.start()),
                departed: number(departed),
                cancelled: number(u128::from(flights) - departed),
                delay_minutes_mean: (departed > 0).then(|| delay as f64 / departed as f64),
            }
        });
    hours.write("hours", |hours| JsonLinesSink::new(output.join("hourly.jsonl"), hours));
    hours
        .key_as(|hour| hour.origin.clone())
        .scan("alerts", move |(usual, watches): &mut (BTreeMap<HourOfWeek, UsualHour>, Watches), hour| {
            judge(&hour, usual.entry(hour.hour.of_week(&zone)).or_default(), watches).into_iter().flatten()
        })
        .write("alert-lines", |alerts| JsonLinesSink::new(output.join("alerts.jsonl"), alerts));
    days::of(&flights, output);
    Ok(flow.build()?)
}
