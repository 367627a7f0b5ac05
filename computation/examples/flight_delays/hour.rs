//! Hours of the calendar: what flights are counted by.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use pelton::EventTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

const SECONDS: i64 = 3_600;

/// An hour of the calendar, UTC, counted from the Unix epoch.
///
/// In JSON it is the time it begins at, such as `"2013-01-01T10:00:00Z"`; in state and in records a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Hour(i64);

impl Hour {
    /// The hour that `at` is in.
    #[allow(dead_code, reason = "the example `flight_windows` needs it")]
    pub(crate) fn of(at: EventTime) -> Self {
        Self(at.as_micros().div_euclid(SECONDS * 1_000_000))
    }

    /// When it begins.
    pub(crate) fn start(self) -> EventTime {
        EventTime::from_secs(self.0.saturating_mul(SECONDS))
    }

    /// When it is over: the first moment that is not in it.
    pub(crate) fn end(self) -> EventTime {
        EventTime::from_secs(self.0.saturating_add(1).saturating_mul(SECONDS))
    }

    /// Its hour by the clocks of `zone`: hours since the epoch as if those clocks showed UTC.
    pub(crate) fn on_the_clocks_of(self, zone: &TimeZone) -> i64 {
        let start = Timestamp::from_second(self.0.saturating_mul(SECONDS)).unwrap_or(Timestamp::MIN);
        self.0 + i64::from(zone.to_offset(start).seconds()).div_euclid(SECONDS)
    }

    /// Its place in the week by the clocks of `zone`.
    pub(crate) fn of_week(self, zone: &TimeZone) -> HourOfWeek {
        // The epoch was a Thursday: three days after a Monday.
        let since_a_monday = self.on_the_clocks_of(zone) + 3 * 24;
        HourOfWeek(u8::try_from(since_a_monday.rem_euclid(7 * 24)).unwrap_or(0))
    }
}

/// An hour of the week: 0 is Monday, midnight to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct HourOfWeek(u8);

/// The clocks of New York, by the rule in force since 2007.
///
/// Timetables follow the clocks on the wall, so "usual for Monday 7 a.m." must follow them as well: by UTC
/// all that is usual would shift by an hour twice a year. The rule is stated here, not read from the
/// machine, so that every machine gives the same alerts.
pub(crate) fn new_york() -> Result<TimeZone, jiff::Error> {
    TimeZone::posix("EST5EDT,M3.2.0,M11.1.0")
}

impl FromStr for Hour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time: Timestamp =
            text.parse().map_err(|_| format!("{text:?} is no time such as 2013-01-01T10:00:00Z"))?;
        if time.subsec_nanosecond() != 0 || time.as_second().rem_euclid(SECONDS) != 0 {
            return Err(format!("{text:?} is not a whole hour"));
        }
        Ok(Self(time.as_second().div_euclid(SECONDS)))
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.start().fmt(f)
    }
}

impl Serialize for Hour {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Hour {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(text: &str) -> Hour {
        text.parse().unwrap()
    }

    #[test]
    fn an_hour_is_text_for_people_and_a_number_for_machines() {
        let ten = hour("2013-01-01T10:00:00Z");
        assert_eq!(serde_json::to_string(&ten).unwrap(), "\"2013-01-01T10:00:00Z\"");
        assert_eq!(serde_json::from_str::<Hour>("\"2013-01-01T10:00:00Z\"").unwrap(), ten);
        assert_eq!([Hour::of(ten.start()), Hour::of(ten.end())], [ten, hour("2013-01-01T11:00:00Z")]);
        assert_eq!((ten.end().as_micros() - ten.start().as_micros()) / 1_000_000, SECONDS);
    }

    #[test]
    fn what_is_no_whole_hour_is_refused_with_its_text() {
        for text in
            ["", "yesterday", "2013-01-01T10:30:00Z", "2013-01-01T10:00:00.5Z", "2013-13-01T10:00:00Z"]
        {
            assert!(text.parse::<Hour>().unwrap_err().contains(&format!("{text:?}")));
        }
    }

    #[test]
    fn the_week_follows_the_clocks_of_new_york() {
        let zone = new_york().unwrap();
        // Monday, 7 January 2013 and 8 July 2013, both seven in the morning in New York.
        assert_eq!(hour("2013-01-07T12:00:00Z").of_week(&zone), HourOfWeek(7));
        assert_eq!(hour("2013-07-08T11:00:00Z").of_week(&zone), HourOfWeek(7));
        // The last hour before, and the first after, the clocks went forward and back.
        assert_eq!(hour("2013-03-10T06:00:00Z").of_week(&zone), HourOfWeek(6 * 24 + 1));
        assert_eq!(hour("2013-03-10T07:00:00Z").of_week(&zone), HourOfWeek(6 * 24 + 3));
        assert_eq!(hour("2013-11-03T05:00:00Z").of_week(&zone), HourOfWeek(6 * 24 + 1));
        assert_eq!(hour("2013-11-03T06:00:00Z").of_week(&zone), HourOfWeek(6 * 24 + 1));
    }
}
