//! How the windows of a case are and fire, as it is written.

use pelton::EventTime;
use pelton::window::{Accumulation, TimestampCombiner, Trigger};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use std::time::Duration;

/// Seconds, to the microsecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds {
    micros: i64,
}

impl Seconds {
    /// As a time since the Unix epoch.
    #[must_use]
    pub fn as_time(self) -> EventTime {
        EventTime::from_micros(self.micros)
    }

    /// As a shift of windows that repeat with this period.
    #[must_use]
    pub fn as_offset(self, period: Length) -> Duration {
        let period_us = i64::try_from(period.0.as_micros()).unwrap_or(i64::MAX);
        Duration::from_micros(self.micros.rem_euclid(period_us).cast_unsigned())
    }

    /// As a duration; less than nothing is nothing.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        Duration::from_micros(self.micros.max(0).cast_unsigned())
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(from)?;
        let whole = number.as_i64().and_then(|seconds| seconds.checked_mul(1_000_000));
        let seconds = number.as_f64().unwrap_or(f64::INFINITY);
        match whole {
            Some(micros) => Ok(Self { micros }),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it is rounded, and within the range of times"
            )]
            None if seconds.abs() < 9.0e12 => Ok(Self { micros: (seconds * 1e6).round() as i64 }),
            None => Err(de::Error::custom(format!("{number} seconds are beyond the range of times"))),
        }
    }
}

/// A length of time that is not nothing.
#[derive(Clone, Copy, Debug)]
pub struct Length(pub Duration);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let length = Seconds::deserialize(from)?.as_duration();
        if length.is_zero() {
            return Err(de::Error::custom("a size, a period and a gap must be more than 0 seconds"));
        }
        Ok(Self(length))
    }
}

/// How records fall into windows.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Windows {
    /// Side by side.
    Fixed {
        /// Their size.
        size: Length,
        /// By how much they are shifted.
        #[serde(default)]
        offset: Seconds,
    },
    /// One every period.
    Sliding {
        /// Their size.
        size: Length,
        /// How often one begins.
        period: Length,
        /// By how much they are shifted.
        #[serde(default)]
        offset: Seconds,
    },
    /// As long as records come.
    Sessions {
        /// Until they do not.
        gap: Length,
    },
    /// All of time.
    Global,
}

/// When windows fire.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "they are those of `Trigger`")]
pub enum TriggerText {
    Default,
    Never,
    AfterCount { count: u64 },
    AfterWatermark { early: Option<Box<TriggerText>>, late: Option<Box<TriggerText>> },
    AfterEach { of: Vec<TriggerText> },
    AfterFirst { of: Vec<TriggerText> },
    AfterAll { of: Vec<TriggerText> },
    Repeatedly { of: Box<TriggerText> },
    OrFinally { of: Box<TriggerText>, finally: Box<TriggerText> },
}

impl TriggerText {
    /// The trigger it says.
    #[must_use]
    pub fn trigger(&self) -> Trigger {
        let all = |of: &[Self]| -> Vec<Trigger> { of.iter().map(Self::trigger).collect() };
        match self {
            Self::Default => Trigger::Default,
            Self::Never => Trigger::Never,
            Self::AfterCount { count } => Trigger::after_count(*count),
            Self::AfterWatermark { early, late } => Trigger::AfterWatermark {
                early: early.as_ref().map(|of| Box::new(of.trigger())),
                late: late.as_ref().map(|of| Box::new(of.trigger())),
            },
            Self::AfterEach { of } => Trigger::AfterEach(all(of)),
            Self::AfterFirst { of } => Trigger::AfterFirst(all(of)),
            Self::AfterAll { of } => Trigger::AfterAll(all(of)),
            Self::Repeatedly { of } => of.trigger().repeatedly(),
            Self::OrFinally { of, finally } => of.trigger().or_finally(finally.trigger()),
        }
    }
}

/// What panes hold of what was told before.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are those of `Accumulation`")]
pub enum AccumulationText {
    Discarding,
    Accumulating,
}

impl From<AccumulationText> for Accumulation {
    fn from(text: AccumulationText) -> Self {
        match text {
            AccumulationText::Discarding => Self::Discarding,
            AccumulationText::Accumulating => Self::Accumulating,
        }
    }
}

/// The event time of panes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are those of `TimestampCombiner`")]
pub enum TimestampText {
    EndOfWindow,
    Earliest,
    Latest,
}

impl From<TimestampText> for TimestampCombiner {
    fn from(text: TimestampText) -> Self {
        match text {
            TimestampText::EndOfWindow => Self::EndOfWindow,
            TimestampText::Earliest => Self::Earliest,
            TimestampText::Latest => Self::Latest,
        }
    }
}
