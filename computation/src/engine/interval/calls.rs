//! What becomes of a call: its effects are kept, or it is tried again, parked or given up (I8, I9, I10).

use super::super::bundle::Work;
use super::super::failing::RecordWork;
use super::super::outbox::Item;
use super::super::scope::{Cause, cut};
use super::core::Core;
use crate::context::{Call, Context};
use crate::failure::{Failure, FailureKind};
use crate::timer::TimeDomain;
use bytes::Bytes;
use pelton_domain::mutants::{Mutant, mutant};
use pelton_domain::{EventTime, Key, ProcessingTime};
use pelton_proto::{Message, convert, store};
use pelton_statestore::{Scan, Write};
use std::collections::VecDeque;

/// What the dead letters of one commit may weigh, beside a full batch.
const GIVE_UP_BYTES_MAX: usize = 4_000_000;
/// Parked records tried in one bundle.
const PARKED_PAGE: usize = 64;

impl Core {
    /// Prepares a call; `None` where there is nothing to call now.
    pub(crate) fn begin_call(&mut self, work: Work) -> Option<Work> {
        let work = match work {
            Work::Record(record) => {
                let key = &record.item.record.key;
                if self.failing.has_parked(key) && !mutant(Mutant::ParkedOvertaken) {
                    self.park(record);
                    return None;
                }
                if self.failing.must_wait(key) {
                    let key = key.clone();
                    self.failing.wait(&key, record);
                    return None;
                }
                Work::Record(record)
            }
            // It is in the store: it is found there again.
            Work::Parked { ref item, .. } if self.failing.must_wait(&item.record.key) => return None,
            Work::Timer { ref address, ref entry } => {
                if !self.scope.timers.is_current(address, entry) {
                    return None;
                }
                let wait = self.failing.must_wait(&address.key)
                    || self.scope.timers.has_earlier(address, entry.fire_at_us);
                if wait {
                    self.scope.timers.put_back(address);
                    return None;
                }
                work
            }
            parked @ Work::Parked { .. } => parked,
        };
        self.scope.begin();
        if let Work::Timer { address, .. } = &work {
            // Cleared before the call, so that the call may set it again.
            self.scope.timers.change(address.clone(), None);
        }
        Some(work)
    }

