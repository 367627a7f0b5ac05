//! Named, typed streams.

use crate::codec::{Codec, Json, Postcard};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A named sequence of records of type `T`, delivered by key to every computation that reads it.
///
/// ```
/// use pelton::Stream;
/// static DEPARTURES: Stream<u64> = Stream::new("departures");
/// assert_eq!(DEPARTURES.name(), "departures");
/// ```
pub struct Stream<T, C = Postcard> {
    name: Cow<'static, str>,
    types: PhantomData<fn() -> (T, C)>,
}

impl<T, C> Stream<T, C> {
    /// The stream `name`. The name is checked when a pipeline is built with it.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), types: PhantomData }
    }

    /// The stream with a name made at run time.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Cow::Owned(name.into()), types: PhantomData }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<T, C> Clone for Stream<T, C> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), types: PhantomData }
    }
}

impl<T, C> fmt::Debug for Stream<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({}: {})", self.name, std::any::type_name::<T>())
    }
}

/// A stream as graphs know it: by name, type and codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamType {
    /// Its name.
    pub name: String,
    /// The Rust type of its values.
    pub type_name: &'static str,
    /// Their codec.
    pub codec: &'static str,
}

impl<T, C: Codec<T>> From<&Stream<T, C>> for StreamType {
    fn from(stream: &Stream<T, C>) -> Self {
        Self { name: stream.name.to_string(), type_name: std::any::type_name::<T>(), codec: C::NAME }
    }
}

/// A record that will not be processed, as the dead-letter stream of its computation carries it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DeadLetter {
    /// Which computation gave it up.
    pub computation: String,
    /// The record's key, as text where it is printable.
    pub key: String,
    /// Why.
    pub error: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The record's event time, microseconds since the epoch.
    pub event_time_us: i64,
    /// The record's value: text where it is UTF-8, else hexadecimal.
    pub value: String,
}

/// The dead-letter stream of the computation `computation`: read it with a step like any other.
///
/// Its records are keyed by the computation's name. A dead letter is kept in the store as well, whether or
/// not anything reads the stream, so that it can be listed and replayed.
#[must_use]
pub fn dead_letters(computation: &str) -> Stream<DeadLetter, Json> {
    Stream::named(format!("{computation}.dead-letters"))
}
