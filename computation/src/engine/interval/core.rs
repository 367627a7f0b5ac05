//! Everything one interval holds, and how records come in.

use super::super::batch::{ReceiptId, SealedBatch};
use super::super::bundle::Work;
use super::super::channel::{Delivery, Party, ReceiverChannel, Reception};
use super::super::dedup::{Admission, Dedup, PackedEntry, unpack};
use super::super::failing::{Failing, RecordWork};
use super::super::outbox::{Item, Outbox};
use super::super::router::Mail;
use super::super::scope::Scope;
use super::IntervalOptions;
use super::report::Reported;
use super::sweep::Sweep;
use super::timers::Doubt;
use crate::failure::Failure;
use crate::timer::TimeDomain;
use pelton_domain::mutants::{Mutant, mutant};
use pelton_domain::{EventTime, KeyInterval, KeyPosition, ProcessingTime, RecordId};
use pelton_statestore::fence::Counters;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A delivery that waits for the commit of its records.
#[derive(Clone, Copy, Debug)]
struct Receipt {
    from: Party,
    epoch: u64,
    number: u64,
    left: usize,
    arrived: ProcessingTime,
}

/// One interval, from take-over to the end of the reign.
pub(crate) struct Core {
    pub(crate) me: Party,
    pub(crate) interval: KeyInterval,
    pub(crate) options: IntervalOptions,
    pub(crate) scope: Scope,
    pub(crate) failing: Failing,
    pub(crate) dedup: Dedup,
    pub(crate) outbox: Outbox,
    /// The batch that is sealed and not yet committed.
    pub(crate) sealed: Option<SealedBatch>,
    /// Totals as of the last sealed batch.
    pub(crate) totals: Counters,
    /// Dedup buckets to collect from the store in the next commit.
    pub(crate) collectable: Option<(u64, u64)>,
    /// Since when an acknowledged chunk waits for its removal.
    pub(crate) removable_since: Option<ProcessingTime>,
    /// Under which first positions this interval collects forgotten ids: its own, and those of merged ones.
    pub(crate) collects: Vec<KeyPosition>,
    pub(crate) reported: Reported,
    /// Mail to be sent.
    pub(crate) outgoing: Vec<(Party, Mail)>,
    receivers: BTreeMap<Party, ReceiverChannel>,
    receipts: BTreeMap<ReceiptId, Receipt>,
    next_receipt: ReceiptId,
    intake: VecDeque<(ReceiptId, Item)>,
    unpacked: Unpacked,
    pub(crate) sweep: Sweep,
    pub(crate) doubt: Doubt,
}

/// Recently read packed entries: after a restart many duplicates look into the same ones.
#[derive(Default)]
struct Unpacked {
    entries: VecDeque<(PackedEntry, Vec<RecordId>)>,
}

const UNPACKED_MAX: usize = 64;

impl Unpacked {
    fn find(&self, entry: &PackedEntry) -> Option<&[RecordId]> {
        self.entries.iter().find(|(e, _)| e == entry).map(|(_, ids)| ids.as_slice())
    }

    fn add(&mut self, entry: PackedEntry, ids: Vec<RecordId>) {
        if self.entries.len() == UNPACKED_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back((entry, ids));
    }
}

impl Core {
    pub(crate) fn new(
        me: Party,
        interval: KeyInterval,
        options: IntervalOptions,
        scope: Scope,
        dedup: Dedup,
        totals: Counters,
    ) -> Self {
        Self {
            me,
            interval,
            options,
            scope,
            failing: Failing::default(),
            dedup,
            outbox: Outbox::new(options.credit()),
            sealed: None,
            totals,
            collectable: None,
            removable_since: None,
            collects: vec![interval.first()],
            reported: Reported::default(),
            outgoing: Vec::new(),
            receivers: BTreeMap::new(),
            receipts: BTreeMap::new(),
            next_receipt: 1,
            intake: VecDeque::new(),
            unpacked: Unpacked::default(),
            sweep: Sweep::new(ProcessingTime::MIN),
            doubt: Doubt::default(),
        }
    }

    /// Takes in a piece of mail.
    pub(crate) fn take_mail(&mut self, mail: Mail) {
        match mail {
            Mail::Deliver { from, epoch, number, delivery } => {
                self.take_delivery(from, epoch, number, &delivery)
            }
            Mail::Acknowledge { from, epoch, number, .. } => {
                self.outbox.acknowledged(from, epoch, number, self.scope.now);
                if self.outbox.has_removable() && self.removable_since.is_none() {
                    self.removable_since = Some(self.scope.now);
                }
            }
            Mail::Refuse { from, epoch } => self.outbox.refused(from, epoch, self.scope.now),
        }
    }

