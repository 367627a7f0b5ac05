//! Timers: a key, a tag, a domain and a time to fire.

use bytes::Bytes;
use pelton_domain::{EventTime, ProcessingTime};
pub use pelton_statestore::keys::TimeDomain;
use std::time::Duration;

/// A timer to set, through [`Context::set_timer`](crate::Context::set_timer).
///
/// Setting the same tag of the same domain again replaces it. It fires exactly once (I8), never before its
/// time: an event timer once the input low watermark has reached it, a processing timer once the clock has.
///
/// ```
/// use pelton::{EventTime, Timer};
/// let timer = Timer::event("close", EventTime::from_secs(3600)).output_at(EventTime::from_secs(0));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    pub(crate) tag: &'static str,
    pub(crate) domain: TimeDomain,
    pub(crate) at: TimerTime,
    pub(crate) output_time: Option<EventTime>,
    pub(crate) payload: Bytes,
}

/// When a timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerTime {
    /// At this microsecond of its domain.
    At(i64),
    /// This long after now, by the clock.
    After(Duration),
}

impl Timer {
    /// A timer that fires when the input low watermark reaches `at`.
    #[must_use]
    pub fn event(tag: &'static str, at: EventTime) -> Self {
        Self::new(tag, TimeDomain::Event, TimerTime::At(at.as_micros()))
    }

    /// A timer that fires when the clock reaches `at`.
    #[must_use]
    pub fn processing(tag: &'static str, at: ProcessingTime) -> Self {
        Self::new(tag, TimeDomain::Processing, TimerTime::At(at.as_micros()))
    }

    /// A timer that fires `delay` from now.
    #[must_use]
    pub fn after(tag: &'static str, delay: Duration) -> Self {
        Self::new(tag, TimeDomain::Processing, TimerTime::After(delay))
    }

    fn new(tag: &'static str, domain: TimeDomain, at: TimerTime) -> Self {
        Self { tag, domain, at, output_time: None, payload: Bytes::new() }
    }

    /// The event time of what it will emit: until it has fired, the output low watermark waits there.
    ///
    /// Unless set, an event timer's is its fire time, and a processing timer's the input low watermark of
    /// the moment it is set, or, where a timer sets it that held before that, the output time of that one.
    /// [`EventTime::MAX`] holds nothing.
    #[must_use]
    pub fn output_at(mut self, time: EventTime) -> Self {
        self.output_time = Some(time);
        self
    }

    /// Bytes that come back when it fires.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.payload = payload.into();
        self
    }
}

/// A timer that fires now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fired {
    /// Its tag.
    pub tag: String,
    /// Its domain.
    pub domain: TimeDomain,
    /// The time it was set for, microseconds of its domain.
    pub fire_at_us: i64,
    /// The event time it held the output at.
    pub output_time: EventTime,
    /// The window it belongs to, or empty.
    pub namespace: Bytes,
    /// The bytes it was set with.
    pub payload: Bytes,
}

impl Fired {
    /// The event time it was set for; of a processing timer, its output time.
    #[must_use]
    pub fn event_time(&self) -> EventTime {
        match self.domain {
            TimeDomain::Event => EventTime::from_micros(self.fire_at_us),
            TimeDomain::Processing => self.output_time,
        }
    }
}
