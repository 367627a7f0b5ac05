//! Workers and their messages.

use super::{Authority, Reply, Seen};
use crate::assign::Worker;
use crate::membership::SessionId;
use crate::service::clocks;
use crate::service::events::Joined;
use crate::service::hello::{self, HelloRefused};
use crate::service::jobs;
use crate::service::reporting;
use crate::service::session::Session;
use crate::service::wire;
use pelton_domain::{ProcessingTime, SystemTime};
use pelton_proto::Malformed;
use pelton_proto::injector::{self as proto, injector_message, worker_message::Kind};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Workers that wait for a newer graph to be read.
const WAITING_MAX: usize = 1_024;

impl Authority {
    pub(super) fn join(&mut self, hello: Box<proto::Hello>, reply: Reply<Joined>) {
        let (here, ahead_max) = ((self.options.clock)(), self.options.clock_ahead_max);
        let checked = hello::check(&hello, &self.options.pipeline, self.store.incarnation())
            .and_then(|()| hello::check_clock(&hello, here, ahead_max));
        if let Err(refused) = checked {
            let _ = reply.send(Err(refused.into()));
            return;
        }
        if hello.graph_version <= self.membership.graph_version() {
            self.admit(&hello, reply);
        } else if self.waiting.len() >= WAITING_MAX {
            let _ = reply.send(Err(Status::unavailable("too many workers wait for a new graph; try again")));
        } else {
            self.waiting.push((hello, reply));
            self.read_catalogue();
        }
    }

    /// The graph was read again: workers that waited for it join, or have one that is not in the store.
    pub(super) fn admit_waiting(&mut self) {
        for (hello, reply) in std::mem::take(&mut self.waiting) {
            let (said, known) = (hello.graph_version, self.membership.graph_version());
            if said > known {
                let _ = reply.send(Err(HelloRefused::GraphUnknown { said, known }.into()));
            } else {
                self.admit(&hello, reply);
            }
        }
    }

    fn admit(&mut self, hello: &proto::Hello, reply: Reply<Joined>) {
        let session = SessionId(self.next_session);
        let said = match wire::hello(hello, session) {
            Ok(said) => said,
            Err(malformed) => {
                let _ = reply.send(Err(Status::invalid_argument(malformed.to_string())));
                return;
            }
        };
        let (worker, computations) = (said.worker.clone(), said.computations.clone());
        let now = self.now();
        let accepted = match self.membership.join(said, now) {
            Ok(accepted) => accepted,
            Err(refused) => {
                let _ = reply.send(Err(Status::already_exists(refused.to_string())));
                return;
            }
        };
        self.next_session += 1;
        let at = (self.options.clock)();
        let said = hello.clock_us.map_or(at, ProcessingTime::from_micros);
        let clock_ahead_ms = clocks::ahead_ms(said, at);
        self.seen.insert(worker.clone(), Seen { joined: at, heard: at, clock_ahead_ms });
        let over = CancellationToken::new();
        let tables = self.tables.subscribe();
        let (opened, outgoing) = Session::open(tables, self.options.control_messages_max, over.clone(), now);
        opened.mute(self.inputs.misleading(hello.graph_version));
        self.sessions.insert(session, opened);
        tracing::info!(%worker, address = hello.address, running = accepted.len(), "a worker joined");
        self.welcome(session);
        self.add_routes(&worker, &accepted);
        for computation in computations {
            let in_graph = self.injector.graph().node(computation).is_some();
            if in_graph && !self.membership.knows(computation) {
                self.jobs.push(jobs::fences(self.store.clone(), &self.keys, computation));
            }
        }
        if reply.send(Ok(Joined { session, outgoing, over })).is_err() {
            self.broken(session, None);
        }
    }

    /// The graph is another: workers of an older one hear no more of what would mislead them.
    pub(super) fn mute_older(&mut self) {
        for member in self.membership.members() {
            let session = self.membership.session_of(&member.worker);
            if let Some(open) = session.and_then(|session| self.sessions.get(&session)) {
                open.mute(self.inputs.misleading(member.graph_version));
            }
        }
    }

    fn welcome(&mut self, session: SessionId) {
        let lease_ms = u32::try_from(self.options.limits.lease.as_millis()).unwrap_or(u32::MAX);
        let welcome = proto::Welcome { epoch: self.epoch.get(), lease_ms };
        self.tell(session, wire::message(injector_message::Kind::Welcome(welcome)));
        self.tell_all_routes(session);
    }

