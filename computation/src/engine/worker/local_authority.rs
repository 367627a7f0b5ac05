//! The injector's service over a pipeline that runs in one process: what can be asked of it, and no more. Who wants to
//! join or to drain is told that there is nothing to share.

use super::{Engine, Hosted, Shared};
use crate::engine::channel::Party;
use crate::engine::session::wire;
use bytes::Bytes;
use futures_util::stream::Pending;
use pelton_domain::{KeyInterval, ProcessingTime};
use pelton_injector::{Injector, IntervalReport, IntervalView};
use pelton_proto::injector::injector_server::Injector as Calls;
use pelton_proto::injector::{self as proto, InjectorMessage, WorkerMessage};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use tonic::{Request, Response, Status, Streaming};

/// The service.
pub(super) struct LocalAuthority {
    shared: Arc<Shared>,
    injector: Injector,
    graph_version: u32,
    address: SocketAddr,
    process: Bytes,
    /// When it began to listen.
    since: ProcessingTime,
}

impl LocalAuthority {
    pub(super) fn new(engine: &Engine, address: SocketAddr, process: u128) -> Self {
        Self {
            shared: engine.shared.clone(),
            injector: engine.injector.clone(),
            graph_version: engine.graph_version,
            address,
            process: Bytes::copy_from_slice(&process.to_be_bytes()),
            since: engine.shared.options.clock.now(),
        }
    }

    fn intervals_of(&self, number: u32, hosted: &Hosted) -> Vec<proto::IntervalStatus> {
        let views: BTreeMap<KeyInterval, IntervalView> = (self.injector.intervals(number).into_iter())
            .map(|view| (view.assignment.interval, view))
            .collect();
        let running = hosted.running.lock().unwrap_or_else(PoisonError::into_inner);
        let status = |(interval, running): (&KeyInterval, &super::Running)| {
            let party = Party::of(number, *interval, running.reign());
            let view = views.get(interval).filter(|view| view.assignment.sequencer == party.sequencer);
            let report = view.and_then(|view| {
                let reported = view.reported?;
                let report = IntervalReport {
                    computation: number,
                    interval: *interval,
                    sequencer: party.sequencer,
                    low_watermark: reported.low_watermark,
                    oldest_unacknowledged: reported.oldest_unacknowledged,
                    holder: None,
                    load: view.load,
                };
                Some(wire::report(*interval, party, &report, &running.status.figures()))
            });
            proto::IntervalStatus {
                interval: Some(wire::interval_id(*interval, party)),
                worker: self.shared.options.worker.to_string(),
                running: running.status.is_observed(),
                report,
            }
        };
        running.iter().map(status).collect()
    }

    fn computation(
        &self,
        number: u32,
        hosted: &Hosted,
        intervals: &[proto::IntervalStatus],
    ) -> proto::ComputationStatus {
        let announced = self.injector.announced().of(number);
        let mut status = proto::ComputationStatus {
            computation: number,
            name: hosted.spec.name.to_string(),
            producers: hosted.spec.producers.clone(),
            low_watermark_us: announced.low_watermark.as_micros(),
            oldest_unacknowledged_ms: announced.oldest_unacknowledged.as_millis(),
            intervals: count(intervals.len()),
            running: count(intervals.iter().filter(|interval| interval.running).count()),
            ..proto::ComputationStatus::default()
        };
        let (mut totals, mut held) = (proto::Totals::default(), proto::Held::default());
        for report in intervals.iter().filter_map(|interval| interval.report.as_ref()) {
            add(&mut totals, &mut held, report);
            status.busy_permille += report.busy_permille;
        }
        (status.totals, status.held) = (Some(totals), Some(held));
        status
    }

    fn worker(&self, intervals: &[proto::IntervalStatus]) -> proto::WorkerStatus {
        let reports = || intervals.iter().filter_map(|interval| interval.report.as_ref());
        proto::WorkerStatus {
            worker: self.shared.options.worker.to_string(),
            process: self.process.clone(),
            address: self.address.to_string(),
            graph_version: self.graph_version,
            joined_us: self.since.as_micros(),
            heard_us: self.shared.options.clock.now().as_micros(),
            intervals: count(intervals.len()),
            busy_permille: reports().map(|report| report.busy_permille).sum(),
            memory_bytes: reports().map(|report| report.memory_bytes).sum(),
            ..proto::WorkerStatus::default()
        }
    }
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

fn add(totals: &mut proto::Totals, held: &mut proto::Held, report: &proto::Report) {
    let more = report.totals.unwrap_or_default();
    totals.records += more.records;
    totals.duplicates += more.duplicates;
    totals.late_dropped += more.late_dropped;
    totals.dead_lettered += more.dead_lettered;
    totals.timers_fired += more.timers_fired;
    totals.productions += more.productions;
    let more = report.held.unwrap_or_default();
    held.waiting += more.waiting;
    held.timers += more.timers;
    held.failing_keys += more.failing_keys;
    held.parked += more.parked;
    held.outbox_bytes += more.outbox_bytes;
}

fn alone(what: &str) -> Status {
    Status::failed_precondition(format!(
        "the whole pipeline runs in this one process, so {what}; to share the work, stop it and run a pelton-injector and workers on the same store"
    ))
}

#[tonic::async_trait]
impl Calls for LocalAuthority {
    type JoinStream = Pending<Result<InjectorMessage, Status>>;

    async fn join(&self, _: Request<Streaming<WorkerMessage>>) -> Result<Response<Self::JoinStream>, Status> {
        Err(alone("no worker can join it"))
    }

    async fn status(
        &self,
        request: Request<proto::StatusRequest>,
    ) -> Result<Response<proto::StatusResponse>, Status> {
        let (mut computations, mut all) = (Vec::new(), Vec::new());
        for (number, hosted) in &self.shared.computations {
            let intervals = self.intervals_of(*number, hosted);
            computations.push(self.computation(*number, hosted, &intervals));
            all.extend(intervals);
        }
        Ok(Response::new(proto::StatusResponse {
            pipeline: self.shared.name.to_string(),
            epoch: self.injector.announced().epoch().get(),
            leader_since_us: self.since.as_micros(),
            graph_version: self.graph_version,
            workers: vec![self.worker(&all)],
            computations,
            intervals: if request.get_ref().intervals { all } else { Vec::new() },
        }))
    }

    async fn explain(
        &self,
        request: Request<proto::ExplainRequest>,
    ) -> Result<Response<proto::ExplainResponse>, Status> {
        pelton_injector::service::explain(&self.injector, &request.get_ref().computation).map(Response::new)
    }

    async fn drain(&self, _: Request<proto::DrainRequest>) -> Result<Response<proto::DrainResponse>, Status> {
        Err(alone("there is nobody to move anything to"))
    }
}
