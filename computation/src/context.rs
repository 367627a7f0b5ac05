//! What user code works with: one key, its state, its timers, and the streams it produces to.

use crate::codec::{Codec, CodecError};
use crate::engine::rows::EntryKey;
use crate::engine::scope::{Cause, Scope};
use crate::engine::timers::{Known, TimerEntry};
use crate::failure::Failure;
use crate::outlet::Routed;
use crate::redirect::Redirects;
use crate::state::{CellSpec, Envelope};
use crate::stream::Stream;
use crate::timer::{TimeDomain, Timer, TimerTime};
use bytes::Bytes;
use pelton_domain::{EventTime, Key, ProcessingTime, RecordId};
use pelton_proto::store;
use pelton_statestore::Write;
use pelton_statestore::keys::TimerAddress;
use std::sync::Arc;

/// The key a call is for, and everything it may do.
///
/// All effects of a call take place exactly once, in one commit (I2), or, where the call fails, not at all.
pub struct Context<'a> {
    scope: &'a mut Scope,
    key: Key,
    call: Call,
    input_watermark: EventTime,
    namespace: Bytes,
    redirects: Option<Arc<Redirects>>,
}

/// What a call is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// The event time of the record, or of the timer.
    pub(crate) event_time: EventTime,
    /// What it is called for.
    pub(crate) cause: Cause,
    /// Where the output watermark waits for this call at most.
    pub(crate) output_watermark: EventTime,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({} of {})", self.key, self.scope.spec.name)
    }
}

impl<'a> Context<'a> {
    pub(crate) fn new(scope: &'a mut Scope, key: Key, call: Call, input_watermark: EventTime) -> Self {
        Self { scope, key, call, input_watermark, namespace: Bytes::new(), redirects: None }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The id of the record this call is for; `None` in a timer's call.
    #[must_use]
    pub fn record_id(&self) -> Option<RecordId> {
        self.call.cause.record()
    }

    /// The event time of the record, or of the timer.
    #[must_use]
    pub fn event_time(&self) -> EventTime {
        self.call.event_time
    }

    /// The input low watermark: no record with an earlier event time is expected, other than late ones (I7).
    ///
    /// For a key whose code has failed it waits at its oldest parked record.
    #[must_use]
    pub fn input_watermark(&self) -> EventTime {
        self.input_watermark
    }

    /// The clock. A result that depends on it differs from run to run.
    #[must_use]
    pub fn now(&self) -> ProcessingTime {
        self.scope.now
    }

    /// Produces a record on `stream`. It is sent once the commit of this call has succeeded, again and again
    /// until every subscriber has acknowledged it (I5); from a weak computation it is sent at once.
    ///
    /// An event time before that of the record or timer of this call may be late downstream.
    ///
    /// # Errors
    /// Where the stream is not declared, or the value cannot be encoded or is over the store's limit.
    pub fn emit<T: 'static, C: Codec<T>>(
        &mut self,
        stream: &Stream<T, C>,
        key: impl Into<Key>,
        event_time: EventTime,
        value: &T,
    ) -> Result<(), Failure> {
        let key = key.into();
        let Some(redirects) = self.redirects.clone().filter(|redirects| redirects.has(stream.name())) else {
            return self.emit_encoded(stream.name(), key, event_time, || C::encode(value));
        };
        for Routed { stream, key, event_time, value } in
            redirects.route(stream.name(), &key, event_time, value)?
        {
            self.emit_encoded(stream.name(), key, event_time, || Ok(value))?;
        }
        Ok(())
    }

    /// Produces a record whose value is encoded only if the stream is read.
    fn emit_encoded(
        &mut self,
        stream: &str,
        key: Key,
        event_time: EventTime,
        value: impl FnOnce() -> Result<Bytes, CodecError>,
    ) -> Result<(), Failure> {
        let output = self.scope.spec.output(stream).ok_or_else(|| {
            Failure::permanent(format!(
                "{} produces to stream {stream:?} without declaring it: add `.output(&..)` to its declaration",
                self.scope.spec.name,
            ))
        })?;
        if !output.subscribed {
            return Ok(());
        }
        let stream = output.stream;
        self.scope.produce(&self.key, self.call.cause, stream, key, event_time, value()?)
    }

