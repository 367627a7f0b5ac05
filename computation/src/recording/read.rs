//! The records of a recording, in the order in which they came: the clients' lists merged by the place of each entry.
//!
//! Places ascend within an interval, and begin with the time; so the records of one client keep their order (I9), and
//! those of several are in the order of their arrival as far as the workers' clocks agree.

use crate::pages::Pages;
use crate::state::Envelope;
use bytes::Bytes;
use pelton_domain::{Key, KeyInterval, ProcessingTime};
use pelton_proto::{Malformed, convert, store};
use pelton_statestore::keys::MalformedKey;
use pelton_statestore::{ComputationKeys, KeyRange, Scan, StoreFault, StoreHandle};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The cell that a recording is.
pub(crate) const CELL: &str = "recording";
/// What all clients' pages together have in memory, where that is possible: each has one record at least.
const PAGES_BYTES_MAX: usize = 32 << 20;
/// The most records of one client's page.
const PAGE_RECORDS_MAX: usize = 512;

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The store is broken or closed.
    #[error("the store failed: {0}")]
    Store(StoreFault),
    /// A key of it is none.
    #[error("the recording has a key that cannot be read: {0}")]
    Key(#[from] MalformedKey),
    /// What says where it lies cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// An entry of it is damaged.
    #[error("the recording of client {client} has an entry that cannot be read: {reason}")]
    Entry {
        /// Whose.
        client: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<StoreFault> for RecordingError {
    fn from(fault: StoreFault) -> Self {
        Self::Store(fault)
    }
}

/// Where a record stands in a recording: ascending.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(crate) struct Place {
    at: Vec<u8>,
    client: Vec<u8>,
}

impl Place {
    /// What tells the record from every other of its stream, as text.
    pub(crate) fn name(&self) -> String {
        self.at.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A record of a recording.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    pub(crate) client: Key,
    pub(crate) record: store::Recorded,
}

/// The recording of one stream.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    store: StoreHandle,
    /// Those of the computation that appends.
    keys: ComputationKeys,
}

impl Recording {
    pub(crate) fn of(store: &StoreHandle, keys: ComputationKeys) -> Self {
        Self { store: store.clone(), keys }
    }

    /// Everyone who has appended, or has ids that are remembered.
    pub(crate) async fn clients(&self) -> Result<Vec<Key>, RecordingError> {
        let (mut clients, mut range) = (Vec::new(), self.keys.state_of_interval(KeyInterval::FULL));
        while let Some((place, _)) = self.first_of(range.clone()).await? {
            let client = self.keys.read_state(&place)?.key;
            range.start = self.keys.state_of_key(&client).end;
            clients.push(client);
        }
        Ok(clients)
    }

    async fn first_of(&self, range: KeyRange) -> Result<Option<(Bytes, Bytes)>, StoreFault> {
        Pages::in_scans(&self.store, Scan { entries_max: 1, ..Scan::page_of(range) }).next().await
    }

    /// The records that arrived at `from` or later, behind `after` where there is one.
    pub(crate) async fn open(
        &self,
        from: Option<ProcessingTime>,
        after: Option<&Place>,
    ) -> Result<Merged, RecordingError> {
        let clients = self.clients().await?;
        let bytes_max = (PAGES_BYTES_MAX / clients.len().max(1)).clamp(1, 256 << 10);
        let mut merged = Merged { keys: self.keys.clone(), from, lanes: Vec::new(), next: BinaryHeap::new() };
        for client in clients {
            let range = self.range(&client, from, after);
            let scan = Scan { range, entries_max: PAGE_RECORDS_MAX, bytes_max };
            let lane = Lane { client, pages: Pages::in_scans(&self.store, scan), head: None };
            merged.add(lane, after).await?;
        }
        Ok(merged)
    }

    /// Where to look for the records of a client: a place carries the time of its record, or a later one.
    fn range(&self, client: &Key, from: Option<ProcessingTime>, after: Option<&Place>) -> KeyRange {
        let mut range = self.keys.state_of_cell(client, &[], CELL.as_bytes());
        let earliest = from.map(|from| {
            let ms = u64::try_from(from.as_micros() / 1000).unwrap_or(0);
            let [.., a, b, c, d, e, f] = ms.to_be_bytes();
            vec![a, b, c, d, e, f]
        });
        let start = earliest.into_iter().chain(after.map(|after| after.at.clone())).max();
        if let Some(start) = start {
            range.start = [range.start.as_ref(), &start].concat().into();
        }
        range
    }
}

/// The records of one client.
#[derive(Debug)]
struct Lane {
    client: Key,
    pages: Pages,
    head: Option<Entry>,
}

impl Lane {
    /// Goes on to the next record that is not too early.
    async fn go_on(
        &mut self,
        keys: &ComputationKeys,
        from: Option<ProcessingTime>,
    ) -> Result<(), RecordingError> {
        self.head = None;
        while let Some((key, value)) = self.pages.next().await? {
            let record = decode(&self.client, &value)?;
            if from.is_some_and(|from| record.arrived_at_us < from.as_micros()) {
                continue;
            }
            let at = keys.read_state(&key)?.sub_key.to_vec();
            let place = Place { at, client: self.client.as_bytes().to_vec() };
            self.head = Some(Entry { place, client: self.client.clone(), record });
            break;
        }
        Ok(())
    }
}

/// The records of all clients, in order.
#[derive(Debug)]
pub(crate) struct Merged {
    keys: ComputationKeys,
    from: Option<ProcessingTime>,
    lanes: Vec<Lane>,
    next: BinaryHeap<Reverse<(Place, usize)>>,
}

impl Merged {
    async fn add(&mut self, mut lane: Lane, after: Option<&Place>) -> Result<(), RecordingError> {
        lane.go_on(&self.keys, self.from).await?;
        // Where another client has a record at the same place, that of this one may have come before it.
        while lane.head.as_ref().is_some_and(|head| after.is_some_and(|after| head.place <= *after)) {
            lane.go_on(&self.keys, self.from).await?;
        }
        if let Some(head) = &lane.head {
            self.next.push(Reverse((head.place.clone(), self.lanes.len())));
            self.lanes.push(lane);
        }
        Ok(())
    }

    /// The record that comes next, which stays the next one.
    pub(crate) fn peek(&self) -> Option<&Entry> {
        let Reverse((_, at)) = self.next.peek()?;
        self.lanes.get(*at)?.head.as_ref()
    }

    /// Takes the next record. Not safe to cancel: the record would be lost to this reader.
    pub(crate) async fn take(&mut self) -> Result<Option<Entry>, RecordingError> {
        let Some(Reverse((_, at))) = self.next.pop() else { return Ok(None) };
        let Some(lane) = self.lanes.get_mut(at) else { return Ok(None) };
        let entry = lane.head.take();
        lane.go_on(&self.keys, self.from).await?;
        if let Some(head) = &lane.head {
            self.next.push(Reverse((head.place.clone(), at)));
        }
        Ok(entry)
    }
}

fn decode(client: &Key, value: &Bytes) -> Result<store::Recorded, RecordingError> {
    let fail = |reason: String| RecordingError::Entry { client: client.to_string(), reason };
    let envelope = Envelope::open(value).map_err(|error| fail(error.to_string()))?;
    let decoded: Result<store::Recorded, Malformed> = convert::decode("recorded record", &envelope.payload);
    decoded.map_err(|error| fail(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{CellKind, CellSpec};
    use pelton_domain::Name;
    use pelton_proto::Message;
    use pelton_statestore::memory::Memory;
    use pelton_statestore::{Commit, PipelineKeys, Write};
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::Duration;

    const KEPT: CellSpec =
        CellSpec { expires_after: Some(Duration::from_secs(60)), ..CellSpec::new(CELL, CellKind::List) };

    /// A recording of records that came from these clients, in these milliseconds.
    async fn recorded(came: &BTreeSet<(u64, u8)>) -> Recording {
        let store: StoreHandle = Arc::new(Memory::new());
        let keys = PipelineKeys::new(&Name::new("p").unwrap()).computation(1);
        let put = |&(ms, client): &(u64, u8)| {
            let arrived_at_us = i64::try_from(ms * 1000).unwrap();
            let record = store::Recorded { arrived_at_us, ..store::Recorded::default() };
            let now = ProcessingTime::from_micros(arrived_at_us);
            let value = Envelope::seal(&KEPT, now, &record.encode_to_vec());
            let place = [&(ms << 16).to_be_bytes()[..], &[0; 8]].concat();
            let key = keys.state(&Key::from(vec![client]), b"", CELL.as_bytes(), &place);
            Write::Put { key, value }
        };
        // Ids that are remembered are of the same keys.
        let id = |&(_, client): &(u64, u8)| {
            let key = keys.state(&Key::from(vec![client]), b"", b"ids", b"x");
            Write::Put { key, value: Bytes::from_static(&[0]) }
        };
        let writes = came.iter().map(put).chain(came.iter().map(id)).collect();
        store.commit(Commit { preconditions: vec![], writes }).await.unwrap();
        Recording::of(&store, keys)
    }

    async fn read(mut merged: Merged) -> Vec<(Place, (u64, u8))> {
        let mut all = Vec::new();
        while let Some(entry) = merged.take().await.unwrap() {
            let ms = u64::try_from(entry.record.arrived_at_us / 1000).unwrap();
            all.push((entry.place, (ms, entry.client.as_bytes()[0])));
        }
        all
    }

    proptest! {
        #[test]
        fn all_that_came_is_read_in_its_order_from_any_time_and_behind_any_record(
            came in proptest::collection::btree_set((1u64..30, 0u8..4), 0..40),
            from in 0u64..32,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let recording = recorded(&came).await;
                let all = read(recording.open(None, None).await.unwrap()).await;
                assert!(all.iter().map(|(_, came)| came).eq(&came), "{all:?}");
                let time = ProcessingTime::from_micros(i64::try_from(from * 1000).unwrap());
                let later = read(recording.open(Some(time), None).await.unwrap()).await;
                assert!(later.iter().map(|(_, came)| came).eq(came.iter().filter(|(ms, _)| *ms >= from)));
                for (at, (place, _)) in all.iter().enumerate() {
                    let rest = read(recording.open(None, Some(place)).await.unwrap()).await;
                    assert_eq!(rest, all[at + 1..]);
                }
            });
        }
    }

    #[tokio::test]
    async fn a_damaged_entry_is_told_with_its_client() {
        let recording = recorded(&BTreeSet::from([(5, b'c')])).await;
        let key = recording.keys.state(&Key::from("c"), b"", CELL.as_bytes(), &[0, 0, 0, 0, 0, 4]);
        let writes = vec![Write::Put { key, value: Bytes::new() }];
        recording.store.commit(Commit { preconditions: vec![], writes }).await.unwrap();
        let error = recording.open(None, None).await.unwrap_err().to_string();
        assert!(error.contains("client c") && error.contains("damaged"), "{error}");
    }
}