    fn take_delivery(&mut self, from: Party, epoch: u64, number: u64, delivery: &Delivery) {
        let channel = self.receivers.entry(from).or_default();
        let starts_again = channel.is_new_epoch(epoch);
        let reception = channel.receive(epoch, number);
        if starts_again {
            self.drop_earlier_epochs(from);
        }
        match reception {
            Reception::Ignore => {}
            Reception::Refuse => self.outgoing.push((from, Mail::Refuse { from: self.me, epoch })),
            Reception::Take => {
                let id = self.next_receipt;
                self.next_receipt += 1;
                self.receipts.insert(
                    id,
                    Receipt { from, epoch, number, left: delivery.items.len(), arrived: self.scope.now },
                );
                self.intake.extend(delivery.items.iter().map(|item| (id, item.clone())));
            }
        }
    }

    /// A sender starts again from its oldest: what it sent before and has not run comes once more, so it is
    /// dropped here, and one credit bounds what waits of each sender (I11). What has run keeps its place, and
    /// an acknowledgement of an earlier epoch would say nothing.
    fn drop_earlier_epochs(&mut self, from: Party) {
        let receipts = &mut self.receipts;
        self.intake.retain(|(receipt, _)| receipts.get(receipt).is_none_or(|receipt| receipt.from != from));
        receipts.retain(|_, receipt| receipt.from != from);
    }

    /// Senders that are no more need no channel state.
    pub(crate) fn forget_senders(&mut self, alive: impl Fn(Party) -> bool) {
        self.receivers.retain(|party, _| alive(*party));
    }

    /// `count` records of a delivery are settled: durable, or known duplicates (I4).
    pub(crate) fn release(&mut self, receipt: ReceiptId, count: usize) {
        let Some(waiting) = self.receipts.get_mut(&receipt) else { return };
        waiting.left = waiting.left.saturating_sub(count);
        if waiting.left == 0 {
            let Receipt { from, epoch, number, arrived, .. } = *waiting;
            self.measure(arrived);
            self.receipts.remove(&receipt);
            // What ran before the end is acknowledged as what came after it, and is found.
            let at_end = self.scope.input_watermark == EventTime::MAX;
            self.outgoing.push((from, Mail::Acknowledge { from: self.me, epoch, number, at_end }));
        }
    }

    /// From the arrival of a delivery to the durable commit of its last record.
    fn measure(&self, arrived: ProcessingTime) {
        #[expect(clippy::cast_precision_loss, reason = "a duration to be shown")]
        let seconds = self.scope.now.as_micros().saturating_sub(arrived.as_micros()) as f64 / 1e6;
        metrics::histogram!("pelton_arrival_to_commit_seconds", "computation" => self.scope.spec.name.to_string())
            .record(seconds);
    }

    /// Whether there is room for more calls in the open batch, and in the outbox (I11).
    pub(crate) fn may_run(&self) -> bool {
        let batch = &self.scope.batch;
        let stable = !self.scope.spec.options.stable_input || (self.sealed.is_none() && batch.is_empty());
        stable
            && batch.calls < self.options.batch_calls_max
            && batch.bytes < self.options.batch_bytes_max
            && self.outbox.bytes() < self.options.outbox_bytes_max
    }

    /// Whether there is work for the next bundle.
    pub(crate) fn has_work(&self) -> bool {
        !self.intake.is_empty()
            || self
                .scope
                .timers
                .next_due(TimeDomain::Event)
                .is_some_and(|at| at <= self.scope.input_watermark.as_micros())
            || self
                .scope
                .timers
                .next_due(TimeDomain::Processing)
                .is_some_and(|at| at <= self.scope.now.as_micros())
            || (!self.failing.is_empty() && !self.failing.due(self.scope.now).is_empty())
    }

    /// What it holds of mail, ids, batches and productions, in words, for a test that compares: without what follows from
    /// the store or is only counted, and receipts by their place among those that wait.
    #[cfg(test)]
    pub(crate) fn seen(&self) -> String {
        let place = |receipt: &ReceiptId| self.receipts.keys().position(|waiting| waiting == receipt);
        let places = |settled: &[(ReceiptId, usize)]| -> Vec<_> {
            settled.iter().map(|(receipt, count)| (place(receipt), *count)).collect()
        };
        let waiting: Vec<_> = self.receipts.values().map(|r| (r.from, r.epoch, r.number, r.left)).collect();
        let intake: Vec<_> = self.intake.iter().map(|(receipt, item)| (place(receipt), item)).collect();
        let batch = &self.scope.batch;
        let open = (batch.number, &batch.ids, places(&batch.settled), &batch.productions, batch.calls);
        let sealed = self.sealed.as_ref().map(|sealed| {
            let update = (sealed.update.dedup_horizon, sealed.update.id_time_floor);
            let leaves = (&sealed.removed_chunks, sealed.writes.as_ref().map(Vec::len));
            (sealed.number, &sealed.ids, places(&sealed.settled), &sealed.productions, update, leaves)
        });
        let upkeep = (self.collectable, self.removable_since, self.reported);
        let mail = (&self.receivers, waiting, intake);
        format!(
            "{open:?} {sealed:?} {upkeep:?} {mail:?} {:?} {} {:?}",
            self.scope.ids,
            self.dedup.seen(),
            self.outbox
        )
    }

    /// Records that have arrived and not run.
    pub(crate) fn intake_len(&self) -> usize {
        self.intake.len()
    }

