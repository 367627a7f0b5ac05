//! Jobs that are done.

use super::{Authority, ServiceError};
use crate::aggregate::ReassignRefused;
use crate::assign::{Assignment, Worker};
use crate::injector::{AssignError, Assigned};
use crate::service::jobs::{Done, Request};
use crate::service::wire;
use pelton_domain::KeyInterval;
use pelton_proto::injector::injector_message::Kind;

impl Authority {
    pub(super) fn done(&mut self, done: Done) -> Result<(), ServiceError> {
        match done {
            Done::Assigned { computation, intervals, result } => {
                self.journaling -= 1;
                self.assigned(computation, &intervals, result);
            }
            Done::Changed { request, result } => {
                self.journaling -= 1;
                self.changed(&request, result);
            }
            Done::Fences { computation, result } => {
                let bounds = result?;
                self.membership.fences(computation, &bounds, self.now());
            }
            Done::Catalogue(result) => {
                self.reading_catalogue = false;
                match result? {
                    Some(found) if found.version > self.membership.graph_version() => {
                        self.next_graph = Some(found);
                    }
                    _ => self.admit_waiting(),
                }
            }
        }
        Ok(())
    }

    fn assigned(
        &mut self,
        computation: u32,
        intervals: &[(KeyInterval, Worker)],
        result: Result<Vec<Assigned>, AssignError>,
    ) {
        let assigned = match result {
            Ok(assigned) => assigned,
            Err(error) => {
                let together = match &error {
                    AssignError::Refused(ReassignRefused::Partial { interval }) => Some(*interval),
                    _ => None,
                };
                tracing::warn!(computation, %error, "intervals were not assigned");
                self.membership.not_assigned(computation, intervals, together, self.now());
                return;
            }
        };
        for assigned in assigned {
            self.board.vacate((computation, assigned.assignment.interval.last()));
            if let Some(session) = self.membership.assigned(computation, &assigned.assignment) {
                let assign = wire::assign(computation, &assigned);
                self.tell(session, wire::message(Kind::Assign(assign)));
            }
        }
    }

    fn changed(&mut self, request: &Request, result: Result<Vec<Assigned>, AssignError>) {
        let Request { session, number, computation, old, .. } = request;
        match result {
            Ok(assigned) => {
                let assignments: Vec<Assignment> =
                    assigned.iter().map(|assigned| assigned.assignment.clone()).collect();
                for interval in old {
                    let id = (*computation, interval.last());
                    if request.new.contains(interval) {
                        self.board.vacate(id);
                    } else {
                        self.board.forget(id);
                    }
                }
                if self.membership.changed(*session, *computation, old, &assignments) {
                    let parts = assigned.iter().map(|assigned| wire::assign(*computation, assigned));
                    self.respond(*session, *number, parts.collect(), String::new());
                }
            }
            Err(error) => {
                self.membership.unchanged(*computation, old);
                self.respond(*session, *number, Vec::new(), error.to_string());
            }
        }
    }
}
