//! The scan after a take-over: from what the store has to a running interval.
//!
//! It runs only once the fence is taken, so that nothing of the old owner can land behind it (I1): every
//! timer (I8), every unacknowledged production (I5), every remembered id (I6) and every parked record is found.

use super::channel::Party;
use super::clock::ClockHandle;
use super::dedup::{Dedup, PackedEntry, unpack};
use super::ids::{IdCeiling, IdClock};
use super::interval::IntervalOptions;
use super::interval::calls::read_parked;
use super::interval::core::Core;
use super::outbox::{self, ChunkId, Routes};
use super::scope::Scope;
use crate::failure::Failure;
use crate::pipeline::ComputationSpec;
use pelton_domain::mutants::{Mutant, mutant};
use pelton_domain::{CommitNumber, EventTime, KeyPosition, SystemTime};
use pelton_proto::{convert, store};
use pelton_statestore::{ComputationKeys, KeyRange, PipelineKeys, Reign, StoreHandle};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a core is made of.
pub(crate) struct Recovery<'a> {
    pub(crate) store: &'a StoreHandle,
    pub(crate) pipeline: &'a PipelineKeys,
    pub(crate) keys: &'a ComputationKeys,
    pub(crate) spec: &'a Arc<ComputationSpec>,
    pub(crate) options: IntervalOptions,
    pub(crate) clock: &'a ClockHandle,
    /// No id may be assigned before this: what has been announced of this pipeline (I6).
    pub(crate) id_floor: SystemTime,
    /// And none after this.
    pub(crate) id_ceiling: IdCeiling,
}

