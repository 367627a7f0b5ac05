//! Days, months and years of a time zone. A day there may last 23 or 25 hours.

use super::assign::{AssignError, WindowFn};
use super::bounds::Window;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use pelton_domain::EventTime;

/// Windows of whole days, months or years in a time zone, counted from a first day.
///
/// ```
/// use pelton::EventTime;
/// use pelton::window::{CalendarWindows, WindowFn};
///
/// let days = CalendarWindows::days(1).in_zone("America/New_York")?;
/// let day = days.assign(&(), EventTime::from_secs(1_362_916_800))?[0];
/// // The clocks went forward on this day.
/// assert_eq!(day.to_string(), "[2013-03-10T05:00:00Z, 2013-03-11T04:00:00Z)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CalendarWindows {
    unit: Unit,
    count: i64,
    first: Date,
    zone: TimeZone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Days,
    Months,
}

/// A calendar that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// No such zone.
    #[error("no time zone {name:?}: {reason}; take a name of the IANA database, such as \"Europe/Berlin\"")]
    NoZone {
        /// What was asked for.
        name: String,
        /// Why.
        reason: String,
    },
    /// No such day.
    #[error("no day {year}-{month}-{day}")]
    NoDay {
        /// The year.
        year: i16,
        /// The month.
        month: i8,
        /// The day.
        day: i8,
    },
}

impl CalendarWindows {
    /// Windows of so many days, at least one; in UTC, from 1970-01-01 on, until said otherwise.
    #[must_use]
    pub fn days(count: u32) -> Self {
        Self::of(Unit::Days, count)
    }

    /// Windows of so many months, at least one. They begin on the day of the month on which the first does, or, where
    /// a month has no such day, on its last.
    #[must_use]
    pub fn months(count: u32) -> Self {
        Self::of(Unit::Months, count)
    }

    /// Windows of so many years, at least one.
    #[must_use]
    pub fn years(count: u32) -> Self {
        Self::of(Unit::Months, count.saturating_mul(12))
    }

    fn of(unit: Unit, count: u32) -> Self {
        let first = Date::constant(1970, 1, 1);
        Self { unit, count: i64::from(count.max(1)), first, zone: TimeZone::UTC }
    }

    /// In the time zone of this name of the IANA database, in the edition that is compiled in: so every worker has
    /// the same.
    ///
    /// # Errors
    /// [`CalendarError::NoZone`].
    pub fn in_zone(mut self, name: &str) -> Result<Self, CalendarError> {
        let found = jiff::tz::TimeZoneDatabase::bundled().get(name);
        let no_zone =
            |error: jiff::Error| CalendarError::NoZone { name: name.to_owned(), reason: error.to_string() };
        self.zone = found.map_err(no_zone)?;
        Ok(self)
    }

    /// One of them begins on this day: weeks from Mondays are `days(7).beginning(2013, 1, 7)`.
    ///
    /// # Errors
    /// [`CalendarError::NoDay`].
    pub fn beginning(mut self, year: i16, month: i8, day: i8) -> Result<Self, CalendarError> {
        self.first = Date::new(year, month, day).map_err(|_| CalendarError::NoDay { year, month, day })?;
        Ok(self)
    }

    /// The first moment of the window number `number`.
    fn start(&self, number: i64) -> Result<i64, jiff::Error> {
        let units = number.saturating_mul(self.count);
        let span = match self.unit {
            Unit::Days => Span::new().try_days(units)?,
            Unit::Months => Span::new().try_months(units)?,
        };
        let day = self.first.checked_add(span)?;
        Ok(day.to_zoned(self.zone.clone())?.timestamp().as_microsecond())
    }

    /// The number of the window that a day falls into, give or take one.
    fn near(&self, day: Date) -> Result<i64, jiff::Error> {
        let units = match self.unit {
            Unit::Days => i64::from(day.since((jiff::Unit::Day, self.first))?.get_days()),
            Unit::Months => {
                let months = |date: Date| i64::from(date.year()) * 12 + i64::from(date.month());
                months(day) - months(self.first)
            }
        };
        Ok(units.div_euclid(self.count))
    }

    fn window(&self, at: EventTime) -> Result<Option<Window>, jiff::Error> {
        let at_us = at.as_micros();
        let day = Timestamp::from_microsecond(at_us)?.to_zoned(self.zone.clone()).date();
        let near = self.near(day)?;
        for number in [near, near - 1, near + 1] {
            let (start, end) = (self.start(number)?, self.start(number + 1)?);
            if start <= at_us && at_us < end {
                return Ok(Window::new(EventTime::from_micros(start), EventTime::from_micros(end)));
            }
        }
        Ok(None)
    }
}

