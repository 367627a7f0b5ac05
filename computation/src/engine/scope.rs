//! What user code acts on through its context: rows, timers, ids and the open batch of one interval.
//!
//! Every call runs between [`Scope::begin`] and [`Scope::keep`] or [`Scope::rollback`], so that a failed one
//! leaves nothing behind.

use super::batch::{Batch, Mark};
use super::clock::system_time;
use super::ids::IdClock;
use super::outbox::{Item, Production};
use super::rows::{EntryKey, Known, Rows};
use super::timers::{TimerEntry, Timers};
use crate::failure::Failure;
use crate::pipeline::ComputationSpec;
use bytes::Bytes;
use pelton_domain::mutants::{Mutant, mutant};
use pelton_domain::{CommitNumber, EventTime, Key, ProcessingTime, Record, RecordId};
use pelton_proto::{Message, store};
use pelton_statestore::keys::{ComputationKeys, TimerAddress};
use pelton_statestore::{KeyRange, Limits, Page, ReadError, Scan, StoreHandle, Write};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// What the effects of one call may weigh beside a full batch.
const CALL_BYTES_MAX: usize = 4_000_000;
/// What a stored chunk needs around one production.
const PRODUCTION_OVERHEAD_BYTES: usize = 64;
/// The room that a stored record must leave in a store value, so that it can be parked or become a dead letter,
/// with the error, as well.
const RECORD_ROOM_BYTES: usize = 4096;
/// What stands around a key and sub-key in the store.
const KEY_OVERHEAD_BYTES: usize = 400;
/// The longest error text of a dead letter or parked record.
pub(crate) const ERROR_BYTES_MAX: usize = 300;

/// What a call is for, and so what becomes of its productions where the computation is weak.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause {
    /// A timer, or nothing that has an id.
    Timer,
    /// A record that its sender would repeat if this call were lost.
    Record(RecordId),
    /// A record that was parked: its senders were acknowledged then, and nobody would repeat it.
    Parked(RecordId),
}

impl Cause {
    /// The record.
    pub(crate) fn record(self) -> Option<RecordId> {
        match self {
            Self::Timer => None,
            Self::Record(id) | Self::Parked(id) => Some(id),
        }
    }
}

pub(crate) struct Scope {
    pub(crate) spec: Arc<ComputationSpec>,
    pub(crate) keys: ComputationKeys,
    pub(crate) store: StoreHandle,
    pub(crate) rows: Rows,
    pub(crate) timers: Timers,
    pub(crate) ids: IdClock,
    pub(crate) batch: Batch,
    /// The clock, as of the bundle.
    pub(crate) now: ProcessingTime,
    /// The input low watermark that has been applied.
    pub(crate) input_watermark: EventTime,
    limits: Limits,
    mark: Mark,
    /// Productions of the current call so far: the index of weak ids.
    call_productions: u32,
    /// The engine cannot go on with this interval.
    fault: Option<String>,
}

impl Scope {
    pub(crate) fn new(
        spec: Arc<ComputationSpec>,
        keys: ComputationKeys,
        store: StoreHandle,
        ids: IdClock,
        number: CommitNumber,
        input_watermark: EventTime,
        cache_bytes_max: usize,
    ) -> Self {
        let limits = store.limits();
        Self {
            spec,
            keys,
            store,
            rows: Rows::new(cache_bytes_max),
            timers: Timers::default(),
            ids,
            batch: Batch::new(number),
            now: ProcessingTime::MIN,
            input_watermark,
            limits,
            mark: Mark::default(),
            call_productions: 0,
            fault: None,
        }
    }

    /// A call begins.
    pub(crate) fn begin(&mut self) {
        self.mark = self.batch.mark();
        self.call_productions = 0;
    }

    /// The call succeeded: its effects belong to the batch.
    pub(crate) fn keep(&mut self) {
        self.rows.keep();
        self.timers.keep();
        self.batch.calls += 1;
    }

    /// The call failed: nothing of it remains.
    pub(crate) fn rollback(&mut self) {
        self.rows.rollback();
        self.timers.rollback();
        self.batch.return_to(self.mark);
    }

    /// The interval cannot go on, for this reason.
    pub(crate) fn set_fault(&mut self, reason: String) {
        self.fault.get_or_insert(reason);
    }

    pub(crate) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// What the effects of the current call weigh so far.
    pub(crate) fn call_bytes(&self) -> usize {
        self.batch.bytes.saturating_sub(self.mark.bytes())
    }

