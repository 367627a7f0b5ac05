//! Records by key.

use super::Flow;
use super::records::Records;
use super::windowed::WindowedRecords;
use crate::stream::Stream;
use crate::window::{Strategy, WindowFn};
use pelton_domain::Key;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;

/// Records grouped by a key, which was made of a `K`.
pub struct Keyed<'f, T, K = Key> {
    records: Records<'f, T>,
    key: PhantomData<fn(K)>,
}

impl<T, K> fmt::Debug for Keyed<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyed<{}>", std::any::type_name::<T>())
    }
}

impl<'f, T, K> Keyed<'f, T, K> {
    pub(super) fn of(records: Records<'f, T>) -> Self {
        Self { records, key: PhantomData }
    }

    pub(super) fn flow(&self) -> &'f Flow {
        self.records.flow
    }

    /// The records, of which each still has its key.
    pub(super) fn into_records(self) -> Records<'f, T> {
        self.records
    }

    /// The same, where the key's type does not matter any more.
    pub(super) fn untyped(self) -> Keyed<'f, T> {
        Keyed::of(self.records)
    }
}

impl<'f, T, K> Keyed<'f, T, K>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// The stream that brings them to the step `name`, as its input `input`.
    pub(super) fn to_step(&self, name: &str, input: &str) -> (&'f Flow, Stream<T>) {
        let stream = Stream::named(format!("{name}.{input}"));
        self.records.send(&stream);
        (self.records.flow, stream)
    }

    /// Groups them by windows, too.
    pub fn window<F: WindowFn<T>>(self, windows: F) -> WindowedRecords<'f, T, F> {
        WindowedRecords::new(self, windows, Strategy::default())
    }
}
