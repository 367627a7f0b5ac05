//! The pipeline: a source, two computations and three sinks, joined by streams.

use crate::alerts::{ALERTS, Alerts};
use crate::arguments::Arguments;
use crate::flight::{Flight, NOTHING};
use crate::hourly::{BUCKETS, DEPARTURES, Hourly};
use crate::outputs::Outputs;
use anyhow::Result;
use pelton::{CsvSource, JsonLinesSink, Pipeline, Step};
use std::path::Path;

/// Checks the input, before anything is made.
pub(crate) fn check(input: &Path, arguments: &Arguments) -> Result<()> {
    Ok(flights(input, arguments).validate()?)
}

fn flights(input: &Path, arguments: &Arguments) -> CsvSource<Flight> {
    let flights = CsvSource::<Flight>::new(input, &DEPARTURES)
        .null(NOTHING)
        .key(|flight| flight.origin.as_str().into())
        .event_time(Flight::scheduled)
        .disorder(arguments.disorder);
    match arguments.rate {
        Some(rate) => flights.rate(rate),
        None => flights,
    }
}

/// Wires everything.
pub(crate) fn build(input: &Path, outputs: &Outputs, arguments: &Arguments) -> Result<Pipeline> {
    let flights = flights(input, arguments);
    let bad_rows = flights.dead_letters();
    let hourly = JsonLinesSink::new(outputs.hourly(), &BUCKETS);
    let alerts = JsonLinesSink::new(outputs.alerts(), &ALERTS);
    let dead_letters = JsonLinesSink::new(outputs.dead_letters(), &bad_rows).named("dead-letters");
    hourly.validate()?;
    alerts.validate()?;
    dead_letters.validate()?;
    let pipeline = Pipeline::builder("flight-delays")
        .with(flights)
        .with(Step::new("hourly", Hourly).reads(&DEPARTURES))
        .with(Step::new("alerts", Alerts::new()?).reads(&BUCKETS))
        .with(hourly)
        .with(alerts)
        .with(dead_letters)
        .build()?;
    Ok(pipeline)
}
