//! The days of each aircraft: sessions by tail number.

use crate::pipeline::{Flight, HOUR};
use pelton::JsonLinesSink;
use pelton::flow::Records;
use pelton::window::aggregators::{Count, Max};
use pelton::window::{Aggregator, Sessions};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The flights of one aircraft from New York, without ten hours between any two.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct AircraftDay {
    aircraft: String,
    from: String,
    to: String,
    flights: u64,
    delay_minutes_max: Option<i32>,
}

/// Writes them to a file.
pub(crate) fn of(flights: &Records<'_, Flight>, output: &Path) {
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
}
