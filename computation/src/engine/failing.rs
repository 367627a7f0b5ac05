//! Keys whose code fails (I9, I10, I11).
//!
//! A key that fails waits alone. Its records wait in memory, unacknowledged, for a grace; then they are
//! *parked*: committed with their ids to a durable queue of the key, and acknowledged, so that neither the
//! interval nor the senders wait for it. Every later record of the key joins the queue. Attempts go on at
//! growing intervals, oldest first. Parked records hold the output watermark (I7), and for their key the
//! input watermark stands still at the oldest of them. Count, bytes and age are bounded, and so is the time for
//! which a timer is tried.
//!
//! This module decides; [`super::interval`] acts.

use super::batch::ReceiptId;
use super::holds::Holds;
use super::outbox::Item;
use crate::pipeline::RetryPolicy;
use pelton_domain::{EventTime, Key, ProcessingTime, RecordId, SystemTime};
use pelton_statestore::keys::TimerAddress;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// A record to be processed, and the deliveries that wait for it.
#[derive(Clone, Debug)]
pub(crate) struct RecordWork {
    pub(crate) item: Item,
    pub(crate) receipt: ReceiptId,
    /// Deliveries of duplicates of it (I4).
    pub(crate) duplicates: Vec<ReceiptId>,
}

#[derive(Debug)]
struct Parked {
    id: RecordId,
    event_time: EventTime,
    bytes: usize,
    at: ProcessingTime,
}

#[derive(Debug)]
struct FailingKey {
    since: ProcessingTime,
    attempts: u32,
    retry_at: ProcessingTime,
    /// It is being tried in the current bundle and has not failed again.
    running: bool,
    /// The timer at the head of the queue, and since when it has failed.
    timer: Option<(TimerAddress, ProcessingTime)>,
    error: String,
    waiting: VecDeque<RecordWork>,
    parked: BTreeMap<u64, Parked>,
    parked_holds: Holds,
    parked_bytes: usize,
}

/// The failing keys of one interval.
#[derive(Debug, Default)]
pub(crate) struct Failing {
    keys: BTreeMap<Key, FailingKey>,
    holds: Holds,
    /// The ids of all that is parked, which sort by their time.
    ids: BTreeSet<RecordId>,
}