impl<T> WindowFn<T> for CalendarWindows {
    fn assign(&self, _: &T, at: EventTime) -> Result<Vec<Window>, AssignError> {
        let no_day = |reason| AssignError { at, reason };
        let window =
            self.window(at).map_err(|error| no_day(format!("it is on no day of the calendar: {error}")))?;
        window
            .map(|window| vec![window])
            .ok_or_else(|| no_day("no window of the calendar covers it".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(windows: &CalendarWindows, at: &str) -> String {
        let at: Timestamp = at.parse().unwrap();
        windows.assign(&(), EventTime::from_micros(at.as_microsecond())).unwrap()[0].to_string()
    }

    #[test]
    fn months_and_years_are_those_of_the_zone() {
        let months = CalendarWindows::months(1).in_zone("Europe/Berlin").unwrap();
        assert_eq!(window(&months, "2013-03-31T21:59:59Z"), "[2013-02-28T23:00:00Z, 2013-03-31T22:00:00Z)");
        assert_eq!(window(&months, "2013-03-31T22:00:00Z"), "[2013-03-31T22:00:00Z, 2013-04-30T22:00:00Z)");
        let quarters = CalendarWindows::months(3);
        assert_eq!(window(&quarters, "1969-12-31T23:59:59Z"), "[1969-10-01T00:00:00Z, 1970-01-01T00:00:00Z)");
        let years = CalendarWindows::years(1).beginning(2000, 4, 6).unwrap();
        assert_eq!(window(&years, "2013-04-05T12:00:00Z"), "[2012-04-06T00:00:00Z, 2013-04-06T00:00:00Z)");
        let ends = CalendarWindows::months(1).beginning(2012, 1, 31).unwrap();
        assert_eq!(window(&ends, "2012-02-29T05:00:00Z"), "[2012-02-29T00:00:00Z, 2012-03-31T00:00:00Z)");
    }

    #[test]
    fn days_that_are_not_24_hours_long_are_whole() {
        let days = CalendarWindows::days(1).in_zone("America/New_York").unwrap();
        assert_eq!(window(&days, "2013-11-04T04:59:59Z"), "[2013-11-03T04:00:00Z, 2013-11-04T05:00:00Z)");
        // Midnight did not exist there on that day.
        let days = CalendarWindows::days(1).in_zone("America/Sao_Paulo").unwrap();
        assert_eq!(window(&days, "2018-11-04T03:00:00Z"), "[2018-11-04T03:00:00Z, 2018-11-05T02:00:00Z)");
        let weeks = CalendarWindows::days(7).beginning(2013, 1, 7).unwrap();
        assert_eq!(window(&weeks, "2013-01-06T23:59:59Z"), "[2012-12-31T00:00:00Z, 2013-01-07T00:00:00Z)");
    }

    #[test]
    fn zones_days_and_times_that_are_none_are_refused_in_words() {
        let zone = CalendarWindows::days(1).in_zone("Mars/Olympus").unwrap_err();
        assert!(zone.to_string().contains("no time zone \"Mars/Olympus\""));
        let day = CalendarWindows::days(1).beginning(2013, 2, 29).unwrap_err();
        assert_eq!(day.to_string(), "no day 2013-2-29");
        for at in [EventTime::MIN, EventTime::MAX] {
            let error = CalendarWindows::months(7).assign(&(), at).unwrap_err();
            assert!(error.to_string().contains("on no day of the calendar"), "{error}");
        }
        let _ = CalendarWindows::years(u32::MAX).assign(&(), EventTime::from_secs(0));
    }

    proptest! {
        #[test]
        fn every_time_is_in_its_window_and_windows_lie_side_by_side(
            seconds in -4_000_000_000i64..4_000_000_000,
            count in 1u32..40,
            zone in prop::sample::select(vec!["America/St_Johns", "Africa/Monrovia", "Asia/Pyongyang", "Pacific/Apia"]),
        ) {
            let at = EventTime::from_secs(seconds);
            for windows in [CalendarWindows::days(count), CalendarWindows::months(count)] {
                let windows = windows.in_zone(zone).unwrap();
                let window = windows.assign(&(), at).unwrap()[0];
                prop_assert!(window.contains(at));
                for inside in [window.start(), window.latest()] {
                    prop_assert_eq!(windows.assign(&(), inside).unwrap(), [window]);
                }
                prop_assert_eq!(windows.assign(&(), window.end()).unwrap()[0].start(), window.end());
            }
        }
    }
}
