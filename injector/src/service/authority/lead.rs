//! Taking up the work: the journal, the fences, and later a new graph.
//!
//! The fences' bounds decide which intervals there are: a split may have been journaled and its fences not changed when the
//! leader before died, or the other way round. Whom the journal gives exactly such bounds is taken to own them.

use super::{Authority, Over, over};
use crate::aggregate::IntervalView;
use crate::injector::Injector;
use crate::leader::{self, Leader};
use crate::membership::Membership;
use crate::options::InjectorOptions;
use crate::service::board::Board;
use crate::service::catalogue::{self, Catalogue};
use crate::service::events::Event;
use crate::service::jobs::Jobs;
use crate::service::options::ServiceOptions;
use crate::service::role::ServiceError;
use pelton_domain::{KeyInterval, Sequencer};
use pelton_statestore::fence::read_fences;
use pelton_statestore::{PipelineKeys, StoreHandle};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

impl Authority {
    /// Takes up a leadership. `None` where the graph is gone.
    pub(in crate::service) async fn start(
        leader: Leader,
        store: StoreHandle,
        keys: PipelineKeys,
        options: ServiceOptions,
        events: mpsc::Receiver<Event>,
    ) -> Result<Option<Self>, ServiceError> {
        let Some(Catalogue { version, graph, inputs }) = catalogue::read(&store, &keys).await? else {
            return Ok(None);
        };
        let epoch = leader.epoch();
        let (injector, driver) =
            Injector::lead(leader, store.clone(), keys.clone(), graph, inner(&options)).await?;
        let now = (options.monotonic)();
        let heat_at =
            if options.reshape_every.is_zero() { Duration::MAX } else { now + options.reshape_every };
        let (tables, _) = watch::channel(injector.announced());
        let mut authority = Self {
            since: (options.clock)(),
            membership: Membership::new(options.limits, now),
            inputs,
            store,
            keys,
            options,
            events,
            injector,
            driver: Box::pin(driver),
            epoch,
            sessions: BTreeMap::new(),
            seen: BTreeMap::new(),
            // Sessions of other leaderships never meet these: the mailbox is another.
            next_session: 1,
            board: Board::default(),
            tables,
            jobs: Jobs::new(),
            journaling: 0,
            routes: Vec::new(),
            heat: BTreeMap::new(),
            heat_at,
            gauges_at: now,
            drains: Vec::new(),
            waiting: Vec::new(),
            reading_catalogue: false,
            next_graph: None,
        };
        authority.take_up(version).await?;
        Ok(Some(authority))
    }

    /// Reads the intervals of every computation that is not known yet.
    async fn take_up(&mut self, version: u32) -> Result<(), ServiceError> {
        let graph = self.injector.graph().clone();
        let now = self.now();
        self.membership.set_graph(version, graph.computations(), now);
        self.membership.set_inputs_since(self.inputs.versions());
        for computation in graph.computations() {
            if self.membership.knows(computation) {
                continue;
            }
            let fences = read_fences(&self.store, &self.keys.computation(computation)).await?;
            let journaled: BTreeMap<KeyInterval, IntervalView> =
                (self.injector.intervals(computation).into_iter())
                    .map(|view| (view.assignment.interval, view))
                    .collect();
            let owner = |interval: KeyInterval| {
                let view = journaled.get(&interval)?;
                Some((view.assignment.sequencer, view.assignment.worker.clone()))
            };
            let intervals = fences.iter().map(|fence| (fence.interval, owner(fence.interval)));
            self.membership.restore(computation, intervals.collect::<Vec<_>>(), self.now());
        }
        Ok(())
    }

    /// Goes on under a new graph: a new leadership of the same process, with the same sessions.
    pub(super) async fn follow_graph(&mut self) -> Result<(), Over> {
        let Some(Catalogue { version, graph, inputs }) = self.next_graph.take() else { return Ok(()) };
        // Before anything new begins to run.
        self.inputs = inputs;
        self.mute_older();
        self.injector.stop();
        let end = (&mut self.driver).await;
        if !matches!(end, crate::end::End::Stopped) {
            return Err(over(end));
        }
        let failed = |error: ServiceError| Over::Failed(error);
        let leader = self.lead_again().await?;
        self.epoch = leader.epoch();
        let (store, keys) = (self.store.clone(), self.keys.clone());
        let led = Injector::lead(leader, store, keys, graph, inner(&self.options)).await;
        let (injector, driver) = led.map_err(|error| failed(error.into()))?;
        self.injector = injector;
        self.driver = Box::pin(driver);
        self.heat.clear();
        tracing::info!(version, epoch = %self.epoch, "goes on under a new graph");
        self.take_up(version).await.map_err(failed)?;
        self.admit_waiting();
        Ok(())
    }

    /// Takes the next leadership, if nobody else has since this one.
    async fn lead_again(&mut self) -> Result<Leader, Over> {
        let failed = |error: leader::LeaderError| Over::Failed(error.into());
        loop {
            let record = leader::read(&self.store, &self.keys.leader()).await.map_err(failed)?;
            let standing = record.as_deref().map(leader::decode).transpose();
            let standing = standing.map_err(|error| failed(error.into()))?;
            let epoch: Option<Sequencer> = standing.and_then(|standing| standing.epoch);
            if epoch != Some(self.epoch) {
                return Err(Over::Deposed);
            }
            let (store, keys) = (&self.store, &self.keys);
            let (tokens, address) = (&self.options.tokens, &self.options.address);
            // A last commit of the old one may still have been on its way: then look again.
            if let Some(leader) =
                Leader::take_from(record, store, keys, tokens, address).await.map_err(failed)?
            {
                return Ok(leader);
            }
        }
    }

    /// Reads the catalogue, for a worker that has a newer one.
    pub(super) fn read_catalogue(&mut self) {
        if !self.reading_catalogue && self.next_graph.is_none() {
            self.reading_catalogue = true;
            self.jobs.push(crate::service::jobs::catalogue(self.store.clone(), self.keys.clone()));
        }
    }
}

/// How the injector inside works: it renews its leadership every third of the lease.
fn inner(options: &ServiceOptions) -> InjectorOptions {
    let renewal_ms = u64::try_from((options.lease / 3).as_millis()).unwrap_or(u64::MAX).max(1);
    InjectorOptions {
        address: options.address.clone(),
        renewal_ms: Some(renewal_ms),
        ..InjectorOptions::new(options.clock.clone())
    }
}
