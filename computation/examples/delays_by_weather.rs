//! A join: each flight with the weather at its airport in the hour it was to leave, and how delays grow as the view
//! gets worse.
//!
//!     cargo run --release --example delays_by_weather -- --output target/delays_by_weather

pub(crate) mod common;

use anyhow::Result;
use common::{Arguments, HOUR, data, flights, lines, start_of};
use pelton::flow::Flow;
use pelton::window::aggregators::{Count, Sum};
use pelton::window::{Aggregator, FixedWindows, GlobalWindow};
use pelton::{CsvSource, JsonLinesSink, Pipeline, Stream};
use serde::{Deserialize, Serialize};

static WEATHER: Stream<Weather> = Stream::new("weather");

/// An hour of weather. The fields are named as the file's columns.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Weather {
    origin: String,
    /// How far one could see, in miles.
    visib: Option<f64>,
    time_hour: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Delays {
    view: String,
    flights: u64,
    cancelled: u64,
    delay_minutes_sum: i64,
}

/// A flight's delay, and what the view was like.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Seen {
    view: String,
    delay: Option<i64>,
}

fn view(weather: Option<&Weather>) -> String {
    let miles = weather.and_then(|weather| weather.visib);
    let word = match miles {
        None => "unknown",
        Some(miles) if miles < 1.0 => "below 1 mile",
        Some(miles) if miles < 3.0 => "1 to 3 miles",
        Some(miles) if miles < 10.0 => "3 to 10 miles",
        Some(_) => "10 miles",
    };
    word.to_owned()
}

pub(crate) fn build(arguments: &Arguments) -> Result<Pipeline> {
    let flow = Flow::new("delays-by-weather");
    // The file has one airport after the other, each from the first day on.
    let weather = CsvSource::<Weather>::new(data("weather-2013-01.csv.gz"), &WEATHER)
        .null("NA")
        .key(|weather| weather.origin.as_str().into())
        .event_time(|weather: &Weather| start_of(&weather.time_hour))
        .disorder(32 * 24 * HOUR);
    let weather = flow.read(weather).key_by(|weather| weather.origin.as_str().into());

    flow.read(flights(arguments))
        .key_by(|flight| flight.origin.as_str().into())
        .join(weather)
        .window(FixedWindows::of(HOUR))
        .left("weather-of-the-hour", |flight, weather| Seen { view: view(weather), delay: flight.delay() })
        .key_by(|seen| seen.view.as_str().into())
        .window(GlobalWindow)
        .aggregate(
            "delays",
            (
                Count::new(),
                (
                    Sum::<u64>::new().of(|seen: &Seen| u64::from(seen.delay.is_none())),
                    Sum::<i64>::new().of(|seen: &Seen| seen.delay.unwrap_or(0)),
                ),
            ),
        )
        .map_with_key(|view, pane| {
            let (flights, (cancelled, delay)) = pane.value;
            Delays {
                view: view.to_string(),
                flights,
                cancelled: u64::try_from(cancelled).unwrap_or(u64::MAX),
                delay_minutes_sum: i64::try_from(delay).unwrap_or(i64::MAX),
            }
        })
        .write("views", |views| JsonLinesSink::new(arguments.output.join("views.jsonl"), views));
    Ok(flow.build()?)
}

fn main() -> Result<()> {
    for line in lines(&common::main(build)?.join("views.jsonl"))? {
        let Delays { view, flights, cancelled, delay_minutes_sum } = serde_json::from_str(&line)?;
        let left = flights - cancelled;
        let mean = if left == 0 { 0.0 } else { delay_minutes_sum as f64 / left as f64 };
        println!(
            "{view:>14}: {flights:6} flights, {cancelled:4} cancelled, {mean:5.1} minutes late on average"
        );
    }
    Ok(())
}
