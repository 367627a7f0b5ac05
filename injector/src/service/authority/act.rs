//! What the membership wants done, who runs what told to everybody, rounds of reshaping, and gauges.

use super::Authority;
use crate::assign::Worker;
use crate::assign::heat::{Heat, Reshape};
use crate::membership::{Action, Ending, IntervalReign, SessionId};
use crate::service::{jobs, wire};
use bytes::Bytes;
use pelton_proto::injector::{self as proto, injector_message::Kind};
use pelton_proto::worker::Route;
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::Status;

/// Routes in one message.
const ROUTES_MAX: usize = 2_000;

impl Authority {
    pub(super) fn act(&mut self, action: Action, now: Duration) {
        match action {
            Action::Assign { computation, intervals } if self.next_graph.is_some() => {
                self.membership.not_assigned(computation, &intervals, None, now);
            }
            Action::Assign { computation, intervals } => {
                self.journaling += 1;
                self.jobs.push(jobs::assign(self.injector.clone(), computation, intervals));
            }
            Action::ReadFences { computation } => {
                self.jobs.push(jobs::fences(self.store.clone(), &self.keys, computation));
            }
            Action::Release { session, reigns } => self.tell(session, wire::release(&reigns)),
            Action::Reshape { session, computation, old, new } => {
                let (old, new) =
                    (old.iter().map(wire::bounds).collect(), new.iter().map(wire::bounds).collect());
                let reshape = proto::Reshape { computation, old, new };
                self.tell(session, wire::message(Kind::Reshape(reshape)));
            }
            Action::Gone { worker } => {
                tracing::warn!(%worker, "a worker is gone; others get what it had");
                self.board.vacate_worker(&worker);
                self.seen.remove(&worker);
            }
            Action::End { session, why } => {
                if let Some(ended) = self.sessions.remove(&session) {
                    tracing::info!(session = session.0, ?why, "a session ends");
                    ended.end(status(why));
                }
            }
        }
    }

    /// Intervals run at a worker: everybody is to know.
    pub(super) fn add_routes(&mut self, worker: &Worker, reigns: &[IntervalReign]) {
        let Some(member) = self.membership.member(worker) else { return };
        let process = Bytes::copy_from_slice(&member.process.unwrap_or_default());
        let route =
            |reign: &IntervalReign| wire::route(reign, worker.as_str(), process.clone(), &member.address);
        self.routes.extend(reigns.iter().map(route));
    }

    pub(super) fn flush_routes(&mut self) {
        let routes = std::mem::take(&mut self.routes);
        let sessions: Vec<SessionId> = self.sessions.keys().copied().collect();
        for routes in routes.chunks(ROUTES_MAX) {
            for session in &sessions {
                let message = proto::Routes { routes: routes.to_vec() };
                self.tell(*session, wire::message(Kind::Routes(message)));
            }
        }
    }

    /// Tells a worker that has just come where everything runs.
    pub(super) fn tell_all_routes(&mut self, session: SessionId) {
        let routes = self.all_routes();
        for routes in routes.chunks(ROUTES_MAX) {
            let message = proto::Routes { routes: routes.to_vec() };
            self.tell(session, wire::message(Kind::Routes(message)));
        }
    }

    fn all_routes(&self) -> Vec<Route> {
        let places: BTreeMap<Worker, (Bytes, String)> = (self.membership.members())
            .filter_map(|member| {
                let process = Bytes::copy_from_slice(&member.process?);
                Some((member.worker, (process, member.address)))
            })
            .collect();
        let mut routes = Vec::new();
        for computation in self.injector.graph().computations() {
            for (interval, owner) in self.membership.reigns(computation) {
                let Some((sequencer, worker, true)) = owner else { continue };
                let Some((process, address)) = places.get(worker) else { continue };
                let reign = IntervalReign { computation, interval, sequencer };
                routes.push(wire::route(&reign, worker.as_str(), process.clone(), address));
            }
        }
        routes
    }

    /// One round of looking for intervals to split and to merge, by their last reports.
    pub(super) fn look_for_heat(&mut self, now: Duration) {
        let graph = self.injector.graph().clone();
        for computation in graph.computations() {
            let loads: Vec<_> = (self.membership.reigns(computation))
                .filter_map(|(interval, owner)| {
                    let (sequencer, _, _) = owner.filter(|(_, _, running)| *running)?;
                    let load = self.board.load(&IntervalReign { computation, interval, sequencer })?;
                    Some((interval, load))
                })
                .collect();
            let limits = self.options.heat;
            let heat = self.heat.entry(computation).or_insert_with(|| Heat::new(limits));
            for reshape in heat.observe(&loads) {
                let (old, new) = match reshape {
                    Reshape::Split { whole, parts } => (vec![whole], vec![parts.0, parts.1]),
                    Reshape::Merge { parts, whole } => (vec![parts.0, parts.1], vec![whole]),
                };
                self.membership.reshape(computation, old, new, now);
            }
        }
    }

    /// What an autoscaler and an operator look at.
    pub(super) fn set_gauges(&self) {
        metrics::gauge!("pelton_injector_workers").set(self.sessions.len() as f64);
        let members: Vec<_> = self.membership.members().collect();
        let refused = members.iter().filter(|member| member.clock_refused).count();
        metrics::gauge!("pelton_injector_workers_clock_refused").set(refused as f64);
        let seen = members.iter().filter_map(|member| self.seen.get(&member.worker));
        let ahead_ms_max = seen.map(|seen| seen.clock_ahead_ms).max().unwrap_or(0);
        metrics::gauge!("pelton_injector_workers_clock_ahead_ms_max").set(ahead_ms_max as f64);
        let mut busy_permille = 0;
        let graph = self.injector.graph();
        for computation in graph.computations() {
            let name = graph.node(computation).map(|node| node.name.to_string()).unwrap_or_default();
            let sums = self.board.computation(computation);
            busy_permille += sums.busy_permille;
            let intervals = self.membership.interval_count(computation);
            metrics::gauge!("pelton_intervals", "computation" => name.clone()).set(intervals as f64);
            metrics::gauge!("pelton_busy_permille", "computation" => name).set(sums.busy_permille as f64);
        }
        metrics::gauge!("pelton_busy_permille_total").set(busy_permille as f64);
    }
}

/// What a worker whose session ends is told; nothing where all is well.
fn status(why: Ending) -> Option<Status> {
    match why {
        Ending::Drained => None,
        Ending::Silent => Some(Status::unavailable(
            "nothing came for a whole lease, so its intervals go to others; join again",
        )),
        Ending::Replaced => Some(Status::unavailable("another stream of this worker took its place")),
    }
}