impl Recovery<'_> {
    /// The interval under `reign`, as the store has it.
    pub(crate) async fn recover(&self, reign: &Reign, routes: &impl Routes) -> Result<Core, Failure> {
        let fence = reign.fence();
        let me = Party::of(self.spec.number, fence.interval, reign.sequencer());
        let scope = Scope::new(
            self.spec.clone(),
            self.keys.clone(),
            self.store.clone(),
            IdClock::new(reign.sequencer(), self.first_id_time(fence.id_time_floor))
                .below(self.id_ceiling.clone()),
            reign.next_commit(),
            if mutant(Mutant::WatermarkOfFenceIgnored) { EventTime::MIN } else { fence.input_watermark },
            self.options.cache_bytes_max,
        );
        let dedup = Dedup::new(self.options.dedup_bucket_ms, fence.dedup_horizon);
        let mut core = Core::new(me, fence.interval, self.options, scope, dedup, fence.counters);
        core.scope.now = self.clock.now();
        if !mutant(Mutant::TimersNotReadAtTakeOver) {
            core.read_timers().await?;
        }
        if !mutant(Mutant::IdsNotReadAtTakeOver) {
            self.load_ids(&mut core, reign).await?;
        }
        self.load_announced(&mut core).await?;
        if !mutant(Mutant::OutboxScanSkipped) {
            self.load_outbox(&mut core, routes).await?;
        }
        if !mutant(Mutant::ParkedScanSkipped) {
            self.load_parked(&mut core).await?;
        }
        Ok(core)
    }

    /// The least system time of a new id: in the fence, or announced since.
    fn first_id_time(&self, in_fence: SystemTime) -> SystemTime {
        if mutant(Mutant::IdFloorIgnored) { SystemTime::ZERO } else { in_fence.max(self.id_floor) }
    }

    /// The packed entries of this interval, and those of its ancestors up to where it left them.
    async fn load_ids(&self, core: &mut Core, reign: &Reign) -> Result<(), Failure> {
        let (fence, own) = (reign.fence(), core.interval.first());
        let mut sources: BTreeMap<KeyPosition, CommitNumber> = BTreeMap::new();
        for ancestor in fence.ancestors.iter().filter(|_| !mutant(Mutant::AncestorsIgnored)) {
            let last = sources.entry(ancestor.first).or_insert(ancestor.last_commit);
            *last = (*last).max(ancestor.last_commit);
            if core.interval.contains(ancestor.first) && !core.collects.contains(&ancestor.first) {
                core.collects.push(ancestor.first);
            }
        }
        sources.insert(own, CommitNumber(u64::MAX));
        let from = fence.dedup_horizon.as_millis() / self.options.dedup_bucket_ms.max(1);
        // An interval that was merged into this one may have been behind in forgetting.
        core.collectable = (from > 0).then_some((0, from));
        for (first, last) in sources {
            for (key, value) in core.scope.scan_all(self.keys.dedup_buckets(first, from, u64::MAX)).await? {
                let (_, bucket, commit, part) = self.keys.read_dedup(&key).map_err(Failure::engine)?;
                if commit > last {
                    continue;
                }
                let ids = unpack(&value).map_err(Failure::engine)?;
                if let Some(entry) = PackedEntry::of(first, bucket, commit, part, &ids) {
                    core.dedup.load(entry, &ids);
                }
            }
        }
        Ok(())
    }

    /// What the journal says is announced, read after the packed entries.
    ///
    /// Parts of a split share entries, and a part that has heard of a later horizon collects them for all. It was in
    /// the journal before anyone acted on it, so whoever finds an entry gone finds the horizon here that makes its ids
    /// known duplicates, however late the news of it comes (I6). And ids are assigned above what is announced.
    async fn load_announced(&self, core: &mut Core) -> Result<(), Failure> {
        let all = KeyRange { start: self.pipeline.announced(0), end: self.pipeline.announced(u32::MAX) };
        let (mut announced, mut floor) = (BTreeMap::new(), SystemTime::ZERO);
        for (key, value) in core.scope.scan_all(all).await? {
            let value: store::Announced = convert::decode("announced", &value).map_err(Failure::engine)?;
            let oldest = SystemTime::from_millis(value.oldest_unacknowledged_ms);
            announced.insert(key, oldest);
            if oldest != SystemTime::MAX {
                floor = floor.max(oldest);
            }
        }
        let of = |producer: &u32| announced.get(&self.pipeline.announced(*producer)).copied();
        let horizon = self.spec.producers.iter().map(|producer| of(producer).unwrap_or_default()).min();
        core.apply_announced(EventTime::MIN, horizon.unwrap_or_default());
        if !mutant(Mutant::IdFloorIgnored) {
            core.scope.ids.promise(floor);
        }
        Ok(())
    }

    async fn load_outbox(&self, core: &mut Core, routes: &impl Routes) -> Result<(), Failure> {
        let now = core.scope.now;
        for (key, value) in core.scope.scan_all(self.keys.outbox_of(core.interval.first())).await? {
            let (_, number, part) = self.keys.read_outbox(&key).map_err(Failure::engine)?;
            let (version, productions) = outbox::decode(&value).map_err(Failure::engine)?;
            if version > self.spec.graph_version {
                let known = self.spec.graph_version;
                // Who they are for is not known here: to send them to nobody would lose them (I5).
                return Err(Failure::engine(format!(
                    "productions were made under version {version} of the graph, and this program has version {known}: run the newer program"
                )));
            }
            core.outbox.add(ChunkId { number, part }, vec![key], productions, version, routes, now);
        }
        if core.outbox.has_removable() {
            core.removable_since = Some(now);
        }
        let released = core.outbox.released();
        if released > 0 {
            metrics::counter!("pelton_productions_released_total").increment(released);
            let (computation, interval) = (&self.spec.name, core.interval);
            tracing::info!(%computation, %interval, released, "released what waited for computations that read it no more");
        }
        Ok(())
    }

    async fn load_parked(&self, core: &mut Core) -> Result<(), Failure> {
        let now = core.scope.now;
        for (place, value) in core.scope.scan_all(self.keys.parked_of_interval(core.interval)).await? {
            let (key, number) = self.keys.read_parked(&place).map_err(Failure::engine)?;
            let (item, at) = read_parked(&key, &value)?;
            core.scope.timers.suspend(&key);
            core.failing.parked(&key, number, &item, at, now);
        }
        Ok(())
    }
}

/// The least system time a new reign may assign: past everything announced of any computation, because any
/// of them may be its producers' or its own.
pub(crate) fn id_floor(table: &pelton_injector::AnnouncedTable) -> SystemTime {
    let times = table.iter().map(|(_, announced)| announced.oldest_unacknowledged);
    times.filter(|time| *time != SystemTime::MAX).max().unwrap_or(SystemTime::ZERO)
}
