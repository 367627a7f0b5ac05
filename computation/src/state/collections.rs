//! Cells of many entries: bag, list, map and set. Each entry is a store entry of its own, so that a change
//! writes only what it changes, and a large collection is read in pages.

use super::cell::{CellKind, CellSpec, Migration, Shows, StateCell};
use super::single::cell_options;
use crate::codec::{Codec, Postcard};
use crate::context::Context;
use crate::failure::Failure;
use bytes::Bytes;
use std::marker::PhantomData;
use std::time::Duration;

/// How many entries [`Map::all`] and its like fetch at a time.
const PAGE_ENTRIES: usize = 1024;

/// Where an entry stands in a [`List`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListPosition(Bytes);

macro_rules! collection {
    ($(#[$doc:meta])* $cell:ident<$($p:ident),*>, $kind:expr) => {
        $(#[$doc])*
        pub struct $cell<$($p,)* C = Postcard> {
            spec: CellSpec,
            types: PhantomData<fn() -> ($($p,)* C)>,
        }

        impl<$($p,)* C> $cell<$($p,)* C> {
            /// The cell `name`.
            #[must_use]
            pub const fn new(name: &'static str) -> Self {
                Self { spec: CellSpec::new(name, $kind), types: PhantomData }
            }

            /// Removes every entry, without reading them.
            ///
            /// # Errors
            /// Where the cell is not declared.
            pub fn clear(&self, cx: &mut Context<'_>) -> Result<(), Failure> {
                cx.remove_all(&self.spec)
            }
        }

        cell_options!($cell<$($p,)* C>);
    };
}

collection! {
    /// Values in no order, added without reading: one write each.
    Bag<T>, CellKind::Bag
}
collection! {
    /// Values in the order they were pushed, added without reading: one write each.
    List<T>, CellKind::List
}
collection! {
    /// Values by sub-key.
    Map<K, V>, CellKind::Map
}
collection! {
    /// Sub-keys.
    Set<K>, CellKind::Set
}

impl<T, C: Codec<T>> StateCell for Bag<T, C> {
    fn spec(&self) -> CellSpec {
        CellSpec { shows: Shows { sub_key: None, value: Some(C::show) }, ..self.spec }
    }
}

impl<T, C: Codec<T>> StateCell for List<T, C> {
    fn spec(&self) -> CellSpec {
        CellSpec { shows: Shows { sub_key: None, value: Some(C::show) }, ..self.spec }
    }
}

impl<K, V, C: Codec<K> + Codec<V>> StateCell for Map<K, V, C> {
    fn spec(&self) -> CellSpec {
        let shows = Shows { sub_key: Some(<C as Codec<K>>::show), value: Some(<C as Codec<V>>::show) };
        CellSpec { shows, ..self.spec }
    }
}

impl<K, C: Codec<K>> StateCell for Set<K, C> {
    fn spec(&self) -> CellSpec {
        CellSpec { shows: Shows { sub_key: Some(C::show), value: None }, ..self.spec }
    }
}

impl<T: Send, C: Codec<T>> Bag<T, C> {
    /// Adds a value.
    ///
    /// # Errors
    /// Where it cannot be encoded, or is over the store's limit for one value.
    pub fn add(&self, cx: &mut Context<'_>, value: &T) -> Result<(), Failure> {
        let place = cx.next_place();
        cx.write(&self.spec, &place, &C::encode(value)?)
    }

    /// All values. For bags that fit in memory.
    ///
    /// # Errors
    /// Where stored bytes are no `T`.
    pub async fn all(&self, cx: &mut Context<'_>) -> Result<Vec<T>, Failure> {
        let entries = all_entries(cx, &self.spec).await?;
        entries.into_iter().map(|(_, bytes)| Ok(C::decode(&bytes)?)).collect()
    }
}

impl<T: Send, C: Codec<T>> List<T, C> {
    /// Appends a value.
    ///
    /// # Errors
    /// Where it cannot be encoded, or is over the store's limit for one value.
    pub fn push(&self, cx: &mut Context<'_>, value: &T) -> Result<(), Failure> {
        let place = cx.next_place();
        cx.write(&self.spec, &place, &C::encode(value)?)
    }

    /// Up to `entries_max` values in order, from behind `after`, or from the first.
    ///
    /// # Errors
    /// Where stored bytes are no `T`.
    pub async fn page(
        &self,
        cx: &mut Context<'_>,
        after: Option<&ListPosition>,
        entries_max: usize,
    ) -> Result<Vec<(ListPosition, T)>, Failure> {
        let entries = cx.page(&self.spec, after.map(|position| &position.0), entries_max).await?;
        entries.into_iter().map(|(place, bytes)| Ok((ListPosition(place), C::decode(&bytes)?))).collect()
    }

    /// All values, in order. For lists that fit in memory.
    ///
    /// # Errors
    /// Where stored bytes are no `T`.
    pub async fn all(&self, cx: &mut Context<'_>) -> Result<Vec<T>, Failure> {
        let entries = all_entries(cx, &self.spec).await?;
        entries.into_iter().map(|(_, bytes)| Ok(C::decode(&bytes)?)).collect()
    }

    /// Removes the value at `position`, if it is there.
    ///
    /// # Errors
    /// Where the cell is not declared.
    pub fn remove(&self, cx: &mut Context<'_>, position: &ListPosition) -> Result<(), Failure> {
        cx.remove(&self.spec, &position.0)
    }
}

impl<K: Send + Sync, V: Send, C: Codec<K> + Codec<V>> Map<K, V, C> {
    /// The value of `key`.
    ///
    /// # Errors
    /// Where the key cannot be encoded or the stored bytes are no `V`.
    pub async fn get(&self, cx: &mut Context<'_>, key: &K) -> Result<Option<V>, Failure> {
        let sub_key = <C as Codec<K>>::encode(key)?;
        match cx.read(&self.spec, &sub_key).await? {
            Some(bytes) => Ok(Some(<C as Codec<V>>::decode(&bytes)?)),
            None => Ok(None),
        }
    }

    /// Whether `key` has a value.
    ///
    /// # Errors
    /// Where the key cannot be encoded.
    pub async fn contains(&self, cx: &mut Context<'_>, key: &K) -> Result<bool, Failure> {
        let sub_key = <C as Codec<K>>::encode(key)?;
        Ok(cx.read(&self.spec, &sub_key).await?.is_some())
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// Where key or value cannot be encoded, or are over the store's limits.
    pub fn insert(&self, cx: &mut Context<'_>, key: &K, value: &V) -> Result<(), Failure> {
        let sub_key = <C as Codec<K>>::encode(key)?;
        cx.write(&self.spec, &sub_key, &<C as Codec<V>>::encode(value)?)
    }

    /// Removes `key`.
    ///
    /// # Errors
    /// Where the key cannot be encoded.
    pub fn remove(&self, cx: &mut Context<'_>, key: &K) -> Result<(), Failure> {
        cx.remove(&self.spec, &<C as Codec<K>>::encode(key)?)
    }

    /// Up to `entries_max` entries by encoded key, from behind `after`, or from the first.
    ///
    /// # Errors
    /// Where stored bytes are no `K` or `V`.
    pub async fn page(
        &self,
        cx: &mut Context<'_>,
        after: Option<&K>,
        entries_max: usize,
    ) -> Result<Vec<(K, V)>, Failure> {
        let after = after.map(<C as Codec<K>>::encode).transpose()?;
        let entries = cx.page(&self.spec, after.as_ref(), entries_max).await?;
        entries.iter().map(|(key, value)| Ok((C::decode(key)?, C::decode(value)?))).collect()
    }

    /// All entries, by encoded key. For maps that fit in memory.
    ///
    /// # Errors
    /// Where stored bytes are no `K` or `V`.
    pub async fn all(&self, cx: &mut Context<'_>) -> Result<Vec<(K, V)>, Failure> {
        let entries = all_entries(cx, &self.spec).await?;
        entries.iter().map(|(key, value)| Ok((C::decode(key)?, C::decode(value)?))).collect()
    }
}

impl<K: Send + Sync, C: Codec<K>> Set<K, C> {
    /// Adds `key`.
    ///
    /// # Errors
    /// Where it cannot be encoded, or is over the store's limits.
    pub fn insert(&self, cx: &mut Context<'_>, key: &K) -> Result<(), Failure> {
        cx.write(&self.spec, &C::encode(key)?, &Bytes::new())
    }

    /// Removes `key`.
    ///
    /// # Errors
    /// Where it cannot be encoded.
    pub fn remove(&self, cx: &mut Context<'_>, key: &K) -> Result<(), Failure> {
        cx.remove(&self.spec, &C::encode(key)?)
    }

    /// Whether `key` is in it.
    ///
    /// # Errors
    /// Where it cannot be encoded.
    pub async fn contains(&self, cx: &mut Context<'_>, key: &K) -> Result<bool, Failure> {
        let sub_key = C::encode(key)?;
        Ok(cx.read(&self.spec, &sub_key).await?.is_some())
    }

    /// All keys, by their encoding. For sets that fit in memory.
    ///
    /// # Errors
    /// Where stored bytes are no `K`.
    pub async fn all(&self, cx: &mut Context<'_>) -> Result<Vec<K>, Failure> {
        let entries = all_entries(cx, &self.spec).await?;
        entries.iter().map(|(key, _)| Ok(C::decode(key)?)).collect()
    }
}

async fn all_entries(cx: &mut Context<'_>, spec: &CellSpec) -> Result<Vec<(Bytes, Bytes)>, Failure> {
    let mut all: Vec<(Bytes, Bytes)> = Vec::new();
    loop {
        let after = all.last().map(|(key, _)| key.clone());
        let page = cx.page(spec, after.as_ref(), PAGE_ENTRIES).await?;
        let full = page.len() == PAGE_ENTRIES;
        all.extend(page);
        if !full {
            return Ok(all);
        }
    }
}
