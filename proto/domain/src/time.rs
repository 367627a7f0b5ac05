//! Three times that must never mix: event time, processing time and system time.

use std::fmt;
use std::time::Duration;

macro_rules! microsecond_time {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i64);

        impl $name {
            /// Minus infinity: before every time.
            pub const MIN: Self = Self(i64::MIN);
            /// Plus infinity: after every time.
            pub const MAX: Self = Self(i64::MAX);

            /// The time `micros` microseconds after the Unix epoch.
            #[must_use]
            pub const fn from_micros(micros: i64) -> Self {
                Self(micros)
            }

            /// Microseconds since the Unix epoch; the extremes are the infinities.
            #[must_use]
            pub const fn as_micros(self) -> i64 {
                self.0
            }

            /// The time `seconds` seconds after the Unix epoch, at the infinities beyond the range.
            #[must_use]
            pub const fn from_secs(seconds: i64) -> Self {
                Self(seconds.saturating_mul(1_000_000))
            }

            /// This time plus `by`; the infinities stay where they are.
            #[must_use]
            pub fn plus(self, by: Duration) -> Self {
                match self {
                    Self::MIN | Self::MAX => self,
                    Self(at) => Self(at.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX))),
                }
            }

            /// This time minus `by`; the infinities stay where they are.
            #[must_use]
            pub fn minus(self, by: Duration) -> Self {
                match self {
                    Self::MIN | Self::MAX => self,
                    Self(at) => Self(at.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX))),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    Self::MIN => f.write_str("-inf"),
                    Self::MAX => f.write_str("+inf"),
                    Self(micros) => write_utc(f, micros),
                }
            }
        }
    };
}

microsecond_time! {
    /// When something happened in the world, as the record says: microseconds since the Unix epoch.
    EventTime
}
microsecond_time! {
    /// When something happens to the engine, by its wall clock: microseconds since the Unix epoch.
    ProcessingTime
}

/// A sender-assigned time, carried in every record id: milliseconds since the Unix epoch, 48 bits.
///
/// Dedup remembers ids by it and forgets them by it (I6). It only ever grows at one sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemTime(u64);

impl SystemTime {
    /// The earliest system time.
    pub const ZERO: Self = Self(0);
    /// The latest system time an id can carry (the year 10889).
    pub const MAX: Self = Self((1 << 48) - 1);

    /// The time `millis` milliseconds after the Unix epoch, at most [`SystemTime::MAX`].
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        if millis > Self::MAX.0 { Self::MAX } else { Self(millis) }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SystemTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_utc(f, i64::try_from(self.0.saturating_mul(1000)).unwrap_or(i64::MAX))
    }
}

/// Writes microseconds since the epoch as UTC, by the civil calendar (proleptic Gregorian).
fn write_utc(f: &mut fmt::Formatter<'_>, micros: i64) -> fmt::Result {
    let seconds = micros.div_euclid(1_000_000);
    let fraction = micros.rem_euclid(1_000_000);
    let (days, in_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days are counted from 0000-03-01, so that a leap day is the last of its year.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (in_day / 3_600, in_day % 3_600 / 60, in_day % 60);
    write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
    if fraction != 0 {
        write!(f, ".{fraction:06}")?;
    }
    f.write_str("Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_utc() {
        assert_eq!(EventTime::from_secs(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(EventTime::from_secs(1_356_998_400).to_string(), "2013-01-01T00:00:00Z");
        assert_eq!(EventTime::from_secs(951_782_400).to_string(), "2000-02-29T00:00:00Z");
        assert_eq!(EventTime::from_micros(-1).to_string(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(EventTime::MIN.to_string(), "-inf");
        assert_eq!(SystemTime::from_millis(1_500).to_string(), "1970-01-01T00:00:01.500000Z");
    }

    #[test]
    fn infinities_absorb_arithmetic() {
        let hour = Duration::from_secs(3600);
        assert_eq!(EventTime::MAX.minus(hour), EventTime::MAX);
        assert_eq!(EventTime::MIN.plus(hour), EventTime::MIN);
        assert_eq!(EventTime::from_secs(10).plus(hour), EventTime::from_secs(3610));
    }
}