/// The delay before attempt `attempts + 1`.
pub(crate) fn backoff(policy: &RetryPolicy, attempts: u32) -> Duration {
    let doubled =
        policy.delay_min.saturating_mul(1u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(policy.delay_max)
}

impl Failing {
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether `key` must wait now.
    pub(crate) fn must_wait(&self, key: &Key) -> bool {
        !self.keys.is_empty() && self.keys.get(key).is_some_and(|failing| !failing.running)
    }

    /// Whether new records of `key` go behind parked ones.
    pub(crate) fn has_parked(&self, key: &Key) -> bool {
        !self.keys.is_empty() && self.keys.get(key).is_some_and(|failing| !failing.parked.is_empty())
    }

    /// Whether record `number` of `key` is parked and nothing has taken it up.
    pub(crate) fn is_parked(&self, key: &Key, number: u64) -> bool {
        self.keys.get(key).is_some_and(|failing| failing.parked.contains_key(&number))
    }

    /// The input watermark as `key` may see it.
    pub(crate) fn watermark_of(&self, key: &Key, input: EventTime) -> EventTime {
        if self.keys.is_empty() {
            return input;
        }
        self.keys.get(key).map_or(input, |failing| failing.parked_holds.min().min(input))
    }

    /// How often the head of `key`'s queue has been tried.
    pub(crate) fn attempts(&self, key: &Key) -> u32 {
        self.keys.get(key).map_or(0, |failing| failing.attempts)
    }

    /// A call for `key` failed, and is to be tried again. `record` goes to the front of the key's queue.
    pub(crate) fn failed(
        &mut self,
        key: &Key,
        record: Option<RecordWork>,
        error: String,
        delay: Option<Duration>,
        policy: &RetryPolicy,
        now: ProcessingTime,
    ) {
        let failing = self.keys.entry(key.clone()).or_insert_with(|| FailingKey::new(now));
        failing.attempts += 1;
        failing.retry_at = now.plus(delay.unwrap_or(Duration::ZERO).max(backoff(policy, failing.attempts)));
        failing.running = false;
        failing.error = error;
        if let Some(record) = record {
            failing.waiting.push_front(record);
        }
    }

    /// What failed is a timer: from now on it is the head of the key's queue.
    pub(crate) fn timer_failed(&mut self, address: TimerAddress, now: ProcessingTime) {
        if let Some(failing) = self.keys.get_mut(&address.key)
            && failing.timer.as_ref().is_none_or(|(head, _)| *head != address)
        {
            failing.timer = Some((address, now));
        }
    }

    /// Whether a timer that fails again has done so for longer than the policy allows.
    pub(crate) fn timer_is_past_age(
        &self,
        address: &TimerAddress,
        policy: &RetryPolicy,
        now: ProcessingTime,
    ) -> bool {
        let head = self.keys.get(&address.key).and_then(|failing| failing.timer.as_ref());
        head.is_some_and(|(head, since)| head == address && since.plus(policy.timer_age_max) <= now)
    }

    /// A record of a waiting key joins its queue.
    pub(crate) fn wait(&mut self, key: &Key, record: RecordWork) {
        if let Some(failing) = self.keys.get_mut(key) {
            failing.waiting.push_back(record);
        }
    }

    /// A duplicate of a record that waits: its delivery waits for the same. Whether there is such a record.
    pub(crate) fn join(&mut self, key: &Key, id: RecordId, receipt: ReceiptId) -> bool {
        let waiting = self.keys.get_mut(key).map(|failing| &mut failing.waiting);
        match waiting.into_iter().flatten().find(|work| work.item.record.id == id) {
            Some(work) => {
                work.duplicates.push(receipt);
                true
            }
            None => false,
        }
    }

    /// The head of `key`'s queue succeeded, or was given up.
    pub(crate) fn went_on(&mut self, key: &Key) {
        if let Some(failing) = self.keys.get_mut(key) {
            failing.attempts = 0;
            failing.timer = None;
        }
    }

    /// The keys to be tried at `now`, oldest attempt first.
    pub(crate) fn due(&self, now: ProcessingTime) -> Vec<Key> {
        let mut due: Vec<(ProcessingTime, &Key)> =
            self.keys.iter().filter(|(_, f)| f.retry_at <= now).map(|(key, f)| (f.retry_at, key)).collect();
        due.sort_unstable();
        due.into_iter().map(|(_, key)| key.clone()).collect()
    }

    /// `key` is not to be tried before `at`.
    pub(crate) fn postpone(&mut self, key: &Key, at: ProcessingTime) {
        if let Some(failing) = self.keys.get_mut(key) {
            failing.retry_at = at;
        }
    }

    /// `key` is tried in this bundle: takes its waiting records.
    pub(crate) fn start(&mut self, key: &Key) -> VecDeque<RecordWork> {
        match self.keys.get_mut(key) {
            Some(failing) => {
                failing.running = true;
                std::mem::take(&mut failing.waiting)
            }
            None => VecDeque::new(),
        }
    }

    /// The bundle is over: keys that were tried and have nothing left are failing no more, and are returned;
    /// those that have more are due at once.
    pub(crate) fn end_bundle(
        &mut self,
        now: ProcessingTime,
        mut timers_left: impl FnMut(&Key) -> bool,
    ) -> Vec<Key> {
        let mut released = Vec::new();
        for (key, failing) in self.keys.iter_mut().filter(|(_, failing)| failing.running) {
            failing.running = false;
            failing.retry_at = now;
            if failing.parked.is_empty() && failing.waiting.is_empty() && !timers_left(key) {
                released.push(key.clone());
            }
        }
        released.iter().for_each(|key| drop(self.keys.remove(key)));
        released
    }

    /// The keys whose waiting records are past the grace, and are to be parked.
    pub(crate) fn past_grace(&self, policy: &RetryPolicy, now: ProcessingTime) -> Vec<Key> {
        let past = |f: &FailingKey| !f.waiting.is_empty() && f.since.plus(policy.grace) <= now;
        self.keys.iter().filter(|(_, failing)| past(failing)).map(|(key, _)| key.clone()).collect()
    }

    /// Takes the waiting records of `key`, to park them.
    pub(crate) fn take_waiting(&mut self, key: &Key) -> VecDeque<RecordWork> {
        self.keys.get_mut(key).map(|failing| std::mem::take(&mut failing.waiting)).unwrap_or_default()
    }

    /// A record of `key` is parked under `number`, or was found parked by the scan after a take-over.
    pub(crate) fn parked(
        &mut self,
        key: &Key,
        number: u64,
        item: &Item,
        at: ProcessingTime,
        now: ProcessingTime,
    ) {
        let failing = self.keys.entry(key.clone()).or_insert_with(|| FailingKey::new(now));
        let (event_time, bytes) = (item.record.event_time, item.record.size_bytes());
        failing.parked.insert(number, Parked { id: item.record.id, event_time, bytes, at });
        self.ids.insert(item.record.id);
        failing.parked_holds.add(event_time);
        failing.parked_bytes += bytes;
        self.holds.add(event_time);
    }

    /// The parked record `number` of `key` has been processed or given up. Returns the hold it lets go.
    pub(crate) fn unparked(&mut self, key: &Key, number: u64) -> Option<EventTime> {
        let failing = self.keys.get_mut(key)?;
        let parked = failing.parked.remove(&number)?;
        failing.parked_holds.remove(parked.event_time);
        failing.parked_bytes -= parked.bytes;
        self.holds.remove(parked.event_time);
        self.ids.remove(&parked.id);
        Some(parked.event_time)
    }

    /// The keys whose queue is past a bound, and which bound.
    pub(crate) fn past_bounds(&self, policy: &RetryPolicy, now: ProcessingTime) -> Vec<(Key, String)> {
        let bound = |f: &FailingKey| {
            let oldest = f.parked.first_key_value().map(|(_, parked)| parked.at)?;
            if f.parked.len() > policy.parked_records_max {
                Some(format!("more than {} parked records", policy.parked_records_max))
            } else if f.parked_bytes > policy.parked_bytes_max {
                Some(format!("more than {} parked bytes", policy.parked_bytes_max))
            } else if oldest.plus(policy.parked_age_max) <= now {
                Some(format!("parked for {} s", policy.parked_age_max.as_secs()))
            } else {
                None
            }
        };
        self.keys
            .iter()
            .filter_map(|(key, f)| Some((key.clone(), format!("{}; {}", bound(f)?, f.error))))
            .collect()
    }

    /// The last error of `key`.
    pub(crate) fn error(&self, key: &Key) -> &str {
        self.keys.get(key).map_or("", |failing| &failing.error)
    }

    /// The earliest event time of a parked record (I7).
    pub(crate) fn hold(&self) -> EventTime {
        self.holds.min()
    }

    /// The oldest id of a parked record: what a weak computation will produce for it has an id of that time (I6).
    pub(crate) fn oldest_id(&self) -> Option<SystemTime> {
        self.ids.first().map(|id| id.system_time())
    }

    /// Whose parked record has the earliest hold.
    pub(crate) fn holder(&self) -> Option<&Key> {
        let hold = self.hold();
        self.keys.iter().find(|(_, failing)| failing.parked_holds.min() == hold).map(|(key, _)| key)
    }

    /// When something is to be done next: an attempt, or the end of a grace.
    pub(crate) fn next_at(&self, policy: &RetryPolicy) -> Option<ProcessingTime> {
        let at = |f: &FailingKey| {
            let grace = (!f.waiting.is_empty()).then(|| f.since.plus(policy.grace));
            grace.into_iter().chain([f.retry_at]).min()
        };
        self.keys.values().filter_map(at).min()
    }

    /// Failing keys, and parked records among them.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.keys.len(), self.keys.values().map(|failing| failing.parked.len()).sum())
    }
}

