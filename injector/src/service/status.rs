//! What is shown of it all.

use super::authority::Authority;
use super::wire;
use crate::aggregate::{Cause, Explanation, Place};
use crate::injector::Injector;
use crate::membership::{IntervalReign, MemberView};
use bytes::Bytes;
use pelton_domain::KeyInterval;
use pelton_proto::injector as proto;
use tonic::Status;

/// Intervals that one answer names: within the size of a message.
const STATUS_INTERVALS_MAX: usize = 50_000;

impl Authority {
    pub(super) fn status(&self, intervals: bool) -> Result<proto::StatusResponse, Status> {
        let graph = self.injector.graph().clone();
        let count: usize =
            graph.computations().map(|computation| self.membership.interval_count(computation)).sum();
        if intervals && count > STATUS_INTERVALS_MAX {
            let words = format!(
                "{count} intervals do not go into one answer, {STATUS_INTERVALS_MAX} do; ask without intervals"
            );
            return Err(Status::resource_exhausted(words));
        }
        let named = |computation| self.interval_statuses(computation);
        Ok(proto::StatusResponse {
            pipeline: self.options.pipeline.to_string(),
            epoch: self.epoch.get(),
            leader_since_us: self.since.as_micros(),
            graph_version: self.membership.graph_version(),
            workers: self.membership.members().map(|member| self.worker_status(member)).collect(),
            computations: graph.computations().map(|number| self.computation_status(number)).collect(),
            intervals: if intervals { graph.computations().flat_map(named).collect() } else { Vec::new() },
        })
    }

    fn worker_status(&self, member: MemberView) -> proto::WorkerStatus {
        let sums = self.board.worker(&member.worker);
        let seen = self.seen.get(&member.worker);
        proto::WorkerStatus {
            worker: member.worker.as_str().to_owned(),
            process: member.process.map(|process| Bytes::copy_from_slice(&process)).unwrap_or_default(),
            address: member.address,
            graph_version: member.graph_version,
            joined_us: seen.map_or(0, |seen| seen.joined.as_micros()),
            heard_us: seen.map_or(0, |seen| seen.heard.as_micros()),
            intervals: capped(member.intervals),
            busy_permille: u32::try_from(sums.busy_permille).unwrap_or(u32::MAX),
            memory_bytes: sums.memory_bytes,
            draining: member.draining,
            clock_ahead_ms: seen.map_or(0, |seen| seen.clock_ahead_ms),
            clock_refused: member.clock_refused,
        }
    }

    fn computation_status(&self, computation: u32) -> proto::ComputationStatus {
        let graph = self.injector.graph();
        let announced = self.injector.announced().of(computation);
        let sums = self.board.computation(computation);
        proto::ComputationStatus {
            computation,
            name: graph.node(computation).map(|node| node.name.to_string()).unwrap_or_default(),
            producers: graph.producers(computation).to_vec(),
            low_watermark_us: announced.low_watermark.as_micros(),
            oldest_unacknowledged_ms: announced.oldest_unacknowledged.as_millis(),
            intervals: capped(self.membership.interval_count(computation)),
            running: capped(sums.reported),
            totals: Some(sums.totals),
            held: Some(sums.held),
            busy_permille: u32::try_from(sums.busy_permille).unwrap_or(u32::MAX),
        }
    }

    fn interval_statuses(&self, computation: u32) -> Vec<proto::IntervalStatus> {
        let status = |(interval, owner): (KeyInterval, Option<_>)| {
            let bounds = proto::IntervalId {
                computation,
                first_position: interval.first().0,
                last_position: interval.last().0,
                sequencer: 0,
            };
            let Some((sequencer, worker, running)) = owner else {
                return proto::IntervalStatus { interval: Some(bounds), ..Default::default() };
            };
            let worker: &crate::assign::Worker = worker;
            let reign = IntervalReign { computation, interval, sequencer };
            proto::IntervalStatus {
                interval: Some(wire::interval_id(&reign)),
                worker: worker.as_str().to_owned(),
                running,
                report: self.board.of(&reign).map(|last| last.report.clone()),
            }
        };
        self.membership.reigns(computation).map(status).collect()
    }

    pub(super) fn explain(&self, name: &str) -> Result<proto::ExplainResponse, Status> {
        explain(&self.injector, name)
    }
}

/// Who holds the low watermark of the computation `name`, as [`Injector`] knows it.
///
/// # Errors
/// NOT_FOUND, with those that there are.
pub fn explain(injector: &Injector, name: &str) -> Result<proto::ExplainResponse, Status> {
    let graph = injector.graph();
    let found = graph
        .computations()
        .find(|computation| graph.node(*computation).is_some_and(|node| node.name.as_str() == name));
    let explanation = found.and_then(|computation| injector.explain(computation));
    let Some(explanation) = explanation else {
        let known: Vec<String> = (graph.computations())
            .filter_map(|computation| Some(graph.node(computation)?.name.to_string()))
            .collect();
        let words = format!("there is no computation {name:?}; there are {}", known.join(", "));
        return Err(Status::not_found(words));
    };
    let name =
        |computation: &u32| graph.node(*computation).map(|node| node.name.to_string()).unwrap_or_default();
    let path = explanation.path.iter().map(name).collect();
    Ok(explained(&explanation, path))
}

fn explained(explanation: &Explanation, path: Vec<String>) -> proto::ExplainResponse {
    let computation = explanation.path.last().copied().unwrap_or_default();
    let mut response = proto::ExplainResponse {
        low_watermark_us: explanation.low_watermark.as_micros(),
        path,
        words: explanation.cause.to_string(),
        since_us: explanation.since.map(|since| since.as_micros()),
        ..Default::default()
    };
    let (cause, place) = match &explanation.cause {
        Cause::Done => ("done", None),
        Cause::Unassigned { positions } => {
            response.interval = Some(proto::IntervalId {
                computation,
                first_position: positions.first().0,
                last_position: positions.last().0,
                sequencer: 0,
            });
            ("unassigned", None)
        }
        Cause::Silent { at } => ("silent", Some(at)),
        Cause::Behind { at, .. } => ("behind", Some(at)),
        Cause::Held { at, holder, .. } => {
            response.holder = holder.what.as_str().to_owned();
            response.holder_key = holder.key.as_ref().map(|key| key.to_bytes());
            ("held", Some(at))
        }
        Cause::NotJournaled { .. } => ("not-journaled", None),
    };
    response.cause = cause.to_owned();
    if let Some(Place { interval, sequencer, worker }) = place {
        let reign = IntervalReign { computation, interval: *interval, sequencer: *sequencer };
        response.interval = Some(wire::interval_id(&reign));
        response.worker = worker.as_str().to_owned();
    }
    response
}

fn capped(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
