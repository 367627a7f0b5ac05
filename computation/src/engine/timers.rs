//! The timers of one interval (I8).
//!
//! | module | what |
//! |---|---|
//! | here | the table of the near timers: set, replaced, cleared, due |
//! | [`far`] | what is known of those that are only in the store, and which of them come near next (I11) |
//!
//! A timer's address is its identity: setting it again replaces it, in the table and, because the address is
//! its key, in the store. What is due is taken by fire time, so the timers of one key fire in time order; a
//! timer taken fires only if it is still the current one when it runs.
//!
//! Every timer holds the output watermark at its output time (I7). When a hold goes away in a batch that has
//! not committed, the batch keeps it: [`Timers::released`].
//!
//! The table is bounded (I11): above its limit the latest timers leave it and are *far*, in the store only.
//! None of them is due before [`Timers::must_read`] says so, and then they are read in. Where the table and the
//! store differ, the table is right: what it knows of an address, or has changed in a batch that has not
//! committed, is not read over.

mod far;

use super::holds::Holds;
use bytes::Bytes;
use far::Far;
pub(crate) use far::Nearest;
use indexmap::IndexSet;
use pelton_domain::mutants::{Mutant, mutant};
use pelton_domain::{EventTime, Key};
use pelton_proto::{Malformed, Message, convert, store};
use pelton_statestore::Write;
use pelton_statestore::keys::{ComputationKeys, TimeDomain, TimerAddress};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A timer's times and payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimerEntry {
    pub(crate) fire_at_us: i64,
    pub(crate) output_time: EventTime,
    pub(crate) payload: Bytes,
}

impl TimerEntry {
    pub(crate) fn encode(&self) -> Bytes {
        let message = store::Timer {
            fire_at_us: self.fire_at_us,
            output_time_us: self.output_time.as_micros(),
            payload: self.payload.clone(),
        };
        message.encode_to_vec().into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let message: store::Timer = convert::decode("timer", bytes)?;
        Ok(Self {
            fire_at_us: message.fire_at_us,
            output_time: EventTime::from_micros(message.output_time_us),
            payload: message.payload,
        })
    }
}

type Due = (i64, TimerAddress);

/// What the table knows of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known<'a> {
    /// This is it.
    Set(&'a TimerEntry),
    /// It is not set.
    Unset,
    /// It may be a far one: ask the store.
    Ask,
}

#[derive(Debug)]
pub(crate) struct Timers {
    entries: HashMap<TimerAddress, TimerEntry, foldhash::fast::RandomState>,
    event: BTreeSet<Due>,
    processing: BTreeSet<Due>,
    /// Timers of keys that wait: out of the queues until the key goes on.
    suspended: BTreeMap<Key, Vec<Due>>,
    holds: Holds,
    changed: IndexSet<TimerAddress, foldhash::fast::RandomState>,
    /// What the sealed batch changed: until it has committed, the store may say something else.
    sealed: HashSet<TimerAddress, foldhash::fast::RandomState>,
    far: Far,
    undo: Vec<(TimerAddress, Option<TimerEntry>, bool)>,
    released: EventTime,
    released_before_call: EventTime,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            entries: HashMap::default(),
            event: BTreeSet::new(),
            processing: BTreeSet::new(),
            suspended: BTreeMap::new(),
            holds: Holds::default(),
            changed: IndexSet::default(),
            sealed: HashSet::default(),
            far: Far::default(),
            undo: Vec::new(),
            released: EventTime::MAX,
            released_before_call: EventTime::MAX,
        }
    }
}

impl Timers {
    /// Sets a timer as read from the store.
    fn load(&mut self, address: &TimerAddress, entry: TimerEntry) {
        self.replace(address, Some(entry));
    }

