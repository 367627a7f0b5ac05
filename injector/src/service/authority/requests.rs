//! What is asked of the authority: new reigns by workers, and the draining of workers by people.

use super::{Authority, Drain, Reply};
use crate::membership::SessionId;
use crate::service::jobs::{self, Request};
use crate::service::wire;
use pelton_proto::Malformed;
use pelton_proto::injector::{self as proto, injector_message, request};
use tonic::Status;

/// Calls that wait for workers to be drained.
const DRAINS_MAX: usize = 1_024;
/// Intervals in one request for new reigns.
const REASSIGN_INTERVALS_MAX: usize = 1_000;

impl Authority {
    pub(super) fn request(&mut self, session: SessionId, request: proto::Request) -> Result<(), Malformed> {
        let number = request.number;
        let (computation, old, new) = match request.kind {
            None => return Err(Malformed::new("request", "it asks for nothing")),
            Some(request::Kind::Again(id)) => {
                let reign = wire::reign(&id)?;
                (reign.computation, vec![reign.interval], vec![reign.interval])
            }
            Some(request::Kind::Reassign(reassign)) => {
                if reassign.old.len().max(reassign.new.len()) > REASSIGN_INTERVALS_MAX {
                    let reason = format!("more than {REASSIGN_INTERVALS_MAX} intervals at once");
                    return Err(Malformed::new("request", reason));
                }
                let intervals = |bounds: &[proto::Bounds]| bounds.iter().map(wire::interval).collect();
                let (old, new): (Result<Vec<_>, _>, Result<Vec<_>, _>) =
                    (intervals(&reassign.old), intervals(&reassign.new));
                (reassign.computation, old?, new?)
            }
        };
        if self.next_graph.is_some() {
            self.respond(session, number, Vec::new(), "the graph is changing; ask again".to_owned());
            return Ok(());
        }
        if self.sessions.get(&session).is_some_and(|open| open.is_mute(computation)) {
            let refused =
                "this program's graph is an older one: the interval goes to a worker with the newest";
            self.respond(session, number, Vec::new(), refused.to_owned());
            return Ok(());
        }
        match self.membership.request(session, computation, &old, &new) {
            Err(refused) => self.respond(session, number, Vec::new(), refused.to_string()),
            Ok(worker) => {
                let request = Request { session, number, computation, old, new };
                self.journaling += 1;
                self.jobs.push(jobs::change(self.injector.clone(), worker, request));
            }
        }
        Ok(())
    }

    pub(super) fn respond(
        &mut self,
        session: SessionId,
        number: u64,
        assigned: Vec<proto::Assign>,
        refused: String,
    ) {
        let response = proto::Response { number, assigned, refused };
        self.tell(session, wire::message(injector_message::Kind::Response(response)));
    }

    pub(super) fn drain(&mut self, worker: &str, reply: Reply<proto::DrainResponse>) {
        if self.drains.len() >= DRAINS_MAX {
            let _ =
                reply.send(Err(Status::resource_exhausted("too many calls wait for workers to be drained")));
            return;
        }
        let worker = worker.into();
        match self.membership.drain(&worker, self.now()) {
            None => {
                let words = format!("there is no worker {worker}; Status names those there are");
                let _ = reply.send(Err(Status::not_found(words)));
            }
            Some(moved) => self.drains.push(Drain { worker, moved, reply }),
        }
    }

    pub(super) fn answer_drains(&mut self) {
        let (membership, mut left) = (&self.membership, Vec::new());
        for drain in self.drains.drain(..) {
            if membership.held(&drain.worker).is_some_and(|held| held > 0) {
                left.push(drain);
            } else {
                let moved = u32::try_from(drain.moved).unwrap_or(u32::MAX);
                let _ = drain.reply.send(Ok(proto::DrainResponse { moved }));
            }
        }
        left.retain(|drain| !drain.reply.is_closed());
        self.drains = left;
    }
}