    /// From here on, productions to these streams go where they are redirected to.
    pub(crate) fn redirect(&mut self, redirects: Arc<Redirects>) {
        self.redirects = Some(redirects);
    }

    /// What the effects of this call weigh so far, in bytes.
    pub(crate) fn call_bytes(&self) -> usize {
        self.scope.call_bytes()
    }

    /// Fails as [`Self::emit`] would for a record under `key` that no store takes.
    pub(crate) fn check_production(&self, key: &Key, value: &Bytes) -> Result<(), Failure> {
        self.scope.check_production(&self.key, key, value).map(drop)
    }

    /// Sets a timer; the same tag in the same domain is replaced (I8).
    ///
    /// # Errors
    /// Where the tag is longer than 64 bytes or the payload over the store's limit.
    pub fn set_timer(&mut self, timer: Timer) -> Result<(), Failure> {
        if timer.tag.len() > pelton_domain::Name::LENGTH_MAX {
            return Err(Failure::permanent(format!("the timer tag {:?} is longer than 64 bytes", timer.tag)));
        }
        let fire_at_us = match timer.at {
            TimerTime::At(at) => at,
            TimerTime::After(delay) => self.scope.now.plus(delay).as_micros(),
        };
        let output_time = timer.output_time.unwrap_or(match timer.domain {
            TimeDomain::Event => EventTime::from_micros(fire_at_us),
            TimeDomain::Processing => self.call.output_watermark,
        });
        let address = self.timer_address(timer.tag, timer.domain);
        self.scope.change_timer(address, Some(TimerEntry { fire_at_us, output_time, payload: timer.payload }))
    }

    /// Clears a timer, set or not.
    ///
    /// # Errors
    /// Where the call's effects are over their limit.
    pub fn clear_timer(&mut self, tag: &str, domain: TimeDomain) -> Result<(), Failure> {
        let address = self.timer_address(tag, domain);
        if self.scope.timers.look_up(&address) == Known::Unset {
            return Ok(());
        }
        self.scope.change_timer(address, None)
    }

    /// When the timer is set to fire, in microseconds of its domain; `None` where it is not set.
    ///
    /// # Errors
    /// Where the store had to be asked, and failed.
    pub async fn timer(&mut self, tag: &str, domain: TimeDomain) -> Result<Option<i64>, Failure> {
        let address = self.timer_address(tag, domain);
        match self.scope.timers.look_up(&address) {
            Known::Set(entry) => Ok(Some(entry.fire_at_us)),
            Known::Unset => Ok(None),
            Known::Ask => self.scope.stored_timer(&address).await.map(|entry| entry.map(|e| e.fire_at_us)),
        }
    }

    fn timer_address(&self, tag: &str, domain: TimeDomain) -> TimerAddress {
        let tag = Bytes::copy_from_slice(tag.as_bytes());
        TimerAddress { key: self.key.clone(), domain, namespace: self.namespace.clone(), tag }
    }

    /// Counts this record as dropped because it is late (I10). The count commits with the call.
    pub fn drop_late(&mut self) {
        self.drop_late_all(1);
    }

    /// Counts so many records as dropped because they are late.
    pub(crate) fn drop_late_all(&mut self, records: u64) {
        self.scope.batch.counters.late_dropped += records;
    }

    /// From here on, cells and timers are those of `namespace`: of a window, or, where it is empty, of the key.
    pub(crate) fn enter(&mut self, namespace: Bytes) {
        self.namespace = namespace;
    }

    /// Gives `value` up with a reason: it is counted, kept in the store, and sent on the dead-letter stream.
    /// For input that is no record, such as a malformed row; of a record, return [`Failure::permanent`].
    ///
    /// # Errors
    /// Where the value is over the store's limit.
    pub fn dead_letter(
        &mut self,
        value: impl Into<Bytes>,
        reason: impl std::fmt::Display,
        event_time: EventTime,
    ) -> Result<(), Failure> {
        let letter = store::DeadLetter {
            stream: 0,
            id: Bytes::new(),
            key: self.key.to_bytes(),
            value: value.into(),
            event_time_us: event_time.as_micros(),
            attempts: 1,
            error: reason.to_string(),
            failed_at_us: self.scope.now.as_micros(),
        };
        let key = self.key.clone();
        self.scope.dead_letter(&key, letter, self.call.cause)
    }

