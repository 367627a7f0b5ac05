//! How a row's value gives its record a key and an event time.

use crate::source::split::SourceRecord;
use pelton_domain::{EventTime, Key};
use std::fmt::Display;
use std::sync::Arc;

/// What an event-time closure may return: the time, or why there is none, which rejects the row.
pub trait IntoEventTime {
    /// The time.
    ///
    /// # Errors
    /// Why there is none, in words.
    fn into_event_time(self) -> Result<EventTime, String>;
}

impl IntoEventTime for EventTime {
    fn into_event_time(self) -> Result<EventTime, String> {
        Ok(self)
    }
}

impl IntoEventTime for Option<EventTime> {
    fn into_event_time(self) -> Result<EventTime, String> {
        self.ok_or_else(|| "it has no event time".into())
    }
}

impl<E: Display> IntoEventTime for Result<EventTime, E> {
    fn into_event_time(self) -> Result<EventTime, String> {
        self.map_err(|error| format!("it has no event time: {error}"))
    }
}

type KeyOf<V> = Arc<dyn Fn(&V) -> Key + Send + Sync>;
type EventTimeOf<V> = Arc<dyn Fn(&V) -> Result<EventTime, String> + Send + Sync>;

/// The closures a user gave.
pub(crate) struct Extract<V> {
    pub(crate) key: Option<KeyOf<V>>,
    pub(crate) event_time: Option<EventTimeOf<V>>,
}

impl<V> Clone for Extract<V> {
    fn clone(&self) -> Self {
        Self { key: self.key.clone(), event_time: self.event_time.clone() }
    }
}

impl<V> Default for Extract<V> {
    fn default() -> Self {
        Self { key: None, event_time: None }
    }
}

impl<V> Extract<V> {
    /// The record of `value`, which stands at `origin`, or why there is none.
    pub(crate) fn record(&self, value: V, origin: u64) -> Result<SourceRecord<V>, String> {
        let (Some(key), Some(event_time)) = (&self.key, &self.event_time) else {
            return Err("the source has no key() or no event_time()".into());
        };
        let (key, event_time) = (key(&value), event_time(&value)?);
        if key.as_bytes().len() > Key::LENGTH_MAX {
            return Err(format!("its key has {} bytes of at most {}", key.as_bytes().len(), Key::LENGTH_MAX));
        }
        if matches!(event_time, EventTime::MIN | EventTime::MAX) {
            return Err("its event time is infinite".into());
        }
        Ok(SourceRecord { key, event_time, value, origin })
    }
}
