//! What is kept of a key: records that wait for the watermark, partial matches, and the records these hold.
//!
//! Each record is an entry of its own; the partial matches are one. All of it is written in the commit of the call
//! that changes it (I2), and goes when nothing can come of it any more (I11).

use super::matcher::Partial;
use super::said::Pattern;
use crate::codec::{Codec, Postcard};
use crate::context::Context;
use crate::failure::Failure;
use crate::state::{CellKind, CellSpec, Map, StateCell, Value};
use bytes::Bytes;
use pelton_domain::EventTime;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};

/// At most so many records of a key may wait for the watermark to pass them.
pub const WAITING_RECORDS_MAX: u64 = 100_000;

/// Records looked at in one call; the rest is another call's.
const PAGE_RECORDS: usize = 256;

/// Where a record waits: by its event time, then by its tie, then as it came. So the bytes are in that order.
pub(super) type Place = [u8; 32];

/// The records that wait, by [`Place`].
pub(super) const WAITING: CellSpec = CellSpec::new("waiting", CellKind::Map);

/// How many wait.
pub(super) const WAITING_COUNT: Value<u64> = Value::new("waiting-count");

/// The partial matches.
pub(super) const PARTIAL: Value<Partial> = Value::new("partial");

/// [`WAITING`], to be declared.
pub(super) struct Waiting;

impl StateCell for Waiting {
    fn spec(&self) -> CellSpec {
        WAITING
    }
}

/// The records that partial matches hold, by their numbers.
pub(super) const fn held<T>() -> Map<u64, T> {
    Map::new("held")
}

/// A record that waits.
pub(super) struct Next {
    pub(super) place: Bytes,
    pub(super) value: Bytes,
}

impl Next {
    pub(super) fn at_us(&self) -> i64 {
        // The sign is turned, so that earlier times have smaller bytes.
        let first = self.place.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        (first ^ SIGN).cast_signed()
    }
}

const SIGN: u64 = 1 << 63;

/// The place of a record that came now.
pub(super) fn place(cx: &mut Context<'_>, at: EventTime, tie: u64) -> Place {
    let mut place = [0; 32];
    let time = at.as_micros().cast_unsigned() ^ SIGN;
    for (to, from) in
        place.iter_mut().zip(time.to_be_bytes().into_iter().chain(tie.to_be_bytes()).chain(cx.next_place()))
    {
        *to = from;
    }
    place
}

/// Lets a record wait.
pub(super) async fn wait<T: Serialize + DeserializeOwned>(
    cx: &mut Context<'_>,
    place: &Place,
    value: &T,
) -> Result<(), Failure> {
    let waiting = WAITING_COUNT.get(cx).await?.unwrap_or(0);
    if waiting >= WAITING_RECORDS_MAX {
        return Err(Failure::permanent(format!(
            "{waiting} records of key {} wait for the watermark to pass them, and {WAITING_RECORDS_MAX} is the limit",
            cx.key(),
        )));
    }
    WAITING_COUNT.set(cx, &(waiting + 1))?;
    cx.write(&WAITING, place, &<Postcard as Codec<T>>::encode(value)?)
}

/// The first records that wait, in order; and whether there may be more.
pub(super) async fn page(cx: &mut Context<'_>) -> Result<(Vec<Next>, bool), Failure> {
    let entries = cx.page(&WAITING, None, PAGE_RECORDS).await?;
    let full = entries.len() == PAGE_RECORDS;
    Ok((entries.into_iter().map(|(place, value)| Next { place, value }).collect(), full))
}

/// Those do not wait any more.
pub(super) async fn done(cx: &mut Context<'_>, records: &[Next]) -> Result<(), Failure> {
    for record in records {
        cx.remove(&WAITING, &record.place)?;
    }
    let waiting = WAITING_COUNT.get(cx).await?.unwrap_or(0);
    match waiting.saturating_sub(records.len() as u64) {
        0 => WAITING_COUNT.clear(cx),
        left => WAITING_COUNT.set(cx, &left),
    }
}

/// The partial matches of a key, and the records they hold as far as they are read.
pub(super) struct Kept<T> {
    pub(super) partial: Partial,
    stored: Partial,
    pub(super) records: BTreeMap<u64, T>,
    /// Which records are in the state.
    held: BTreeSet<u64>,
    all_read: bool,
}

impl<T> Kept<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    pub(super) async fn load(cx: &mut Context<'_>, pattern: &Pattern<T>) -> Result<Self, Failure> {
        let partial = PARTIAL.get(cx).await?.unwrap_or_else(|| Partial::new(pattern));
        if partial.shape != pattern.shape() {
            return Err(Failure::stop(format!(
                "key {} has partial matches of another pattern than this step's, {pattern:?}: run the one they are \
                 of, or give the step a new name",
                cx.key(),
            )));
        }
        let (stored, held) = (partial.clone(), partial.held());
        let mut kept = Self { partial, stored, all_read: held.is_empty(), held, records: BTreeMap::new() };
        if pattern.looks_back {
            kept.read_all(cx).await?;
        }
        Ok(kept)
    }

    /// Reads the records that partial matches hold, if that has not been done.
    pub(super) async fn read_all(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        if !self.all_read {
            self.records.extend(held().all(cx).await?);
            self.all_read = true;
        }
        Ok(())
    }

    /// Writes what has changed.
    pub(super) fn save(self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let held = self.partial.held();
        for gone in self.held.difference(&held) {
            super::kept::held::<T>().remove(cx, gone)?;
        }
        for new in held.difference(&self.held) {
            let record = self.records.get(new).ok_or_else(|| {
                Failure::permanent(format!(
                    "record {new} of a partial match of key {} is not there",
                    cx.key()
                ))
            })?;
            super::kept::held::<T>().insert(cx, new, record)?;
        }
        if self.partial.is_empty() {
            return if self.stored.is_empty() { Ok(()) } else { PARTIAL.clear(cx) };
        }
        match self.partial == self.stored {
            true => Ok(()),
            false => PARTIAL.set(cx, &self.partial),
        }
    }
}