    fn entry(&self, spec: &CellSpec, sub_key: &[u8]) -> Result<EntryKey, Failure> {
        Ok(EntryKey {
            namespace: self.namespace.clone(),
            cell: self.cell(spec)?,
            sub_key: Bytes::copy_from_slice(sub_key),
        })
    }

    fn cell(&self, spec: &CellSpec) -> Result<u16, Failure> {
        self.scope.spec.cell(spec.name).ok_or_else(|| {
            Failure::permanent(format!(
                "{} uses cell {:?} without declaring it: add `.cell(&..)` to its declaration",
                self.scope.spec.name, spec.name,
            ))
        })
    }

    pub(crate) async fn read(&mut self, spec: &CellSpec, sub_key: &[u8]) -> Result<Option<Bytes>, Failure> {
        let entry = self.entry(spec, sub_key)?;
        match self.scope.entry(&self.key, entry).await? {
            Some(bytes) => self.open(spec, &bytes),
            None => Ok(None),
        }
    }

    fn open(&self, spec: &CellSpec, bytes: &Bytes) -> Result<Option<Bytes>, Failure> {
        Envelope::read(bytes, spec, self.scope.now).map_err(|error| {
            Failure::permanent(format!("cell {:?} of {}: {error}", spec.name, self.scope.spec.name))
        })
    }

    pub(crate) fn write(&mut self, spec: &CellSpec, sub_key: &[u8], payload: &Bytes) -> Result<(), Failure> {
        let entry = self.entry(spec, sub_key)?;
        self.scope.put(&self.key, entry, Some(Envelope::seal(spec, self.scope.now, payload)))
    }

    pub(crate) fn remove(&mut self, spec: &CellSpec, sub_key: &[u8]) -> Result<(), Failure> {
        let entry = self.entry(spec, sub_key)?;
        self.scope.put(&self.key, entry, None)
    }

    pub(crate) fn remove_all(&mut self, spec: &CellSpec) -> Result<(), Failure> {
        let cell = self.cell(spec)?;
        self.scope.rows.clear(&self.key, &self.namespace, cell);
        Ok(())
    }

    /// Up to `entries_max` live entries of a cell, from behind `after`.
    pub(crate) async fn page(
        &mut self,
        spec: &CellSpec,
        after: Option<&Bytes>,
        entries_max: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, Failure> {
        let cell = self.cell(spec)?;
        let mut live = Vec::new();
        let mut after = after.cloned();
        loop {
            let page = self.scope.page(&self.key, &self.namespace, cell, after.as_ref(), entries_max).await?;
            let Some((last, _)) = page.last() else { return Ok(live) };
            after = Some(last.clone());
            for (sub_key, bytes) in page {
                if let Some(payload) = self.open(spec, &bytes)? {
                    live.push((sub_key, payload));
                    if live.len() == entries_max {
                        return Ok(live);
                    }
                }
            }
        }
    }

    /// Puts a record of a published stream into the log that the key keeps.
    pub(crate) fn publish(&mut self, offset: u64, record: Bytes) -> Result<(), Failure> {
        self.scope.publish(&self.key, offset, record)
    }

    /// Removes the records from `first` to before `end` from the log that the key keeps.
    pub(crate) fn unpublish(&mut self, first: u64, end: u64) {
        let range = self.scope.keys.published_between(&self.key, first, end);
        self.scope.batch.write(Write::DeleteRange { range });
    }

    /// A place behind every earlier one, for bags and lists.
    pub(crate) fn next_place(&mut self) -> [u8; 16] {
        self.scope.ids.assign(crate::engine::clock::system_time(self.scope.now)).to_bytes()
    }
}