    /// A stream ended: by the worker, by the connection, or because of what came on it.
    pub(super) fn broken(&mut self, session: SessionId, why: Option<Status>) {
        self.membership.broken(session, self.now());
        if let Some(ended) = self.sessions.remove(&session) {
            ended.end(Some(why.unwrap_or_else(|| Status::unavailable("the stream ended; join again"))));
        }
    }

    /// Tells a worker something; one that does not read is cut off.
    pub(super) fn tell(&mut self, session: SessionId, mut message: proto::InjectorMessage) {
        let now = self.now();
        message.id_time_ms_max = Some(self.id_time_max().as_millis());
        let Some(open) = self.sessions.get_mut(&session) else { return };
        if open.tell(message, now).is_err() {
            tracing::warn!(session = session.0, "a worker does not read its messages and is cut off");
            let why = Status::unavailable("too slow: messages were not read; join again");
            self.broken(session, Some(why));
        }
    }

    pub(super) fn message(&mut self, session: SessionId, message: proto::WorkerMessage) {
        let Some(worker) = self.membership.worker_of(session).cloned() else { return };
        let now = self.now();
        self.membership.heard(session, now);
        self.look_at_clock(&worker, message.clock_us.map(ProcessingTime::from_micros), now);
        let is_heartbeat = message.kind.is_none();
        if let Err(malformed) = self.kind(session, message) {
            self.broken(session, Some(Status::invalid_argument(malformed.to_string())));
            return;
        }
        let quiet = self.sessions.get(&session).map(|open| open.quiet(now)).unwrap_or_default();
        if is_heartbeat || quiet >= self.options.limits.lease / 3 {
            self.tell(session, proto::InjectorMessage::default());
        }
    }

    /// A worker whose clock has run away loses its intervals, and may have some again once it is right (I6).
    fn look_at_clock(&mut self, worker: &Worker, said: Option<ProcessingTime>, now: Duration) {
        let (here, ahead_max) = ((self.options.clock)(), self.options.clock_ahead_max);
        let Some(seen) = self.seen.get_mut(worker) else { return };
        seen.heard = here;
        let Some(said) = said else { return };
        seen.clock_ahead_ms = clocks::ahead_ms(said, here);
        let before = self.membership.member(worker).is_some_and(|member| member.clock_refused);
        let judged = clocks::judge(said, here, ahead_max, before);
        if !self.membership.refuse_clock(worker, judged.is_err(), now) {
            return;
        }
        match judged {
            Err(reason) => tracing::warn!(%worker, %reason, "a worker keeps no intervals and gets none"),
            Ok(()) => tracing::info!(%worker, "a worker's clock is right again"),
        }
    }

    /// The latest system time that ids may carry now.
    fn id_time_max(&self) -> SystemTime {
        clocks::id_time_max((self.options.clock)(), self.options.clock_ahead_max)
    }

    fn kind(&mut self, session: SessionId, message: proto::WorkerMessage) -> Result<(), Malformed> {
        let now = self.now();
        match message.kind {
            None => {}
            Some(Kind::Hello(_)) => {
                return Err(Malformed::new("message", "a second Hello on one stream; open another stream"));
            }
            Some(Kind::Reports(reports)) => self.reports(session, reports.reports)?,
            Some(Kind::Running(running)) => {
                let reigns = wire::reigns(&running.intervals)?;
                let accepted = self.membership.running(session, reigns);
                if let Some(worker) = self.membership.worker_of(session).cloned() {
                    self.add_routes(&worker, &accepted);
                }
            }
            Some(Kind::Released(released)) => {
                let reigns = wire::reigns(&released.intervals)?;
                if !released.reason.is_empty() {
                    let intervals = reigns.len();
                    tracing::warn!(
                        session = session.0,
                        intervals,
                        reason = released.reason,
                        "a worker gave up"
                    );
                }
                self.membership.released(session, &reigns, !released.reason.is_empty(), now);
                for reign in &reigns {
                    if self.board.of(reign).is_some() {
                        self.board.vacate((reign.computation, reign.interval.last()));
                    }
                }
            }
            Some(Kind::Request(request)) => self.request(session, request)?,
            Some(Kind::Leaving(_)) => {
                if let Some(worker) = self.membership.worker_of(session).cloned() {
                    self.membership.drain(&worker, now);
                }
            }
        }
        Ok(())
    }

    fn reports(&mut self, session: SessionId, reports: Vec<proto::Report>) -> Result<(), Malformed> {
        let Some(worker) = self.membership.worker_of(session).cloned() else { return Ok(()) };
        let id_time_max = self.id_time_max();
        let refused = reporting::take_in(&self.injector, &mut self.board, &worker, reports, id_time_max)?;
        if !refused.is_empty() {
            self.tell(session, wire::release(&refused));
        }
        Ok(())
    }
}
