//! The membership of this process in a pipeline that an injector elsewhere leads.
//!
//! | module | what |
//! |---|---|
//! | [`link`] | one stream to the injector in charge after the other |
//! | [`runs`] | what runs here, and the last word on each |
//! | [`wire`] | from messages to domain types and back |
//!
//! I7: of each announced value the greatest that was heard is kept, whichever leader said it; so an earlier
//! leader that is still heard can take nothing back. While no injector can be reached everything runs on: records are
//! processed and committed, watermarks stand still.

mod link;
mod runs;
pub(crate) mod wire;

pub(crate) use link::{JoinOptions, Link};

use super::channel::Party;
use super::ids::IdCeiling;
use super::worker::IntervalStatus;
use pelton_domain::{KeyInterval, Sequencer};
use pelton_injector::{Announced, AnnouncedTable, Assigned, Graph, IntervalReport};
use pelton_proto::injector::{self, request, worker_message};
use runs::Runs;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use wire::AwayAssign;

/// What the injector asks of this worker.
#[derive(Debug)]
pub(crate) enum Event {
    /// An interval is this worker's.
    Assign(AwayAssign),
    /// Stop these once what they have begun is committed.
    Release(Vec<(KeyInterval, Party)>),
    /// Split or merge intervals.
    Reshape { computation: u32, old: Vec<KeyInterval>, new: Vec<KeyInterval> },
    /// Where intervals run.
    Routes(Vec<pelton_proto::worker::Route>),
    /// Nothing is left here, and nothing comes: the worker may end.
    Drained,
    /// No injector will have this worker, and trying again is in vain.
    Refused(String),
}

/// A handle on the membership.
#[derive(Clone)]
pub(crate) struct Session {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

struct Inner {
    graph: Arc<Graph>,
    id_ceiling: IdCeiling,
    tables: watch::Sender<Arc<AnnouncedTable>>,
    runs: Mutex<Runs>,
    /// There is something to report.
    news: Notify,
    control: mpsc::UnboundedSender<worker_message::Kind>,
    requests: Mutex<Requests>,
}

/// What was asked and not answered.
#[derive(Default)]
struct Requests {
    /// The link has ended: nothing is answered any more.
    closed: bool,
    last: u64,
    waiting: BTreeMap<u64, (request::Kind, oneshot::Sender<injector::Response>)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// A membership that is not joined yet, and what is to be sent once it is.
    pub(crate) fn new(graph: Arc<Graph>) -> (Self, mpsc::UnboundedReceiver<worker_message::Kind>) {
        let (control, sending) = mpsc::unbounded_channel();
        let inner = Inner {
            graph,
            id_ceiling: IdCeiling::none(),
            tables: watch::Sender::new(Arc::new(AnnouncedTable::new(Sequencer::MIN, []))),
            runs: Mutex::default(),
            news: Notify::new(),
            control,
            requests: Mutex::default(),
        };
        (Self { inner: Arc::new(inner) }, sending)
    }

    pub(crate) fn graph(&self) -> &Arc<Graph> {
        &self.inner.graph
    }

