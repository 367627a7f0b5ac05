//! The one task that decides while this injector leads: events in, messages out. It waits for nothing but events;
//! what takes time in the store is a job beside it.
//!
//! | module | what of it |
//! |---|---|
//! | `lead` | taking up the journal and the fences, and a new graph |
//! | `workers` | workers and their messages |
//! | `requests` | new reigns, and draining |
//! | `outcomes` | jobs that are done |
//! | `act` | the membership's actions, routes, rounds of reshaping |

mod act;
mod lead;
mod outcomes;
mod requests;
mod workers;

use super::board::Board;
use super::catalogue::{Catalogue, InputsSince};
use super::events::{Event, Joined, Reply};
use super::jobs::Jobs;
use super::options::ServiceOptions;
use super::role::ServiceError;
use super::session::Session;
use crate::announced::AnnouncedTable;
use crate::assign::Worker;
use crate::assign::heat::Heat;
use crate::end::End;
use crate::injector::Injector;
use crate::membership::{Membership, SessionId};
use futures_util::StreamExt;
use pelton_domain::{ProcessingTime, Sequencer};
use pelton_proto::injector as proto;
use pelton_proto::worker::Route;
use pelton_statestore::{PipelineKeys, StoreHandle};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Events that are taken in before anything is done about them.
const EVENTS_AT_ONCE_MAX: usize = 256;
/// How often the gauges are set.
const GAUGES_EVERY: Duration = Duration::from_secs(1);

/// How a leadership ended.
pub(super) enum Over {
    Stopped,
    Deposed,
    Failed(ServiceError),
}

/// The authority of one pipeline, for one leadership.
pub(super) struct Authority {
    store: StoreHandle,
    keys: PipelineKeys,
    pub(super) options: ServiceOptions,
    events: mpsc::Receiver<Event>,
    pub(super) injector: Injector,
    driver: Pin<Box<dyn Future<Output = End> + Send>>,
    pub(super) epoch: Sequencer,
    pub(super) since: ProcessingTime,
    pub(super) membership: Membership,
    inputs: InputsSince,
    sessions: BTreeMap<SessionId, Session>,
    pub(super) seen: BTreeMap<Worker, Seen>,
    next_session: u64,
    pub(super) board: Board,
    tables: watch::Sender<Arc<AnnouncedTable>>,
    jobs: Jobs,
    /// Jobs that write the journal.
    journaling: usize,
    routes: Vec<Route>,
    heat: BTreeMap<u32, Heat>,
    heat_at: Duration,
    gauges_at: Duration,
    drains: Vec<Drain>,
    /// Workers with a newer graph than was known.
    waiting: Vec<(Box<proto::Hello>, Reply<Joined>)>,
    reading_catalogue: bool,
    next_graph: Option<Catalogue>,
}

/// When a worker came, and was last heard: for people.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) joined: ProcessingTime,
    pub(super) heard: ProcessingTime,
    /// How far its clock was ahead then.
    pub(super) clock_ahead_ms: i64,
}

/// Somebody who waits for a worker to have nothing left.
struct Drain {
    worker: Worker,
    moved: usize,
    reply: Reply<proto::DrainResponse>,
}

impl Authority {
    /// Works until it is stopped or deposed, or the store fails.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> Over {
        let mut announced = self.injector.subscribe();
        loop {
            let wait = self.wait();
            tokio::select! {
                biased;
                () = stop.cancelled() => return Over::Stopped,
                end = &mut self.driver => return over(end),
                Some(done) = self.jobs.next() => {
                    if let Err(error) = self.done(done) {
                        return Over::Failed(error);
                    }
                }
                Ok(()) = announced.changed() => {
                    self.tables.send_replace(announced.borrow_and_update().clone());
                }
                event = self.events.recv() => match event {
                    Some(event) => self.take_in(event),
                    None => return Over::Stopped,
                },
                () = tokio::time::sleep(wait) => {}
            }
            if self.next_graph.is_some() && self.journaling == 0 {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return Over::Stopped,
                    result = self.follow_graph() => if let Err(over) = result {
                        return over;
                    },
                }
                announced = self.injector.subscribe();
                announced.mark_changed();
            }
            self.after();
        }
    }

    fn now(&self) -> Duration {
        (self.options.monotonic)()
    }

    fn wait(&self) -> Duration {
        let now = self.now();
        let heat = self.heat_at.saturating_sub(now);
        self.membership.due(now).min(heat).min(self.gauges_at.saturating_sub(now))
    }

    /// Takes an event in, and those that wait behind it.
    fn take_in(&mut self, event: Event) {
        let mut next = Some(event);
        for _ in 0..EVENTS_AT_ONCE_MAX {
            let Some(event) = next else { return };
            self.event(event);
            next = self.events.try_recv().ok();
        }
        if let Some(event) = next {
            self.event(event);
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Join(hello, reply) => self.join(hello, reply),
            Event::Message(session, message) => self.message(session, message),
            Event::Broken(session, why) => self.broken(session, why),
            Event::Status(request, reply) => {
                let _ = reply.send(self.status(request.intervals));
            }
            Event::Explain(request, reply) => {
                let _ = reply.send(self.explain(&request.computation));
            }
            Event::Drain(request, reply) => self.drain(&request.worker, reply),
        }
    }

    /// Everything that follows from what was taken in.
    fn after(&mut self) {
        let now = self.now();
        if now >= self.heat_at {
            self.heat_at = now + self.options.reshape_every;
            self.look_for_heat(now);
        }
        self.membership.tick(now);
        for action in self.membership.actions() {
            self.act(action, now);
        }
        self.flush_routes();
        self.answer_drains();
        if now >= self.gauges_at {
            self.gauges_at = now + GAUGES_EVERY;
            self.set_gauges();
        }
    }
}

pub(super) fn over(end: End) -> Over {
    match end {
        End::Stopped | End::Abandoned => Over::Stopped,
        End::Deposed { .. } => Over::Deposed,
        End::Failed(fault) => Over::Failed(ServiceError::Failed(fault)),
    }
}
