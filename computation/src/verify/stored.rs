//! What a store has of a computation, as it can be compared: without what differs from run to run.
//!
//! | of | left out |
//! |---|---|
//! | state | when it was written; the places of entries of lists, of which the index is compared, and of bags |
//! | timers | those of processing time |
//! | dead letters | number, attempts, and when it was given up |
//!
//! Entries of cells that expire are not compared at all: what is gone of them hangs on the clock.

use super::VerifyError;
use super::difference::Place;
use super::multiset::{Item, Items};
use super::ordered::{Ascending, At, Entry};
use crate::engine::timers::TimerEntry;
use crate::pages::Pages;
use crate::state::{CellKind, CellSpec, Envelope};
use bytes::Bytes;
use pelton_domain::{EventTime, KeyInterval, ProcessingTime};
use pelton_proto::{convert, store};
use pelton_statestore::keys::{StateAddress, TimeDomain};
use pelton_statestore::{ComputationKeys, StoreHandle};
use std::collections::BTreeMap;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// One computation in one store.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) store: StoreHandle,
    pub(super) keys: ComputationKeys,
    pub(super) cells: Arc<[CellSpec]>,
    /// Streams by their number there.
    pub(super) streams: Arc<BTreeMap<u32, String>>,
    pub(super) now: ProcessingTime,
}

impl Stored {
    /// A cell that is compared.
    fn cell(&self, name: &[u8]) -> Option<&CellSpec> {
        let spec = self.cells.iter().find(|spec| spec.name.as_bytes() == name)?;
        spec.expires_after.is_none().then_some(spec)
    }

    /// Its entries of state that have a place.
    pub(super) fn entries(&self) -> Entries {
        let pages = Pages::of(&self.store, self.keys.state_of_interval(KeyInterval::FULL));
        Entries { of: self.clone(), pages, list: None }
    }

    /// Its timers of event time.
    pub(super) fn timers(&self) -> Timers {
        let pages = Pages::of(&self.store, self.keys.timers(KeyInterval::FULL));
        Timers { keys: self.keys.clone(), pages }
    }

    fn payload(&self, spec: &CellSpec, value: &Bytes) -> Result<Bytes, String> {
        match Envelope::read(value, spec, self.now) {
            Ok(payload) => Ok(payload.unwrap_or_default()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Entries of state in the order of the store; those of lists by their index.
pub(super) struct Entries {
    of: Stored,
    pages: Pages,
    /// The list that the last entry is of, and the index of the next.
    list: Option<(StateAddress, u64)>,
}

impl Entries {
    fn index(&mut self, address: &StateAddress) -> Bytes {
        let list = StateAddress { sub_key: Bytes::new(), ..address.clone() };
        let index = match self.list.take() {
            Some((before, next)) if before == list => next,
            _ => 0,
        };
        self.list = Some((list, index + 1));
        Bytes::copy_from_slice(&index.to_be_bytes())
    }
}

impl Ascending for Entries {
    async fn next(&mut self) -> Result<Option<Entry>, VerifyError> {
        while let Some((key, value)) = self.pages.next().await? {
            let address = self.of.keys.read_state(&key)?;
            let Some(spec) = self.of.cell(&address.cell).copied().filter(|spec| spec.kind != CellKind::Bag)
            else {
                continue;
            };
            let value = self.of.payload(&spec, &value);
            let sub_key = match spec.kind {
                CellKind::List => self.index(&address),
                _ => address.sub_key,
            };
            let at = At::new(address.key, address.namespace, address.cell, sub_key);
            return Ok(Some(Entry { at, value }));
        }
        Ok(None)
    }
}

/// Timers of event time in the order of the store.
pub(super) struct Timers {
    keys: ComputationKeys,
    pages: Pages,
}

impl Ascending for Timers {
    async fn next(&mut self) -> Result<Option<Entry>, VerifyError> {
        while let Some((key, value)) = self.pages.next().await? {
            let address = self.keys.read_timer(&key)?;
            if address.domain != TimeDomain::Event {
                continue;
            }
            let value = match TimerEntry::decode(&value) {
                Ok(timer) => Ok(words(&timer)),
                Err(error) => Err(error.to_string()),
            };
            let at = At::new(address.key, address.namespace, Bytes::new(), address.tag);
            return Ok(Some(Entry { at, value }));
        }
        Ok(None)
    }
}

/// A timer's value in words, which are the same where the timer is.
fn words(timer: &TimerEntry) -> Bytes {
    let at = EventTime::from_micros(timer.fire_at_us);
    let payload = super::difference::text(&timer.payload);
    format!("at {at}, holds {}, payload {payload:?}", timer.output_time).into()
}

/// The entries of all bags of a computation.
pub(super) struct Bags(pub(super) Stored);

impl Items for Bags {
    async fn each(&self, visit: &mut (dyn FnMut(Item) + Send)) -> Result<(), VerifyError> {
        let mut pages = Pages::of(&self.0.store, self.0.keys.state_of_interval(KeyInterval::FULL));
        while let Some((key, value)) = pages.next().await? {
            let address = self.0.keys.read_state(&key)?;
            let Some(spec) = self.0.cell(&address.cell).filter(|spec| spec.kind == CellKind::Bag) else {
                continue;
            };
            let shown = self.0.payload(spec, &value).unwrap_or_else(Bytes::from);
            let StateAddress { key, namespace, cell, .. } = address;
            let id = id(&[key.as_bytes(), &namespace, &cell, &shown]);
            let cell = String::from_utf8_lossy(&cell).into_owned();
            let place = Place::Entry { cell, namespace, sub_key: Bytes::new() };
            visit(Item { id, times: 1, key: Some(key), place, shown });
        }
        Ok(())
    }
}

/// The dead letters of a computation.
pub(super) struct DeadLetters(pub(super) Stored);

impl Items for DeadLetters {
    async fn each(&self, visit: &mut (dyn FnMut(Item) + Send)) -> Result<(), VerifyError> {
        let mut pages = Pages::of(&self.0.store, self.0.keys.dead_letters(KeyInterval::FULL));
        while let Some((place, value)) = pages.next().await? {
            let (key, _) = self.0.keys.read_dead_letter(&place)?;
            let letter: store::DeadLetter = convert::decode("dead letter", &value)?;
            let stream = self.0.streams.get(&letter.stream).map_or("", String::as_str);
            let time = letter.event_time_us.to_be_bytes();
            let parts = [key.as_bytes(), stream.as_bytes(), letter.error.as_bytes(), &time, &letter.value];
            let shown = format!("{}: {}", letter.error, super::difference::text(&letter.value)).into();
            visit(Item { id: id(&parts), times: 1, key: Some(key), place: Place::DeadLetter, shown });
        }
        Ok(())
    }
}

/// A hash of parts, each with its length.
fn id(parts: &[&[u8]]) -> u128 {
    let mut hash = Xxh3::new();
    for part in parts {
        hash.update(&part.len().to_be_bytes());
        hash.update(part);
    }
    hash.digest128()
}