    /// Gathers the next bundle: keys to be tried again, due timers, then records.
    pub(crate) async fn gather(&mut self, calls_max: usize) -> Result<VecDeque<Work>, Failure> {
        let mut work = VecDeque::new();
        if !self.failing.is_empty() {
            self.gather_retries(&mut work).await?;
        }
        let early_us = if mutant(Mutant::TimersFireEarly) { 5_000 } else { 0 };
        let watermark = self.scope.input_watermark.as_micros().saturating_add(early_us);
        let now = self.scope.now.as_micros();
        let half = calls_max.div_ceil(2);
        for (domain, time) in [(TimeDomain::Event, watermark), (TimeDomain::Processing, now)] {
            let due = self.scope.timers.take_due(domain, time, half);
            work.extend(due.into_iter().map(|(address, entry)| Work::Timer { address, entry }));
        }
        self.admit(calls_max.saturating_sub(work.len()).max(1), &mut work).await?;
        Ok(work)
    }

    /// Dedup of up to `count` records of the intake (I6).
    async fn admit(&mut self, count: usize, work: &mut VecDeque<Work>) -> Result<(), Failure> {
        let count = count.min(self.intake.len());
        if !self.scope.spec.options.dedup {
            let all = self.intake.drain(..count);
            work.extend(
                all.map(|(receipt, item)| Work::Record(RecordWork { item, receipt, duplicates: Vec::new() })),
            );
            return Ok(());
        }
        let mut asked: BTreeMap<RecordId, Vec<PackedEntry>> = BTreeMap::new();
        for (_, item) in self.intake.iter().take(count) {
            if let Admission::Ask(entries) = self.dedup.admit(item.record.id) {
                asked.insert(item.record.id, entries);
            }
        }
        let known = self.ask(&asked).await?;
        for _ in 0..count {
            let Some((receipt, item)) = self.intake.pop_front() else { break };
            let id = item.record.id;
            match self.dedup.admit(id) {
                Admission::Duplicate => self.drop_duplicate(receipt),
                Admission::Ask(_) if known.contains(&id) => self.drop_duplicate(receipt),
                Admission::InFlight => {
                    if mutant(Mutant::InFlightDuplicateAcknowledged) {
                        self.drop_duplicate(receipt);
                        continue;
                    }
                    self.scope.batch.counters.duplicates += 1;
                    let original = work.iter_mut().find_map(|work| match work {
                        Work::Record(record) if record.item.record.id == id => Some(record),
                        _ => None,
                    });
                    match original {
                        Some(original) => original.duplicates.push(receipt),
                        None if self.failing.join(&item.record.key, id, receipt) => {}
                        // It has run in a batch that is not committed: it is durable no later than the open one.
                        None => self.scope.batch.settle(receipt),
                    }
                }
                Admission::New | Admission::Ask(_) => {
                    self.dedup.admitted(id);
                    work.push_back(Work::Record(RecordWork { item, receipt, duplicates: Vec::new() }));
                }
            }
        }
        Ok(())
    }

    fn drop_duplicate(&mut self, receipt: ReceiptId) {
        self.scope.batch.counters.duplicates += 1;
        metrics::counter!("pelton_duplicates_total").increment(1);
        self.release(receipt, 1);
    }

    /// Looks the ids up in the packed entries that may have them; returns those that are there.
    async fn ask(
        &mut self,
        asked: &BTreeMap<RecordId, Vec<PackedEntry>>,
    ) -> Result<BTreeSet<RecordId>, Failure> {
        if asked.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut missing: Vec<PackedEntry> = Vec::new();
        for entry in asked.values().flatten() {
            if self.unpacked.find(entry).is_none() && !missing.contains(entry) {
                missing.push(entry.clone());
            }
        }
        let keys = missing.iter().map(|entry| entry.key(&self.scope.keys)).collect();
        let mut read: Vec<(PackedEntry, Option<Vec<RecordId>>)> = Vec::new();
        for (entry, value) in missing.iter().zip(self.scope.read(keys).await?) {
            let ids = value.map(|value| unpack(&value)).transpose().map_err(Failure::engine)?;
            read.push((entry.clone(), ids));
        }
        let holds = |entry: &PackedEntry, id: RecordId| match read.iter().find(|(e, _)| e == entry) {
            // An entry that is gone was below the horizon of a sibling, which is true for all (I6).
            Some((_, ids)) => ids.as_ref().is_none_or(|ids| ids.binary_search(&id).is_ok()),
            None => self.unpacked.find(entry).is_some_and(|ids| ids.binary_search(&id).is_ok()),
        };
        let known = asked
            .iter()
            .filter(|(id, entries)| entries.iter().any(|e| holds(e, **id)))
            .map(|(id, _)| *id)
            .collect();
        for (entry, ids) in read {
            // Of one that is gone there is nothing to remember: an empty list would say "never seen".
            if let Some(ids) = ids {
                self.unpacked.add(entry, ids);
            }
        }
        metrics::counter!("pelton_dedup_lookups_total").increment(asked.len() as u64);
        Ok(known)
    }
}