    /// What the table knows of a timer.
    pub(crate) fn look_up(&self, address: &TimerAddress) -> Known<'_> {
        match self.entries.get(address) {
            Some(entry) => Known::Set(entry),
            None if self.far.is_empty() || self.is_unsettled(address) => Known::Unset,
            None => Known::Ask,
        }
    }

    /// The timers of `key` that are set.
    pub(crate) fn of_key(&self, key: &Key) -> impl Iterator<Item = (&TimerAddress, &TimerEntry)> {
        self.entries.iter().filter(move |(address, _)| address.key == *key)
    }

    /// How many are set; the far ones, which nobody has counted, are one.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() + usize::from(!self.far.is_empty())
    }

    /// How many are not gone for good: those whose end is not yet committed are one, where no other is left. Such a timer
    /// may hold nothing, and a pipeline is not done before it is.
    pub(crate) fn left(&self) -> usize {
        let unsettled = !self.changed.is_empty() || !self.sealed.is_empty();
        self.len().max(usize::from(unsettled))
    }

    /// Whether the table is right about an address, whatever the store says.
    fn is_unsettled(&self, address: &TimerAddress) -> bool {
        self.changed.contains(address) || self.sealed.contains(address)
    }

    /// Sets, replaces or, with `None`, clears a timer, in the open batch.
    pub(crate) fn change(&mut self, address: TimerAddress, entry: Option<TimerEntry>) {
        let before = self.replace(&address, entry);
        if let Some(old) = &before {
            self.released = self.released.min(old.output_time);
        }
        let marked = self.changed.insert(address.clone());
        self.undo.push((address, before, marked));
    }

    fn replace(&mut self, address: &TimerAddress, entry: Option<TimerEntry>) -> Option<TimerEntry> {
        let before = match &entry {
            Some(new) => self.entries.insert(address.clone(), new.clone()),
            None => self.entries.remove(address),
        };
        if let Some(old) = &before {
            self.holds.remove(old.output_time);
            self.dequeue(address, old.fire_at_us);
        }
        if let Some(new) = entry {
            self.holds.add(new.output_time);
            let due = (new.fire_at_us, address.clone());
            match self.suspended.get_mut(&address.key) {
                Some(waiting) => waiting.push(due),
                None => {
                    self.queue(address.domain).insert(due);
                }
            }
        }
        before
    }

    fn queue(&mut self, domain: TimeDomain) -> &mut BTreeSet<Due> {
        match domain {
            TimeDomain::Event => &mut self.event,
            TimeDomain::Processing => &mut self.processing,
        }
    }

    fn dequeue(&mut self, address: &TimerAddress, fire_at_us: i64) {
        let due = (fire_at_us, address.clone());
        if let Some(waiting) = self.suspended.get_mut(&address.key) {
            waiting.retain(|other| *other != due);
        }
        self.queue(address.domain).remove(&due);
    }

    /// Takes up to `count` timers of `domain` due at `time_us`, earliest first, off the queue. Each must be
    /// given to [`Timers::is_current`] before it fires, and then either be cleared or [put back](Self::put_back).
    pub(crate) fn take_due(
        &mut self,
        domain: TimeDomain,
        time_us: i64,
        count: usize,
    ) -> Vec<(TimerAddress, TimerEntry)> {
        let mut due = Vec::new();
        // Every far timer is due no earlier than this, so what is due by then comes before them.
        let far = self.far.from(domain).filter(|_| !mutant(Mutant::FarTimersPassedOver));
        let time_us = far.map_or(time_us, |from| from.min(time_us));
        while due.len() < count {
            let queue = self.queue(domain);
            if queue.first().is_none_or(|(at, _)| *at > time_us) {
                break;
            }
            let Some((_, address)) = queue.pop_first() else { break };
            if let Some(entry) = self.entries.get(&address) {
                due.push((address, entry.clone()));
            }
        }
        due
    }

    /// Whether a timer that was taken is still the one that is set.
    pub(crate) fn is_current(&self, address: &TimerAddress, entry: &TimerEntry) -> bool {
        self.entries.get(address) == Some(entry) || mutant(Mutant::ReplacedTimerFires)
    }

    /// Whether the key of a timer that was taken has one that comes before it: set since, by a timer taken with it.
    pub(crate) fn has_earlier(&self, address: &TimerAddress, fire_at_us: i64) -> bool {
        let queue = match address.domain {
            TimeDomain::Event => &self.event,
            TimeDomain::Processing => &self.processing,
        };
        // What was due before it has been taken before it, so what is left of that is little.
        let earlier = |due: &&Due| (due.0, &due.1) < (fire_at_us, address);
        queue.iter().take_while(earlier).any(|(_, other)| other.key == address.key)
    }

    /// Puts a timer that was taken and did not fire back into its queue, if it is still set as it was.
    pub(crate) fn put_back(&mut self, address: &TimerAddress) {
        if let Some(entry) = self.entries.get(address) {
            let due = (entry.fire_at_us, address.clone());
            match self.suspended.get_mut(&address.key) {
                Some(waiting) if !waiting.contains(&due) => waiting.push(due),
                Some(_) => {}
                None => {
                    self.queue(address.domain).insert(due);
                }
            }
        }
    }

    /// Keeps the timers of `key` from coming due until it is resumed.
    pub(crate) fn suspend(&mut self, key: &Key) {
        if self.suspended.contains_key(key) {
            return;
        }
        let of_key: Vec<(TimeDomain, Due)> = self
            .entries
            .iter()
            .filter(|(address, _)| address.key == *key)
            .map(|(address, entry)| (address.domain, (entry.fire_at_us, address.clone())))
            .collect();
        let mut waiting = Vec::new();
        for (domain, due) in of_key {
            self.queue(domain).remove(&due);
            waiting.push(due);
        }
        self.suspended.insert(key.clone(), waiting);
    }

    /// Lets the timers of `key` come due again.
    pub(crate) fn resume(&mut self, key: &Key) {
        for (fire_at_us, address) in self.suspended.remove(key).unwrap_or_default() {
            self.queue(address.domain).insert((fire_at_us, address));
        }
    }

    /// Of the suspended timers of `key`, those due by `event_us` or `processing_us`, earliest first.
    pub(crate) fn suspended_due(
        &self,
        key: &Key,
        event_us: i64,
        processing_us: i64,
    ) -> Option<(TimerAddress, TimerEntry)> {
        let due = |(at, address): &&Due| match address.domain {
            TimeDomain::Event => *at <= event_us,
            TimeDomain::Processing => *at <= processing_us,
        };
        let (_, address) = self.suspended.get(key)?.iter().filter(due).min()?;
        Some((address.clone(), self.entries.get(address)?.clone()))
    }

    /// When the next timer of `domain` may be due.
    pub(crate) fn next_due(&self, domain: TimeDomain) -> Option<i64> {
        let far = self.far.from(domain).filter(|_| !mutant(Mutant::FarTimersNeverRead));
        self.next_near(domain).into_iter().chain(far).min()
    }

    fn next_near(&self, domain: TimeDomain) -> Option<i64> {
        match domain {
            TimeDomain::Event => self.event.first(),
            TimeDomain::Processing => self.processing.first(),
        }
        .map(|(at, _)| *at)
    }

    /// The earliest hold of all timers that are set. That of a far timer counts until far ones are read in again,
    /// even where it was cleared meanwhile.
    pub(crate) fn hold(&self) -> EventTime {
        self.holds.min().min(self.far.hold())
    }

    /// Whose timer has the earliest hold, for "who holds the watermark?".
    pub(crate) fn holder(&self) -> Option<&TimerAddress> {
        let hold = self.hold();
        self.entries.iter().filter(|(_, entry)| entry.output_time == hold).map(|(address, _)| address).min()
    }

    /// The current call succeeded.
    pub(crate) fn keep(&mut self) {
        self.undo.clear();
        self.released_before_call = self.released;
    }

    /// The current call failed: its changes are taken back.
    pub(crate) fn rollback(&mut self) {
        while let Some((address, before, marked)) = self.undo.pop() {
            self.replace(&address, before);
            if marked {
                self.changed.swap_remove(&address);
            }
        }
        self.released = self.released_before_call;
    }

    /// The earliest hold that the open batch has let go.
    pub(crate) fn released(&self) -> EventTime {
        self.released
    }

    /// Ends the batch: adds its writes.
    pub(crate) fn seal(&mut self, keys: &ComputationKeys, writes: &mut Vec<Write>) {
        debug_assert!(self.undo.is_empty(), "a batch ends between calls");
        for address in self.changed.drain(..) {
            let key = keys.timer(&address);
            let kept = mutant(Mutant::FiredTimerKept) && !self.entries.contains_key(&address);
            if kept {
                continue;
            }
            writes.push(match self.entries.get(&address) {
                Some(entry) => Write::Put { key, value: entry.encode() },
                None => Write::Delete { key },
            });
            self.sealed.insert(address);
        }
        self.released = EventTime::MAX;
        self.released_before_call = EventTime::MAX;
    }
}

#[cfg(test)]
mod tests;
