//! Whether a pipeline has settled: whether everything it was given has had all its effects, as far as its sources are.
//!
//! Read from the store alone, so it holds for a pipeline that runs nowhere, and for one that runs and is idle. The
//! watermark of what has no producers is as it was announced; from there it is worked out downstream as intervals do
//! it (I7): the minimum of the input and of what timers hold. Settled means that nothing is parked or unacknowledged,
//! that no timer of event time is due under these watermarks, and that nothing was committed while this was looked at.
//! The last is said by the totals in the fences: they are read before and after, and whatever changes state or output
//! is counted there in its own commit. Commits that only remove what is acknowledged or forgotten count nothing.
//! Productions that are acknowledged stay in the
//! store until a commit removes them: of a computation whose watermark is at plus infinity none waits any more.

use super::VerifyError;
use crate::engine::timers::TimerEntry;
use crate::pages::{self, Pages};
use bytes::Bytes;
use pelton_domain::{EventTime, Key, KeyInterval};
use pelton_proto::{convert, store};
use pelton_statestore::fence::{Counters, read_fences};
use pelton_statestore::keys::TimeDomain;
use pelton_statestore::{ComputationKeys, KeyRange, PipelineKeys, StoreHandle};
use std::collections::BTreeMap;

/// A pipeline in a store.
#[derive(Clone, Debug)]
pub(super) struct InStore {
    pub(super) store: StoreHandle,
    pub(super) keys: PipelineKeys,
    pub(super) catalogue: store::Catalogue,
}

/// What computations have done, by their numbers.
pub(super) type Totals = BTreeMap<u32, Counters>;

/// What was found at an instant at which nothing was under way.
#[derive(Clone, Debug)]
pub(super) struct Settled {
    /// What had been done, by the number of the computation.
    totals: Totals,
    /// The watermarks, by the number of the computation.
    watermarks: BTreeMap<u32, EventTime>,
}

/// What is still under way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsettled {
    /// Records of a failing key wait.
    #[error("{computation} has parked records of key {key}")]
    Parked {
        /// Of which computation.
        computation: String,
        /// Whose.
        key: Key,
    },
    /// A timer is due and has not fired, or one is left of a source that is not read to its end, or of a sink that has
    /// lines to write.
    #[error("{computation} has a timer {tag:?} of key {key} that is still to fire")]
    Timer {
        /// Of which computation.
        computation: String,
        /// Whose.
        key: Key,
        /// Which.
        tag: String,
    },
    /// Productions are not acknowledged.
    #[error("{computation} has productions that are not acknowledged")]
    Unacknowledged {
        /// Of which computation.
        computation: String,
    },
    /// Something was committed while it was looked at.
    #[error("it is running: something is committed all the while")]
    Running,
}

/// Which timers of processing time may be left where all is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// None.
    Nothing,
    /// Those of users' computations: their time has not come, or comes again and again.
    Own,
}

impl InStore {
    /// The pipeline as `store` has it; `None` where it has none.
    pub(super) async fn read(store: &StoreHandle, keys: PipelineKeys) -> Result<Option<Self>, VerifyError> {
        let Some(bytes) = pages::read(store, &keys.catalogue()).await? else { return Ok(None) };
        let catalogue = convert::decode("catalogue", &bytes)?;
        Ok(Some(Self { store: store.clone(), keys, catalogue }))
    }

    pub(super) fn number(&self, computation: &str) -> Option<u32> {
        self.catalogue.computations.iter().find(|known| known.name == computation).map(|known| known.number)
    }

    pub(super) fn streams(&self) -> BTreeMap<u32, String> {
        self.catalogue.streams.iter().map(|stream| (stream.number, stream.name.clone())).collect()
    }

    /// What all intervals of each computation have done so far, duplicates apart: they change nothing.
    pub(super) async fn totals(&self) -> Result<Totals, VerifyError> {
        let mut totals = Totals::new();
        for node in &self.catalogue.graph {
            let of: &mut Counters = totals.entry(node.computation).or_default();
            for fence in read_fences(&self.store, &self.keys.computation(node.computation)).await? {
                of.add(&fence.counters);
            }
            of.duplicates = 0;
        }
        Ok(totals)
    }

