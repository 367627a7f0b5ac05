//! The live pipeline as a verification finds it: settled, and made of the code that is to be run again.

use super::settled::{InStore, Left, Settled};
use super::shadow::Shadow;
use super::{VerifyError, VerifyOptions, plan};
use crate::engine::worker::{Engine, PipelineFailed};
use crate::pipeline::{Bound, Ingested, Pipeline, Role};
use crate::recording::{Played, Recording};
use pelton_domain::EventTime;
use pelton_statestore::{PipelineKeys, StoreHandle};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often a shadow that has no end is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The live pipeline, as it was found.
pub(super) struct Live {
    pub(super) pipeline: InStore,
    pub(super) settled: Settled,
    /// The computations that append to streams which are not finished.
    unfinished: Vec<String>,
    /// The computations of sources that are read from the start.
    sources: BTreeSet<String>,
    /// Computations whose dead letters are read, so that they count as productions.
    dead_letters_read: BTreeSet<u32>,
}

impl Live {
    /// Reads it, and sees to it that it fits the code and has settled.
    pub(super) async fn read(pipeline: &Pipeline, store: StoreHandle) -> Result<Self, VerifyError> {
        let name = pipeline.name();
        let missing = || VerifyError::NoLive { pipeline: name.to_string() };
        let stored = InStore::read(&store, PipelineKeys::new(name)).await?.ok_or_else(missing)?;
        let bound = Bound::new(name, &pipeline.steps, &pipeline.changes, Some(&stored.catalogue))?;
        if bound.catalogue != stored.catalogue {
            return Err(VerifyError::GraphChanged { pipeline: name.to_string() });
        }
        let unfinished = unfinished(&stored, pipeline).await?;
        let named = |role: fn(&Role) -> bool| -> BTreeSet<String> {
            let of = pipeline.steps.iter().filter(|step| role(&step.role));
            of.map(|step| step.name.clone()).collect()
        };
        let tick = named(|role| matches!(role, Role::Own | Role::Clock));
        let left = |name: &str| match tick.contains(name) && !unfinished.is_empty() {
            true => Left::Own,
            false => Left::Nothing,
        };
        let settled = stored.settled(&left).await?.map_err(VerifyError::Unsettled)?;
        let read = bound.specs.iter().filter(|spec| spec.dead_letters.is_some()).map(|spec| spec.number);
        let sources = named(|role| matches!(role, Role::Source));
        Ok(Self { pipeline: stored, settled, unfinished, sources, dead_letters_read: read.collect() })
    }

    /// What is to be played of a stream from outside.
    pub(super) async fn played(
        &self,
        appends: &str,
        ingested: &Ingested,
        options: &VerifyOptions,
    ) -> Result<Played, VerifyError> {
        let stream = ingested.stream.clone();
        let Some(retention) = ingested.retention else { return Err(VerifyError::NotRecorded { stream }) };
        let number = self.pipeline.number(appends).unwrap_or(0);
        let recording = Recording::of(&self.pipeline.store, self.pipeline.keys.computation(number));
        let kept_from = options.engine.clock.now().minus(retention.age_max());
        match options.from {
            Some(from) if from < kept_from => return Err(VerifyError::Expired { stream, from, kept_from }),
            Some(_) => {}
            None => {
                let recorded = recording.totals().await?.records;
                let appended = self.appended(number);
                if recorded < appended {
                    return Err(VerifyError::Incomplete { stream, recorded, appended });
                }
            }
        }
        let is_unfinished = self.unfinished.iter().any(|name| name == appends);
        let end = if is_unfinished { self.settled.watermark(number) } else { EventTime::MAX };
        Ok(Played { recording, from: options.from, end })
    }

    /// How many records the stream has had: what the computation that appends has produced, beside dead letters.
    fn appended(&self, number: u32) -> u64 {
        let totals = self.settled.totals(number);
        let letters = if self.dead_letters_read.contains(&number) { totals.dead_lettered } else { 0 };
        totals.productions.saturating_sub(letters)
    }

    /// Waits until the shadow is where the live pipeline is.
    pub(super) async fn shadowed(&self, engine: &Engine, place: &Shadow) -> Result<(), PipelineFailed> {
        if self.unfinished.is_empty() {
            return engine.finished().await;
        }
        loop {
            tokio::select! {
                failed = engine.failed() => return Err(failed),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if !self.may_have_settled(engine) {
                continue;
            }
            match self.has_settled(place).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => return Err(PipelineFailed { reason: error.to_string() }),
            }
        }
    }

    /// Whether it is worth a look into the store: everything is played, and nothing waits.
    fn may_have_settled(&self, engine: &Engine) -> bool {
        let status = engine.status();
        let idle = |c: &crate::ComputationStatus| c.waiting == 0 && c.outbox_bytes == 0 && c.parked == 0;
        let played = |name: &String| {
            let end = self.settled.watermark(self.pipeline.number(name).unwrap_or(0));
            status.computation(name).is_some_and(|c| c.low_watermark == end)
        };
        status.computations.iter().all(idle) && self.unfinished.iter().all(played)
    }

    async fn has_settled(&self, place: &Shadow) -> Result<bool, VerifyError> {
        let Some(shadow) = place.pipeline().await? else { return Ok(false) };
        let left = |name: &str| if self.sources.contains(name) { Left::Nothing } else { Left::Own };
        Ok(shadow.settled(&left).await?.is_ok())
    }

    /// The computations that have dropped records as late: how many here, and in the shadow.
    pub(super) async fn late(&self, shadow: &InStore) -> Result<Vec<(String, u64, u64)>, VerifyError> {
        let mut late = Vec::new();
        let totals = shadow.totals().await?;
        for node in &self.pipeline.catalogue.graph {
            let there = shadow.number(&node.name).and_then(|number| totals.get(&number));
            let there = there.map_or(0, |totals| totals.late_dropped);
            let here = self.settled.totals(node.computation).late_dropped;
            if here + there > 0 {
                late.push((node.name.clone(), here, there));
            }
        }
        Ok(late)
    }
}

/// The computations that append to streams which are not finished.
async fn unfinished(stored: &InStore, pipeline: &Pipeline) -> Result<Vec<String>, VerifyError> {
    let mut unfinished = Vec::new();
    for (appends, ingested) in plan::ingested(&pipeline.steps) {
        let clock = stored.number(&crate::ingest::clock_name(&ingested.stream)).unwrap_or(0);
        if stored.announced(clock).await? != EventTime::MAX {
            unfinished.push(appends);
        }
    }
    Ok(unfinished)
}
