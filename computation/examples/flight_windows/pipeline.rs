//! The flights, and what is made of them: the hours of each airport, and the days of each aircraft.

use pelton::flow::Flow;
use pelton::window::aggregators::{Count, Max, Sum};
use pelton::window::{Aggregator, FixedWindows, Sessions};
use pelton::{CsvSource, EventTime, JsonLinesSink, Pipeline, PipelineError, Stream};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

static FLIGHTS: Stream<Flight> = Stream::new("flights");

/// A scheduled departure and what became of it. The fields are named as the file's columns.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Flight {
    origin: String,
    tailnum: Option<String>,
    dep_time: Option<u16>,
    dep_delay: Option<i32>,
    time_hour: String,
    minute: u32,
}

impl Flight {
    fn scheduled(&self) -> EventTime {
        let hour = self.time_hour.parse::<jiff::Timestamp>().map(|hour| hour.as_second());
        EventTime::from_secs(hour.unwrap_or(0) + i64::from(self.minute) * 60)
    }

    fn has_departed(&self) -> bool {
        self.dep_time.is_some()
    }
}

/// One hour of one airport, as `flight_delays` tells it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Hour {
    origin: String,
    hour: String,
    departed: u64,
    cancelled: u64,
    delay_minutes_mean: Option<f64>,
}

/// The flights of one aircraft from New York, without ten hours between any two.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct AircraftDay {
    aircraft: String,
    from: String,
    to: String,
    flights: u64,
    delay_minutes_max: Option<i32>,
}

/// Says it all.
pub(crate) fn build(input: &Path, output: &Path, rate: Option<f64>) -> Result<Pipeline, PipelineError> {
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
    flights
        .key_by(|flight| flight.origin.as_str().into())
        .window(FixedWindows::of(HOUR))
        .aggregate(
            "hourly",
            (
                Sum::<u64>::new().of(|flight: &Flight| u64::from(flight.has_departed())),
                (Count::new(), Sum::<i64>::new().of(delay)),
            ),
        )
        .map_with_key(|origin, pane| {
            let (departed, (flights, delay)) = pane.value;
            let departed = u64::try_from(departed).unwrap_or(u64::MAX);
            Hour {
                origin: origin.to_string(),
                hour: pane.window.start().to_string(),
                departed,
                cancelled: flights - departed,
                delay_minutes_mean: (departed > 0).then(|| delay as f64 / departed as f64),
            }
        })
        .write("hours", |hours| JsonLinesSink::new(output.join("hourly.jsonl"), hours));

    flights
        .filter(|flight| flight.has_departed() && flight.tailnum.is_some())
        .key_by(|flight| flight.tailnum.as_deref().unwrap_or_default().into())
        .window(Sessions::with_gap(10 * HOUR))
        .aggregate("aircraft-days", (Count::new(), Max::new().of(|flight: &Flight| flight.dep_delay)))
        .map_with_key(|aircraft, pane| AircraftDay {
            aircraft: aircraft.to_string(),
            from: pane.window.start().to_string(),
            to: pane.window.end().minus(10 * HOUR).to_string(),
            flights: pane.value.0,
            delay_minutes_max: pane.value.1.flatten(),
        })
        .write("days", |days| JsonLinesSink::new(output.join("aircraft-days.jsonl"), days));
    flow.build()
}
