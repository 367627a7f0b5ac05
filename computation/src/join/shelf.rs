//! Records of one key by event time, each an entry of its state: so any number of them, read in pages.
//!
//! It decides nothing.

use crate::codec::{Codec, Postcard};
use crate::context::Context;
use crate::failure::Failure;
use crate::state::{CellKind, CellSpec, StateCell};
use bytes::Bytes;
use pelton_domain::{EventTime, RecordId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// How many records are fetched at a time.
const PAGE_ENTRIES: usize = 64;
/// Once its effects weigh so much, a call ends and goes on in another.
pub(crate) const CALL_BYTES_SOFT_MAX: usize = 1_000_000;

/// Flipped, so that negative times come first.
const SIGN: u64 = 1 << 63;

/// What can lie in state.
pub(crate) trait Kept: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {}
impl<T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Kept for T {}

/// Records by event time.
pub(super) struct Shelf<T> {
    spec: CellSpec,
    of: PhantomData<fn() -> T>,
}

/// Where a record stands: by event time, then by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(Bytes);

impl Place {
    /// That of a record.
    pub(super) fn of(at: EventTime, id: RecordId) -> Self {
        Self([&ordered(at)[..], &id.to_bytes()[..]].concat().into())
    }

    /// Before all records of this time, and behind all earlier ones.
    pub(super) fn before(at: EventTime) -> Self {
        Self(Bytes::copy_from_slice(&ordered(at)))
    }

    /// The event time.
    pub(super) fn at(&self) -> EventTime {
        let time = self.0.first_chunk::<8>().map_or(0, |time| u64::from_be_bytes(*time) ^ SIGN);
        EventTime::from_micros(time.cast_signed())
    }
}

fn ordered(at: EventTime) -> [u8; 8] {
    (at.as_micros().cast_unsigned() ^ SIGN).to_be_bytes()
}

impl<T> StateCell for Shelf<T> {
    fn spec(&self) -> CellSpec {
        self.spec
    }
}

impl<T: Serialize + DeserializeOwned> Shelf<T> {
    /// The shelf in the cell `name`.
    pub(super) const fn new(name: &'static str) -> Self {
        Self { spec: CellSpec::new(name, CellKind::Map), of: PhantomData }
    }

    pub(super) fn put(&self, cx: &mut Context<'_>, place: &Place, value: &T) -> Result<(), Failure> {
        cx.write(&self.spec, &place.0, &Postcard::encode(value)?)
    }

    pub(super) fn remove(&self, cx: &mut Context<'_>, place: &Place) -> Result<(), Failure> {
        cx.remove(&self.spec, &place.0)
    }

    /// Some records from behind `after` on; none where there are no more.
    pub(super) async fn page(
        &self,
        cx: &mut Context<'_>,
        after: Option<&Place>,
    ) -> Result<Vec<(Place, T)>, Failure> {
        let entries = cx.page(&self.spec, after.map(|place| &place.0), PAGE_ENTRIES).await?;
        entries.into_iter().map(|(place, value)| Ok((Place(place), Postcard::decode(&value)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_domain::{Sequencer, SystemTime};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn places_sort_by_time_then_id_and_give_the_time_back(a: i64, b: i64, m in 0u32..9, n in 0u32..9) {
            let id = |n| RecordId::assigned(SystemTime::from_millis(7), Sequencer::MIN, n);
            let (at, other) = (EventTime::from_micros(a), EventTime::from_micros(b));
            let (one, two) = (Place::of(at, id(m)), Place::of(other, id(n)));
            prop_assert_eq!(one.cmp(&two), (a, m).cmp(&(b, n)));
            prop_assert_eq!(one.at(), at);
            prop_assert!(Place::before(at) < one);
            prop_assert_eq!(Place::before(other) > one, b > a);
        }
    }
}
