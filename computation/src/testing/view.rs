//! What a harness shows.

use crate::engine::timers::TimerEntry;
use bytes::Bytes;
use pelton_domain::{EventTime, Key, ProcessingTime, RecordId};
use pelton_statestore::keys::{TimeDomain, TimerAddress};

/// A record that the computation has produced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output<T> {
    /// Its id: of a weak production the same on every attempt.
    pub id: RecordId,
    /// Its key.
    pub key: Key,
    /// Its event time.
    pub event_time: EventTime,
    /// What it says.
    pub value: T,
}

/// When a timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerAt {
    /// When the input low watermark reaches it.
    Event(EventTime),
    /// When the clock does.
    Processing(ProcessingTime),
}

/// A timer that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetTimer {
    /// Its tag.
    pub tag: String,
    /// When it fires.
    pub at: TimerAt,
    /// The event time at which it holds the output watermark.
    pub output_time: EventTime,
    /// The bytes it was set with.
    pub payload: Bytes,
}

impl SetTimer {
    pub(super) fn of(address: &TimerAddress, entry: &TimerEntry) -> Self {
        let at = match address.domain {
            TimeDomain::Event => TimerAt::Event(EventTime::from_micros(entry.fire_at_us)),
            TimeDomain::Processing => TimerAt::Processing(ProcessingTime::from_micros(entry.fire_at_us)),
        };
        Self {
            tag: String::from_utf8_lossy(&address.tag).into_owned(),
            at,
            output_time: entry.output_time,
            payload: entry.payload.clone(),
        }
    }
}

/// A key whose code has failed and is to be called again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFailure {
    /// How often its oldest record or timer has been tried.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub reason: String,
    /// Whether its records are parked: past the grace, and committed to the queue of the key.
    pub parked: bool,
}
