//! Stage 1: a row of the file becomes a flight, keyed by the airport it leaves from.

use crate::hour::Hour;
use pelton::EventTime;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the file writes where there is nothing to say.
pub(crate) const NOTHING: &str = "NA";

/// A scheduled departure and what became of it. The fields are named as the file's columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Row")]
pub(crate) struct Flight {
    /// The airport it leaves from.
    pub(crate) origin: String,
    /// The hour it was scheduled in.
    pub(crate) time_hour: Hour,
    minute: u8,
    dep_time: Option<u16>,
    dep_delay: Option<i32>,
}

/// The columns that are needed, not checked yet. Its fields are those of [`Flight`], in the same order.
#[derive(Deserialize)]
struct Row {
    origin: String,
    time_hour: Hour,
    minute: u8,
    dep_time: Option<u16>,
    dep_delay: Option<i32>,
}

impl Flight {
    /// Its event time: when it was scheduled to leave.
    pub(crate) fn scheduled(&self) -> EventTime {
        self.time_hour.start().plus(Duration::from_secs(u64::from(self.minute) * 60))
    }

    /// How many minutes late it left, negative if early; nothing if it was cancelled.
    pub(crate) fn delay_minutes(&self) -> Option<i32> {
        self.dep_time.and(self.dep_delay)
    }
}

impl TryFrom<Row> for Flight {
    type Error = String;

    fn try_from(row: Row) -> Result<Self, String> {
        let Row { origin, time_hour, minute, dep_time, dep_delay } = row;
        if origin.is_empty() {
            return Err("column \"origin\" is empty".into());
        }
        if minute > 59 {
            return Err(format!("column \"minute\" is \"{minute}\": not one of 0 to 59"));
        }
        match (dep_time, dep_delay) {
            (Some(at), None) => {
                Err(format!("column \"dep_delay\" is empty, although the flight left at {at}"))
            }
            _ => Ok(Self { origin, time_hour, minute, dep_time, dep_delay }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton::Codec;
    use pelton::codec::Postcard;

    fn parse(row: &str) -> Result<Flight, String> {
        let text = format!("dep_time,dep_delay,origin,minute,time_hour\n{row}");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        reader.deserialize().next().unwrap().map_err(|error| error.to_string())
    }

    #[test]
    fn a_row_becomes_a_flight_and_survives_the_codec() {
        let flight = parse("542,-2,JFK,40,2013-01-01T10:00:00Z").unwrap();
        assert_eq!(flight.delay_minutes(), Some(-2));
        assert_eq!(flight.scheduled().to_string(), "2013-01-01T10:40:00Z");
        let bytes = Postcard::encode(&flight).unwrap();
        assert_eq!(<Postcard as Codec<Flight>>::decode(&bytes).unwrap(), flight);
    }

    #[test]
    fn a_flight_without_departure_was_cancelled() {
        assert_eq!(parse(",,JFK,40,2013-01-01T10:00:00Z").unwrap().delay_minutes(), None);
    }

    #[test]
    fn a_bad_field_is_refused() {
        for (row, reason) in [
            ("542,-2,,40,2013-01-01T10:00:00Z", "origin"),
            ("542,-2,JFK,60,2013-01-01T10:00:00Z", "minute"),
            ("542,,JFK,40,2013-01-01T10:00:00Z", "dep_delay"),
            ("542,soon,JFK,40,2013-01-01T10:00:00Z", "invalid digit"),
            ("542,-2,JFK,40,2013-01-01T10:30:00Z", "not a whole hour"),
        ] {
            let error = parse(row).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