    fn weigh(&mut self, bytes: usize) -> Result<(), Failure> {
        self.batch.bytes += bytes;
        let call = self.call_bytes();
        if call > CALL_BYTES_MAX {
            return Err(Failure::permanent(format!(
                "the effects of one call weigh {call} bytes, and at most {CALL_BYTES_MAX} fit into a commit: \
                 write less at once, or continue in a timer"
            )));
        }
        Ok(())
    }

    /// An entry's value, from the cache or the store.
    pub(crate) async fn entry(&mut self, key: &Key, entry: EntryKey) -> Result<Option<Bytes>, Failure> {
        if let Known::Yes(value) = self.rows.look_up(key, &entry) {
            return Ok(value);
        }
        let place = self.place(key, &entry);
        let value = self.read(vec![place]).await?.into_iter().next().flatten();
        self.rows.learn(key, entry, value.clone());
        Ok(value)
    }

    /// Sets or removes an entry.
    pub(crate) fn put(&mut self, key: &Key, entry: EntryKey, value: Option<Bytes>) -> Result<(), Failure> {
        let size = value.as_ref().map_or(0, Bytes::len);
        if key.as_bytes().len() + entry.namespace.len() + entry.sub_key.len() + KEY_OVERHEAD_BYTES
            > self.limits.key_bytes_max
        {
            return Err(Failure::permanent(format!(
                "a sub-key of cell {} weighs {} bytes: with its key it is over the store's limit of {} bytes for a key",
                self.cell_name(entry.cell),
                entry.sub_key.len(),
                self.limits.key_bytes_max,
            )));
        }
        if size > self.limits.value_bytes_max {
            let (cell, limit) = (self.cell_name(entry.cell), self.limits.value_bytes_max);
            return Err(Failure::permanent(format!(
                "an entry of cell {cell} weighs {size} bytes, and the store takes at most {limit}: \
                 keep it in a list or a map instead"
            )));
        }
        self.weigh(size + key.as_bytes().len() + entry.sub_key.len() + 64)?;
        self.rows.put(key, entry, value);
        Ok(())
    }

    /// Bytes in the state cache.
    pub(crate) fn cached_bytes(&self) -> usize {
        self.rows.cached_bytes()
    }