    /// Looks whether it has settled. `left` says it of each computation.
    pub(super) async fn settled(
        &self,
        left: &(dyn Fn(&str) -> Left + Sync),
    ) -> Result<Result<Settled, Unsettled>, VerifyError> {
        let totals = self.totals().await?;
        let mut watermarks = BTreeMap::new();
        // Producers come first, so what one has handed on is found at its consumer.
        for node in &self.catalogue.graph {
            let keys = self.keys.computation(node.computation);
            let announced = self.announced(node.computation).await?;
            let of = OfComputation { pipeline: self, name: &node.name, keys, announced };
            let input = node.producers.iter().filter_map(|producer| watermarks.get(producer).copied()).min();
            match of.output(input.unwrap_or(announced), left(&node.name)).await? {
                Ok(output) => watermarks.insert(node.computation, output),
                Err(unsettled) => return Ok(Err(unsettled)),
            };
        }
        let still = self.totals().await? == totals;
        Ok(if still { Ok(Settled { totals, watermarks }) } else { Err(Unsettled::Running) })
    }

    /// The low watermark that the injector has announced of a computation.
    pub(super) async fn announced(&self, computation: u32) -> Result<EventTime, VerifyError> {
        let Some(bytes) = pages::read(&self.store, &self.keys.announced(computation)).await? else {
            return Ok(EventTime::MIN);
        };
        let announced: store::Announced = convert::decode("announced", &bytes)?;
        Ok(EventTime::from_micros(announced.low_watermark_us))
    }
}

impl Settled {
    /// The low watermark of a computation.
    pub(super) fn watermark(&self, computation: u32) -> EventTime {
        self.watermarks.get(&computation).copied().unwrap_or(EventTime::MIN)
    }

    /// Whether nothing has been done since.
    pub(super) async fn still(&self, pipeline: &InStore) -> Result<bool, VerifyError> {
        Ok(pipeline.totals().await? == self.totals)
    }

    /// What all intervals of a computation had done.
    pub(super) fn totals(&self, computation: u32) -> Counters {
        self.totals.get(&computation).copied().unwrap_or_default()
    }
}

struct OfComputation<'p> {
    pipeline: &'p InStore,
    name: &'p str,
    keys: ComputationKeys,
    announced: EventTime,
}

impl OfComputation<'_> {
    /// Its output watermark under the watermark `input`. What moves from one kind of entry to the next in a commit is
    /// looked for in that order: parked records, timers, productions.
    async fn output(
        &self,
        input: EventTime,
        left: Left,
    ) -> Result<Result<EventTime, Unsettled>, VerifyError> {
        let computation = || self.name.to_owned();
        if let Some((place, _)) = self.first(self.keys.parked_of_interval(KeyInterval::FULL)).await? {
            let (key, _) = self.keys.read_parked(&place)?;
            return Ok(Err(Unsettled::Parked { computation: computation(), key }));
        }
        let mut output = input;
        let mut timers = Pages::of(&self.pipeline.store, self.keys.timers(KeyInterval::FULL));
        while let Some((place, value)) = timers.next().await? {
            let (address, timer) = (self.keys.read_timer(&place)?, TimerEntry::decode(&value)?);
            let to_come = match address.domain {
                TimeDomain::Event => timer.fire_at_us <= input.as_micros(),
                TimeDomain::Processing => left == Left::Nothing,
            };
            if to_come {
                let tag = String::from_utf8_lossy(&address.tag).into_owned();
                return Ok(Err(Unsettled::Timer { computation: computation(), key: address.key, tag }));
            }
            output = output.min(timer.output_time);
        }
        if self.announced == EventTime::MAX {
            return Ok(Ok(output));
        }
        for fence in read_fences(&self.pipeline.store, &self.keys).await? {
            if self.first(self.keys.outbox_of(fence.interval.first())).await?.is_some() {
                return Ok(Err(Unsettled::Unacknowledged { computation: computation() }));
            }
        }
        Ok(Ok(output))
    }

    async fn first(&self, range: KeyRange) -> Result<Option<(Bytes, Bytes)>, VerifyError> {
        let scan = pelton_statestore::Scan { entries_max: 1, ..pelton_statestore::Scan::page_of(range) };
        Ok(Pages::in_scans(&self.pipeline.store, scan).next().await?)
    }
}
