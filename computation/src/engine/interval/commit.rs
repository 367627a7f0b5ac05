//! Sealing a batch, and what follows once it has committed.
//!
//! The commit holds, in one transaction under the fence (I1, I2): state, timers, parked records and dead
//! letters, the packed ids, the outbox chunk, the removal of acknowledged chunks and of forgotten ids. What
//! tells others of it, acknowledgements (I4) and productions (I5), comes out of [`Core::committed`] only.

use super::super::batch::{Batch, SealedBatch};
use super::super::clock::system_time;
use super::super::outbox::{self, ChunkId, Routes};
use super::core::Core;
use pelton_domain::SystemTime;
use pelton_domain::mutants::{Mutant, mutant};
use pelton_statestore::Write;
use pelton_statestore::fence::FenceUpdate;

/// A batch that has committed: the only thing that lets acknowledgements and productions out.
pub(crate) struct Committed(SealedBatch);

impl Committed {
    /// To be made only of the batch whose commit has succeeded.
    pub(crate) fn of(batch: SealedBatch) -> Self {
        Self(batch)
    }
}

impl Core {
    /// Whether the open batch is to be sealed now: it has work, or acknowledged chunks have waited long enough
    /// for their removal.
    pub(crate) fn should_seal(&self) -> bool {
        if self.sealed.is_some() {
            return false;
        }
        let removal_due = self
            .removable_since
            .is_some_and(|since| since.plus(self.options.removal_delay) <= self.scope.now);
        !self.scope.batch.is_empty() || removal_due
    }

    /// Closes the open batch and opens the next. Its weak productions are sent at once.
    pub(crate) fn seal(&mut self, routes: &impl Routes) {
        let next = Batch::new(self.scope.batch.number.next());
        let released = self.scope.timers.released();
        let mut batch = std::mem::replace(&mut self.scope.batch, next);
        let hold = batch.hold().min(released);
        let mut writes = std::mem::take(&mut batch.writes);
        let spec = self.scope.spec.clone();
        let rows = self.scope.rows.seal(&self.scope.keys, &spec.cell_names, &mut writes);
        self.scope.timers.seal(&self.scope.keys, &mut writes);
        let packed = self.dedup.pack(&mut batch.ids, self.me.address.first, batch.number);
        let (packed, values): (Vec<_>, Vec<_>) = packed.into_iter().unzip();
        writes.extend(
            packed
                .iter()
                .zip(values)
                .filter(|_| !mutant(Mutant::DedupWriteDropped))
                .map(|(entry, value)| Write::Put { key: entry.key(&self.scope.keys), value }),
        );
        let strong = ChunkId::strong(batch.number);
        let chunk = outbox::encode(
            &self.scope.keys,
            self.me.address.first,
            strong,
            spec.graph_version,
            &batch.productions,
        );
        let chunk_keys: Vec<bytes::Bytes> = chunk.iter().map(|(key, _)| key.clone()).collect();
        writes.extend(chunk.into_iter().map(|(key, value)| Write::Put { key, value }));
        let (removed_chunks, keys) = self.outbox.removable();
        writes.extend(keys.into_iter().map(|key| Write::Delete { key }));
        self.removable_since = None;
        if let Some((from, to)) = self.collectable.take() {
            for first in &self.collects {
                writes.push(Write::DeleteRange { range: self.scope.keys.dedup_buckets(*first, from, to) });
            }
        }
        self.totals.add(&batch.counters);
        let weak_until = (!batch.weak_productions.is_empty()).then(|| {
            let weak = std::mem::take(&mut batch.weak_productions);
            let id = ChunkId::weak(batch.number);
            self.outbox.add(id, Vec::new(), weak, spec.graph_version, routes, self.scope.now);
            self.scope.now.plus(spec.options.straggler_delay)
        });
        let oldest_id = batch.productions.iter().map(|p| p.item.record.id.system_time()).min();
        self.let_out_early(&batch, &chunk_keys, routes);
        self.sealed = Some(SealedBatch {
            number: batch.number,
            records: batch.counters.records,
            ids: batch.ids,
            packed,
            settled: batch.settled,
            productions: batch.productions,
            chunk_keys,
            rows,
            removed_chunks,
            replayed: batch.replayed,
            writes: Some(writes),
            update: FenceUpdate {
                dedup_horizon: self.dedup.horizon(),
                input_watermark: self.scope.input_watermark,
                id_time_floor: self.scope.ids.floor(),
                counters: self.totals,
            },
            weak_until,
            hold,
            oldest_id,
        });
    }