    fn cell_name(&self, cell: u16) -> &'static str {
        self.spec.cell_names.get(usize::from(cell)).copied().unwrap_or("?")
    }

    fn place(&self, key: &Key, entry: &EntryKey) -> Bytes {
        let cell = self.cell_name(entry.cell);
        self.keys.state(key, &entry.namespace, cell.as_bytes(), &entry.sub_key)
    }

    /// Entries of a cell from behind `after`, in order: what the store has, under what is not yet committed.
    pub(crate) async fn page(
        &mut self,
        key: &Key,
        namespace: &Bytes,
        cell: u16,
        after: Option<&Bytes>,
        entries_max: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, Failure> {
        // The cache first: an entry of a commit that lands between the two is then in both, not in neither.
        let cached: BTreeMap<Bytes, Option<Bytes>> =
            self.rows.cached(key, namespace, cell, after).into_iter().collect();
        let mut merged: BTreeMap<Bytes, Bytes> = BTreeMap::new();
        let mut complete_to: Option<Bytes> = None;
        if !self.rows.hides_store(key, namespace, cell) {
            let mut range = self.keys.state_of_cell(key, namespace, self.cell_name(cell).as_bytes());
            let prefix = range.start.len();
            if let Some(after) = after {
                range.start = [range.start.as_ref(), after.as_ref(), &[0]].concat().into();
            }
            loop {
                let page = self
                    .scan(Scan { entries_max: entries_max.max(1), ..Scan::page_of(range.clone()) })
                    .await?;
                for (place, value) in page.entries {
                    let sub_key = place.slice(prefix..);
                    if !cached.contains_key(&sub_key) {
                        merged.insert(sub_key, value);
                    }
                }
                match page.next {
                    Some(next) if merged.len() < entries_max => range.start = next,
                    Some(next) => {
                        complete_to = Some(next.slice(prefix..));
                        break;
                    }
                    None => break,
                }
            }
        }
        merged.extend(cached.into_iter().filter_map(|(sub_key, value)| Some((sub_key, value?))));
        // Behind the last page of the store nothing is known but the cache's entries: they come later.
        let known = |sub_key: &Bytes| complete_to.as_ref().is_none_or(|to| sub_key < to);
        Ok(merged.into_iter().filter(|(sub_key, _)| known(sub_key)).take(entries_max).collect())
    }

    /// Fetches the single cells of `keys` that are not cached, all at once.
    pub(crate) async fn prefetch<'k>(&mut self, keys: impl Iterator<Item = &'k Key>) -> Result<(), Failure> {
        if !self.spec.cells.iter().any(|cell| cell.kind.is_single()) {
            return Ok(());
        }
        let mut seen = HashSet::new();
        let mut wanted = Vec::new();
        for key in keys {
            if self.rows.has_row(key) || !seen.insert(key) {
                continue;
            }
            for (place, cell) in self.spec.cells.iter().enumerate() {
                if cell.kind.is_single() {
                    let cell = u16::try_from(place).unwrap_or(u16::MAX);
                    wanted.push((
                        key.clone(),
                        EntryKey { namespace: Bytes::new(), cell, sub_key: Bytes::new() },
                    ));
                }
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let places = wanted.iter().map(|(key, entry)| self.place(key, entry)).collect();
        let values = self.read(places).await?;
        for ((key, entry), value) in wanted.into_iter().zip(values) {
            self.rows.learn(&key, entry, value);
        }
        Ok(())
    }

    /// Reads from the store; waits while it is unavailable.
    pub(crate) async fn read(&mut self, keys: Vec<Bytes>) -> Result<Vec<Option<Bytes>>, Failure> {
        let mut backoff = Duration::from_millis(1);
        loop {
            match self.store.read(keys.clone()).await {
                Ok(values) => return Ok(values),
                Err(error) => self.wait_or_fail(error, &mut backoff).await?,
            }
        }
    }

    /// One page from the store; waits while it is unavailable.
    pub(crate) async fn scan(&mut self, scan: Scan) -> Result<Page, Failure> {
        let mut backoff = Duration::from_millis(1);
        loop {
            match self.store.scan(scan.clone()).await {
                Ok(page) => return Ok(page),
                Err(error) => self.wait_or_fail(error, &mut backoff).await?,
            }
        }
    }

    /// Everything in a range, page by page; for ranges that are known to be bounded.
    pub(crate) async fn scan_all(&mut self, mut range: KeyRange) -> Result<Vec<(Bytes, Bytes)>, Failure> {
        let mut all = Vec::new();
        loop {
            let page = self.scan(Scan::page_of(range.clone())).await?;
            all.extend(page.entries);
            match page.next {
                Some(next) => range.start = next,
                None => return Ok(all),
            }
        }
    }

    async fn wait_or_fail(&mut self, error: ReadError, backoff: &mut Duration) -> Result<(), Failure> {
        match error {
            ReadError::Unavailable(fault) => {
                tracing::warn!(%fault, "the store is unavailable; a read waits");
                tokio::time::sleep(*backoff).await;
                *backoff = (*backoff * 2).min(Duration::from_secs(1));
                Ok(())
            }
            ReadError::Fatal(fault) => {
                self.fault = Some(fault.to_string());
                Err(Failure::engine(fault))
            }
        }
    }

    /// Stages a production of `producer` to the output at `place` in the spec.
    pub(crate) fn produce(
        &mut self,
        producer: &Key,
        cause: Cause,
        stream: u32,
        key: Key,
        event_time: EventTime,
        value: Bytes,
    ) -> Result<(), Failure> {
        let size = self.check_production(producer, &key, &value)?;
        self.weigh(size + PRODUCTION_OVERHEAD_BYTES)?;
        // A weak computation's run may have sent its productions before, in a reign that ended before it committed: so
        // their ids follow from the record, also where it was parked since.
        let anew = matches!(cause, Cause::Parked(_)) && mutant(Mutant::ParkedUnderNewIds);
        let of_record = cause.record().filter(|_| self.spec.options.weak && !anew);
        let id = match of_record {
            Some(record) => RecordId::derived(record, self.spec.number, self.call_productions),
            None => self.ids.assign(system_time(self.now)),
        };
        self.call_productions += 1;
        self.batch.counters.productions += 1;
        let record = Record { id, key, value, event_time };
        let production = Production { producer_key: producer.clone(), item: Item { stream, record } };
        // What no upstream would repeat is always strong: productions of timers, and of records that were parked.
        match cause {
            Cause::Record(_) if self.spec.options.weak => self.batch.weak_productions.push(production),
            _ => self.batch.productions.push(production),
        }
        Ok(())
    }

    /// What a production weighs; an error where no store takes it.
    pub(crate) fn check_production(
        &self,
        producer: &Key,
        key: &Key,
        value: &Bytes,
    ) -> Result<usize, Failure> {
        let size = key.as_bytes().len() + value.len() + producer.as_bytes().len();
        let size_max = record_bytes_max(&self.limits);
        if key.as_bytes().len() > Key::LENGTH_MAX || size > size_max {
            return Err(Failure::permanent(format!(
                "a production weighs {size} bytes with a key of {} bytes; at most {} and {} are allowed",
                key.as_bytes().len(),
                size_max,
                Key::LENGTH_MAX,
            )));
        }
        Ok(size)
    }

    /// Sets or clears a timer.
    pub(crate) fn change_timer(
        &mut self,
        address: TimerAddress,
        entry: Option<TimerEntry>,
    ) -> Result<(), Failure> {
        let size = entry.as_ref().map_or(0, |e| e.payload.len()) + address.key.as_bytes().len() + 64;
        if size > self.limits.value_bytes_max {
            return Err(Failure::permanent(format!("a timer of {size} bytes is over the store's limit")));
        }
        self.weigh(size)?;
        self.timers.change(address, entry);
        Ok(())
    }

    /// A timer as the store has it.
    pub(crate) async fn stored_timer(
        &mut self,
        address: &TimerAddress,
    ) -> Result<Option<TimerEntry>, Failure> {
        let stored = self.read(vec![self.keys.timer(address)]).await?.into_iter().next().flatten();
        stored.map(|value| TimerEntry::decode(&value)).transpose().map_err(Failure::engine)
    }

    /// Puts a record into the log of `key`. It is not cached: nothing in a call reads it.
    pub(crate) fn publish(&mut self, key: &Key, offset: u64, record: Bytes) -> Result<(), Failure> {
        let (size, limit) = (record.len(), self.limits.value_bytes_max);
        if size > limit {
            return Err(Failure::permanent(format!(
                "a record to be published weighs {size} bytes, and the store takes at most {limit}"
            )));
        }
        self.batch.write(Write::Put { key: self.keys.published(key, offset), value: record });
        Ok(())
    }

    /// Gives something up: an entry in the store, a count, and a record on the dead-letter stream.
    pub(crate) fn dead_letter(
        &mut self,
        key: &Key,
        letter: store::DeadLetter,
        cause: Cause,
    ) -> Result<(), Failure> {
        let attempts = letter.attempts;
        let letter = bounded(letter, self.limits.value_bytes_max);
        let report = crate::stream::DeadLetter {
            computation: self.spec.name.to_string(),
            key: key.to_string(),
            error: letter.error.clone(),
            attempts,
            event_time_us: letter.event_time_us,
            value: printable(&letter.value),
        };
        let event_time = EventTime::from_micros(letter.event_time_us);
        let place = self.keys.dead_letter(key, self.batch.next_number());
        self.batch.counters.dead_lettered += 1;
        self.batch.write(Write::Put { key: place, value: letter.encode_to_vec().into() });
        tracing::warn!(computation = %self.spec.name, %key, error = %report.error, attempts, "dead-lettered");
        if let Some(stream) = self.spec.dead_letters {
            let value = serde_json::to_vec(&report).map_err(|error| Failure::engine(error.to_string()))?;
            // Its own event time, late or not: it holds the watermark until its reader has it.
            let name = Key::from(self.spec.name.as_str());
            self.produce(key, cause, stream, name, event_time, value.into())?;
        }
        Ok(())
    }
}

/// What a record may weigh, so that a store can hold it wherever it may come to lie.
pub(crate) fn record_bytes_max(limits: &Limits) -> usize {
    limits.value_bytes_max.saturating_sub(RECORD_ROOM_BYTES)
}

/// A dead letter that fits into a store value: error text, and a value that came from outside, are cut.
fn bounded(mut letter: store::DeadLetter, value_bytes_max: usize) -> store::DeadLetter {
    let room = value_bytes_max.saturating_sub(RECORD_ROOM_BYTES + letter.key.len());
    if letter.value.len() > room {
        letter.error = format!("{} (cut from {} bytes)", letter.error, letter.value.len());
        letter.value.truncate(room);
    }
    letter.error = cut(&letter.error).to_owned();
    letter
}

/// At most so much of an error text, at a character's edge.
pub(crate) fn cut(error: &str) -> &str {
    error.get(..error.floor_char_boundary(ERROR_BYTES_MAX)).unwrap_or(error)
}

/// Text where it is UTF-8, else hexadecimal.
fn printable(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