    pub(crate) fn id_ceiling(&self) -> &IdCeiling {
        &self.inner.id_ceiling
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<AnnouncedTable>> {
        self.inner.tables.subscribe()
    }

    pub(crate) fn announced(&self) -> Arc<AnnouncedTable> {
        self.inner.tables.borrow().clone()
    }

    /// Takes up announced values; of each the greatest heard stays (I7).
    pub(crate) fn hear_announced(
        &self,
        epoch: Sequencer,
        values: impl IntoIterator<Item = (u32, Announced)>,
    ) {
        self.inner.tables.send_if_modified(|table| {
            let mut known: BTreeMap<u32, Announced> = table.iter().collect();
            let mut grown = false;
            for (computation, value) in values {
                let before = known.get(&computation).copied().unwrap_or_default();
                grown |= !before.is_at_least(value);
                known.insert(computation, before.greatest_of(value));
            }
            if grown {
                *table = Arc::new(AnnouncedTable::new(table.epoch().max(epoch), known));
            }
            grown
        });
    }

    pub(crate) fn report(&self, report: IntervalReport) {
        lock(&self.inner.runs).report(report);
        self.inner.news.notify_one();
    }

    pub(crate) fn running(&self, interval: KeyInterval, party: Party, status: Arc<IntervalStatus>) {
        lock(&self.inner.runs).add(interval, party, status);
        let intervals = vec![wire::interval_id(interval, party)];
        self.send(worker_message::Kind::Running(injector::Running { intervals }));
    }

    pub(crate) fn ended(&self, party: Party) {
        lock(&self.inner.runs).remove(party);
    }

    /// Says that intervals do not run here any more, with the reason where nobody asked for it.
    pub(crate) fn released(&self, intervals: &[(KeyInterval, Party)], reason: String) {
        let intervals =
            intervals.iter().map(|(interval, party)| wire::interval_id(*interval, *party)).collect();
        self.send(worker_message::Kind::Released(injector::Released { intervals, reason }));
    }

    /// Says that this worker wants to stop.
    pub(crate) fn leave(&self) {
        self.send(worker_message::Kind::Leaving(injector::Leaving {}));
    }

    fn send(&self, message: worker_message::Kind) {
        // Where the link has ended, the worker ends too.
        let _ = self.inner.control.send(message);
    }

    pub(crate) async fn again(
        &self,
        computation: u32,
        interval: KeyInterval,
        sequencer: Sequencer,
    ) -> Result<Option<Assigned>, String> {
        let party = Party::of(computation, interval, sequencer);
        let id = wire::interval_id(interval, party);
        let response = self.request(request::Kind::Again(id)).await?;
        if !response.refused.is_empty() {
            tracing::info!(computation, %interval, reason = response.refused, "an interval is given up");
            // Where it is this worker's after all, it comes back by an assignment.
            self.released(&[(interval, party)], response.refused);
            return Ok(None);
        }
        let assigned = response.assigned.into_iter().next();
        assigned.map(|assign| self.heard(assign)).transpose()
    }

    pub(crate) async fn reassign(
        &self,
        computation: u32,
        old: Vec<KeyInterval>,
        new: Vec<KeyInterval>,
    ) -> Result<Vec<Assigned>, String> {
        let bounds = |intervals: Vec<KeyInterval>| intervals.into_iter().map(wire::bounds).collect();
        let kind =
            request::Kind::Reassign(injector::Reassign { computation, old: bounds(old), new: bounds(new) });
        let response = self.request(kind).await?;
        if !response.refused.is_empty() {
            return Err(response.refused);
        }
        response.assigned.into_iter().map(|assign| self.heard(assign)).collect()
    }

    /// An assignment, after what it says of announced values is known: ids are assigned above it (I6).
    fn heard(&self, assign: injector::Assign) -> Result<Assigned, String> {
        let assign = AwayAssign::try_from(assign).map_err(|malformed| malformed.to_string())?;
        self.hear_announced(Sequencer::MIN, [(assign.computation, assign.assigned.announced)]);
        Ok(assign.assigned)
    }

    /// Asks, as often as the injector changes meanwhile, until there is an answer.
    async fn request(&self, kind: request::Kind) -> Result<injector::Response, String> {
        let (reply, answer) = oneshot::channel();
        let number = {
            let mut requests = lock(&self.inner.requests);
            if requests.closed {
                return Err("the membership has ended".to_owned());
            }
            requests.last += 1;
            let number = requests.last;
            requests.waiting.insert(number, (kind.clone(), reply));
            number
        };
        self.send(worker_message::Kind::Request(injector::Request { number, kind: Some(kind) }));
        answer.await.map_err(|_| "the membership has ended".to_owned())
    }

    fn answered(&self, response: injector::Response) {
        let asked = lock(&self.inner.requests).waiting.remove(&response.number);
        let unheard = match asked {
            Some((_, reply)) => reply.send(response).err(),
            // A request that was asked of two streams is answered twice.
            None => Some(response),
        };
        unheard.into_iter().for_each(|unheard| self.give_back(unheard));
    }

    /// Nobody waits for this answer any more, so nobody runs what it assigns: the injector would wait for it for ever.
    fn give_back(&self, unheard: injector::Response) {
        for assign in unheard.assigned {
            let Ok(AwayAssign { computation, assigned }) = AwayAssign::try_from(assign) else { continue };
            let interval = assigned.assignment.interval;
            let party = Party::of(computation, interval, assigned.assignment.sequencer);
            self.released(&[(interval, party)], "nobody waits for it any more".to_owned());
        }
    }

    /// Nothing is answered any more: whoever waits is told.
    fn close(&self) {
        let mut requests = lock(&self.inner.requests);
        requests.closed = true;
        requests.waiting.clear();
    }

    /// What was asked and not answered, to be asked of another injector.
    fn unanswered(&self) -> Vec<worker_message::Kind> {
        let requests = lock(&self.inner.requests);
        let request = |(number, (kind, _)): (&u64, &(request::Kind, _))| {
            worker_message::Kind::Request(injector::Request { number: *number, kind: Some(kind.clone()) })
        };
        requests.waiting.iter().map(request).collect()
    }
}