    /// What comes out of [`Core::committed`] only, let out here by two of the deliberate bugs.
    fn let_out_early(&mut self, batch: &Batch, chunk_keys: &[bytes::Bytes], routes: &impl Routes) {
        if mutant(Mutant::AcknowledgedBeforeCommit) {
            batch.settled.iter().for_each(|(receipt, count)| self.release(*receipt, *count));
        }
        if mutant(Mutant::SentBeforeCommit) && !batch.productions.is_empty() {
            let (id, version) = (ChunkId::strong(batch.number), self.scope.spec.graph_version);
            let productions = batch.productions.clone();
            self.outbox.add(id, chunk_keys.to_vec(), productions, version, routes, self.scope.now);
        }
    }

    /// The writes of the sealed batch, once they may go to the store; `None` while its weak productions wait
    /// for their acknowledgements, or when they have been taken.
    ///
    /// What is still unacknowledged after its delay is journaled in the same commit: a straggler.
    pub(crate) fn take_commit(&mut self) -> Option<(Vec<Write>, FenceUpdate)> {
        let sealed = self.sealed.as_mut().filter(|sealed| sealed.writes.is_some())?;
        let weak = ChunkId::weak(sealed.number);
        let mut journaled = Vec::new();
        if let Some(until) = sealed.weak_until.take() {
            let early = mutant(Mutant::WeakAcknowledgedEarly);
            if self.outbox.is_unacknowledged(weak) && self.scope.now < until && !early {
                sealed.weak_until = Some(until);
                return None;
            }
            if !early {
                journaled = self.outbox.journal(weak, &self.scope.keys, self.me.address.first);
            }
            metrics::counter!("pelton_stragglers_journaled_total")
                .increment(u64::from(!journaled.is_empty()));
        }
        let mut writes = sealed.writes.take()?;
        writes.extend(journaled.into_iter().map(|(key, value)| Write::Put { key, value }));
        Some((writes, sealed.update.clone()))
    }

    /// Everything that follows from a commit.
    pub(crate) fn committed(&mut self, committed: Committed, routes: &impl Routes) {
        let batch = committed.0;
        self.scope.rows.committed(batch.rows);
        self.scope.timers.committed(self.options.timers_near_max);
        self.dedup.committed(&batch.ids, batch.packed);
        self.outbox.removed(&batch.removed_chunks);
        if !batch.productions.is_empty() && !mutant(Mutant::SentBeforeCommit) {
            let id = ChunkId::strong(batch.number);
            let version = self.scope.spec.graph_version;
            self.outbox.add(id, batch.chunk_keys, batch.productions, version, routes, self.scope.now);
        }
        for (receipt, count) in batch.settled {
            self.release(receipt, count);
        }
        if self.outbox.has_removable() && self.removable_since.is_none() {
            self.removable_since = Some(self.scope.now);
        }
    }

    /// What the injector has announced since: the input watermark and the dedup horizon move on (I6, I7).
    pub(crate) fn apply_announced(&mut self, input_watermark: pelton_domain::EventTime, horizon: SystemTime) {
        self.scope.input_watermark = self.scope.input_watermark.max(input_watermark);
        if let Some((from, to)) = self.dedup.advance(horizon) {
            let from = self.collectable.map_or(from, |(earlier, _)| earlier.min(from));
            self.collectable = Some((from, to));
        }
    }

    /// The promise about every id that this interval will still send (I6).
    pub(crate) fn promise(&mut self) -> SystemTime {
        let open = self.scope.batch.productions.iter().chain(&self.scope.batch.weak_productions);
        let open = open.map(|p| p.item.record.id.system_time()).min();
        let sealed = self.sealed.as_ref().and_then(|sealed| sealed.oldest_id);
        let fresh = self.scope.ids.promise(system_time(self.scope.now));
        // The ids of weak productions are as old as the records that cause them, which may wait here, parked.
        let weak = self.scope.spec.options.weak;
        let causes = weak.then(|| self.dedup.horizon());
        let parked = self.failing.oldest_id().filter(|_| weak && !mutant(Mutant::ParkedNotPromised));
        let all = [open, sealed, self.outbox.oldest_id(), causes, parked];
        all.into_iter().flatten().fold(fresh, SystemTime::min)
    }
}