    /// What the code for `work` acts on.
    pub(crate) fn context(&mut self, work: &Work) -> Context<'_> {
        let key = work.key().clone();
        let watermark = self.failing.watermark_of(&key, self.scope.input_watermark);
        let call = match work {
            Work::Timer { address, entry } => {
                let event_time = match address.domain {
                    TimeDomain::Event => EventTime::from_micros(entry.fire_at_us),
                    TimeDomain::Processing => entry.output_time,
                };
                let output_watermark = watermark.min(entry.output_time);
                Call { event_time, cause: Cause::Timer, output_watermark }
            }
            Work::Record(RecordWork { item, .. }) => {
                let (event_time, cause) = (item.record.event_time, Cause::Record(item.record.id));
                Call { event_time, cause, output_watermark: watermark }
            }
            Work::Parked { item, .. } => {
                let (event_time, cause) = (item.record.event_time, Cause::Parked(item.record.id));
                Call { event_time, cause, output_watermark: watermark }
            }
        };
        Context::new(&mut self.scope, key, call, watermark)
    }

    /// A call has ended.
    pub(crate) fn end_call(&mut self, work: Work, result: Result<(), Failure>) {
        match result {
            Ok(()) => {
                self.scope.keep();
                match &work {
                    Work::Timer { .. } => self.scope.batch.counters.timers_fired += 1,
                    _ => self.scope.batch.counters.records += 1,
                }
                self.done(work);
            }
            Err(failure) => {
                self.scope.rollback();
                self.failed(work, failure);
            }
        }
    }

    /// The work is done for good: processed, or given up in the same batch.
    fn done(&mut self, work: Work) {
        let key = work.key().clone();
        match work {
            Work::Record(record) => self.settle(record),
            Work::Parked { number, .. } => {
                self.scope.batch.write(Write::Delete { key: self.scope.keys.parked(&key, number) });
                self.unpark(&key, number);
            }
            Work::Timer { .. } => {}
        }
        if !self.failing.is_empty() {
            self.failing.went_on(&key);
        }
    }

    fn unpark(&mut self, key: &Key, number: u64) {
        let released = self.failing.unparked(key, number);
        self.scope.batch.released = self.scope.batch.released.into_iter().chain(released).min();
    }

    /// A record's id and its deliveries go with the open batch (I4).
    fn settle(&mut self, record: RecordWork) {
        if self.scope.spec.options.dedup {
            self.scope.batch.ids.push(record.item.record.id);
        }
        self.scope.batch.settle(record.receipt);
        record.duplicates.into_iter().for_each(|receipt| self.scope.batch.settle(receipt));
    }

    fn failed(&mut self, work: Work, failure: Failure) {
        let key = work.key().clone();
        let policy = self.scope.spec.options.retry;
        let attempts = self.failing.attempts(&key) + 1;
        let delay = match failure.kind {
            FailureKind::Engine => return,
            FailureKind::Stop => return self.stop(&work, &failure),
            FailureKind::Permanent => return self.give_up(work, &failure.reason, attempts),
            FailureKind::Crashed if attempts >= policy.crashes_max => {
                return self.give_up(work, &failure.reason, attempts);
            }
            FailureKind::Crashed => None,
            FailureKind::Retry(delay) => {
                if self.is_past_age(&work) {
                    let error = format!("{}; tried for {} s", failure.reason, policy.timer_age_max.as_secs());
                    return self.give_up(work, &error, attempts);
                }
                delay
            }
        };
        metrics::counter!("pelton_calls_failed_total").increment(1);
        let computation = &self.scope.spec.name;
        match failure.kind {
            // A panic or an overrun is a bug of the code, and where it is tried without end nothing else tells of it.
            FailureKind::Crashed => tracing::warn!(%computation, %key, attempts, %failure, "a call crashed"),
            _ => tracing::debug!(%computation, %key, attempts, %failure, "a call failed"),
        }
        self.scope.timers.suspend(&key);
        let (record, timer) = match work {
            Work::Record(record) => (Some(record), None),
            Work::Timer { address, .. } => {
                self.scope.timers.put_back(&address);
                (None, Some(address))
            }
            Work::Parked { .. } => (None, None),
        };
        self.failing.failed(&key, record, failure.reason, delay, &policy, self.scope.now);
        if let Some(address) = timer {
            self.failing.timer_failed(address, self.scope.now);
        }
    }

    /// Whether it is a timer that has failed for too long (I11). Records are bounded by their queue.
    fn is_past_age(&self, work: &Work) -> bool {
        let Work::Timer { address, .. } = work else { return false };
        self.failing.timer_is_past_age(address, &self.scope.spec.options.retry, self.scope.now)
    }

    /// The pipeline cannot go on: what the call began stays undone, in the store and at its senders.
    fn stop(&mut self, work: &Work, failure: &Failure) {
        self.scope.set_fault(format!("{}, key {}: {failure}", self.scope.spec.name, work.key()));
    }

    /// The work goes to the dead letters, with its error (I10).
    fn give_up(&mut self, work: Work, error: &str, attempts: u32) {
        self.scope.begin();
        let (letter, cause) = match &work {
            Work::Timer { address, entry } => {
                self.scope.timers.change(address.clone(), None);
                let tag = String::from_utf8_lossy(&address.tag).into_owned();
                let letter = self.letter(&address.key, None, format!("timer {tag:?}: {error}"), attempts);
                (store::DeadLetter { value: entry.payload.clone(), ..letter }, Cause::Timer)
            }
            Work::Record(RecordWork { item, .. }) => {
                let letter = self.letter(&item.record.key, Some(item), error.to_owned(), attempts);
                (letter, Cause::Record(item.record.id))
            }
            Work::Parked { item, .. } => {
                let letter = self.letter(&item.record.key, Some(item), error.to_owned(), attempts);
                (letter, Cause::Parked(item.record.id))
            }
        };
        self.dead_letter(work.key().clone(), letter, cause);
        self.scope.keep();
        self.done(work);
    }

    fn letter(&self, key: &Key, item: Option<&Item>, error: String, attempts: u32) -> store::DeadLetter {
        store::DeadLetter {
            stream: item.map_or(0, |item| item.stream),
            id: item.map_or_else(Bytes::new, |item| Bytes::copy_from_slice(&item.record.id.to_bytes())),
            key: key.to_bytes(),
            value: item.map_or_else(Bytes::new, |item| item.record.value.clone()),
            event_time_us: item.map_or(self.scope.input_watermark, |item| item.record.event_time).as_micros(),
            attempts,
            error,
            failed_at_us: self.scope.now.as_micros(),
        }
    }

    fn dead_letter(&mut self, key: Key, letter: store::DeadLetter, cause: Cause) {
        if let Err(failure) = self.scope.dead_letter(&key, letter, cause) {
            // The letter is in the batch; only its copy on the dead-letter stream does not fit.
            tracing::error!(computation = %self.scope.spec.name, %key, %failure, "a dead letter is only in the store");
        }
    }

    /// Commits a record to the durable queue of its key, with its id, and lets its senders go (I9).
    pub(super) fn park(&mut self, record: RecordWork) {
        let key = record.item.record.key.clone();
        let number = self.scope.batch.next_number();
        let Item { stream, record: r } = &record.item;
        let parked = store::Parked {
            stream: *stream,
            id: Bytes::copy_from_slice(&r.id.to_bytes()),
            value: r.value.clone(),
            event_time_us: r.event_time.as_micros(),
            parked_at_us: self.scope.now.as_micros(),
            attempts: self.failing.attempts(&key),
            error: cut(self.failing.error(&key)).to_owned(),
        };
        let place = self.scope.keys.parked(&key, number);
        self.scope.batch.write(Write::Put { key: place, value: parked.encode_to_vec().into() });
        self.failing.parked(&key, number, &record.item, self.scope.now, self.scope.now);
        self.settle(record);
        metrics::counter!("pelton_records_parked_total").increment(1);
    }

    /// Parks what is past its grace, and gives up queues that are past a bound.
    pub(crate) async fn tend_failing(&mut self) -> Result<(), Failure> {
        let policy = self.scope.spec.options.retry;
        for key in self.failing.past_grace(&policy, self.scope.now) {
            let waiting: VecDeque<RecordWork> = self.failing.take_waiting(&key);
            tracing::warn!(computation = %self.scope.spec.name, %key, records = waiting.len(),
                error = self.failing.error(&key), "parked the records of a failing key");
            waiting.into_iter().for_each(|record| self.park(record));
        }
        for (key, error) in self.failing.past_bounds(&policy, self.scope.now) {
            self.give_up_queue(&key, &error).await?;
        }
        Ok(())
    }

    /// All parked records of a key become dead letters, in the commit that releases the key (I11).
    async fn give_up_queue(&mut self, key: &Key, error: &str) -> Result<(), Failure> {
        let attempts = self.failing.attempts(key);
        // The open batch may hold parked records that no scan sees; they are given up once they have committed.
        for (number, item) in self.parked_records(key, usize::MAX).await? {
            if self.scope.batch.bytes > GIVE_UP_BYTES_MAX {
                // The rest stays parked: it would not fit into the commit.
                break;
            }
            self.scope.begin();
            let letter = self.letter(key, Some(&item), error.to_owned(), attempts);
            self.dead_letter(key.clone(), letter, Cause::Parked(item.record.id));
            self.scope.keep();
            self.done(Work::Parked { number, item });
        }
        Ok(())
    }

    /// The oldest committed parked records of a key that are still parked.
    async fn parked_records(&mut self, key: &Key, count: usize) -> Result<Vec<(u64, Item)>, Failure> {
        let range = self.scope.keys.parked_of_key(key);
        let entries = if count == usize::MAX {
            self.scope.scan_all(range).await?
        } else {
            self.scope.scan(Scan { entries_max: count, ..Scan::page_of(range) }).await?.entries
        };
        let mut records = Vec::new();
        for (place, value) in entries {
            let (key, number) = self.scope.keys.read_parked(&place).map_err(Failure::engine)?;
            // Taken up by a batch that has not committed.
            if !self.failing.is_parked(&key, number) {
                continue;
            }
            records.push((number, read_parked(&key, &value)?.0));
        }
        if mutant(Mutant::ParkedInReverse) {
            records.reverse();
        }
        Ok(records)
    }

    /// Adds the work of keys that are due for another attempt: a due timer, or the parked records, or the waiting ones.
    pub(crate) async fn gather_retries(&mut self, work: &mut VecDeque<Work>) -> Result<(), Failure> {
        for key in self.failing.due(self.scope.now) {
            let watermark = self.failing.watermark_of(&key, self.scope.input_watermark);
            let due =
                self.scope.timers.suspended_due(&key, watermark.as_micros(), self.scope.now.as_micros());
            if let Some((address, entry)) = due {
                work.push_back(Work::Timer { address, entry });
            } else if self.failing.has_parked(&key) {
                let parked = self.parked_records(&key, PARKED_PAGE).await?;
                if parked.is_empty() {
                    // What is parked of it is not committed yet.
                    self.failing.postpone(&key, self.scope.now.plus(self.scope.spec.options.retry.delay_min));
                    continue;
                }
                work.extend(parked.into_iter().map(|(number, item)| Work::Parked { number, item }));
            }
            work.extend(self.failing.start(&key).into_iter().map(Work::Record));
        }
        Ok(())
    }

    /// The bundle is over: keys that have nothing left to try go on as others do.
    pub(crate) fn end_bundle(&mut self) {
        if self.failing.is_empty() {
            return;
        }
        let (watermark, now) = (self.scope.input_watermark.as_micros(), self.scope.now.as_micros());
        let timers = &self.scope.timers;
        let left = |key: &Key| timers.suspended_due(key, watermark, now).is_some();
        for key in self.failing.end_bundle(self.scope.now, left) {
            tracing::info!(computation = %self.scope.spec.name, %key, "a failing key has recovered");
            self.scope.timers.resume(&key);
        }
    }
}

/// A parked record as the store has it, and when it was parked.
pub(crate) fn read_parked(key: &Key, value: &Bytes) -> Result<(Item, ProcessingTime), Failure> {
    let parked: store::Parked = convert::decode("parked record", value).map_err(Failure::engine)?;
    let record = pelton_domain::Record {
        id: convert::record_id(&parked.id).map_err(Failure::engine)?,
        key: key.clone(),
        value: parked.value,
        event_time: EventTime::from_micros(parked.event_time_us),
    };
    Ok((Item { stream: parked.stream, record }, ProcessingTime::from_micros(parked.parked_at_us)))
}