impl FailingKey {
    fn new(now: ProcessingTime) -> Self {
        Self {
            since: now,
            attempts: 0,
            retry_at: now,
            running: false,
            timer: None,
            error: String::new(),
            waiting: VecDeque::new(),
            parked: BTreeMap::new(),
            parked_holds: Holds::default(),
            parked_bytes: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use pelton_domain::{Record, Sequencer};

    fn work(n: u32, at: i64) -> RecordWork {
        let id = RecordId::assigned(SystemTime::from_millis(1), Sequencer::new(1).unwrap(), n);
        let record =
            Record { id, key: Key::from("k"), value: Bytes::new(), event_time: EventTime::from_micros(at) };
        RecordWork { item: Item { stream: 1, record }, receipt: u64::from(n), duplicates: vec![] }
    }

    const START: ProcessingTime = ProcessingTime::from_secs(100);

    #[test]
    fn a_failing_key_waits_alone_and_its_records_keep_their_order() {
        let (mut failing, policy, key) = (Failing::default(), RetryPolicy::default(), Key::from("k"));
        failing.failed(&key, Some(work(1, 5)), "down".into(), None, &policy, START);
        failing.wait(&key, work(2, 6));
        assert!(failing.must_wait(&key) && !failing.must_wait(&Key::from("other")));
        let at = failing.next_at(&policy).unwrap();
        assert_eq!(at, START.plus(policy.delay_min));
        assert_eq!(failing.due(at), std::slice::from_ref(&key));
        let receipts: Vec<_> = failing.start(&key).into_iter().map(|w| w.receipt).collect();
        assert_eq!(receipts, [1, 2]);
        assert!(!failing.must_wait(&key));
        assert_eq!(failing.end_bundle(at, |_| false), [key]);
        assert!(failing.is_empty());
    }

    #[test]
    fn parked_records_hold_the_watermark_and_stop_it_for_their_key() {
        let (mut failing, policy, key) = (Failing::default(), RetryPolicy::default(), Key::from("k"));
        failing.failed(&key, Some(work(1, 5)), "down".into(), None, &policy, START);
        assert!(failing.past_grace(&policy, START).is_empty());
        let later = START.plus(policy.grace);
        assert_eq!(failing.past_grace(&policy, later), std::slice::from_ref(&key));
        let waiting = failing.take_waiting(&key);
        failing.parked(&key, 1, &waiting[0].item, later, later);
        assert_eq!(failing.hold(), EventTime::from_micros(5));
        assert_eq!(failing.watermark_of(&key, EventTime::from_micros(9)), EventTime::from_micros(5));
        assert_eq!(
            failing.watermark_of(&Key::from("o"), EventTime::from_micros(9)),
            EventTime::from_micros(9)
        );
        assert_eq!(failing.past_bounds(&policy, later.plus(policy.parked_age_max)).len(), 1);
        assert_eq!(failing.unparked(&key, 1), Some(EventTime::from_micros(5)));
        assert_eq!(failing.hold(), EventTime::MAX);
    }

    #[test]
    fn a_duplicate_of_a_waiting_record_waits_with_it() {
        let (mut failing, policy, key) = (Failing::default(), RetryPolicy::default(), Key::from("k"));
        failing.failed(&key, Some(work(1, 5)), "down".into(), None, &policy, START);
        assert!(failing.join(&key, work(1, 5).item.record.id, 77));
        assert!(!failing.join(&key, work(2, 5).item.record.id, 78));
        assert_eq!(failing.start(&key)[0].duplicates, [77], "I4");
    }

    #[test]
    fn delays_double_up_to_their_limit() {
        let policy = RetryPolicy::default();
        assert_eq!(backoff(&policy, 1), Duration::from_millis(10));
        assert_eq!(backoff(&policy, 3), Duration::from_millis(40));
        assert_eq!(backoff(&policy, 200), policy.delay_max);
    }
}
