//! The way in for records from outside: from the calls of this process to whoever owns the client's interval.
//!
//! To an interval the gateway is a sender like any other, with an outbox of its own that is in memory only: what is
//! in it was not answered, so whoever sent it sends it again where this process is no more.
//!
//! * I4: a call is told only when all its records are acknowledged, which is after their commit.
//! * I5, I9: numbered channels, sent again until acknowledged, rerouted in order when an interval moves.
//! * I11: what is under way of all calls together has a bound; the next waits until there is room.

use super::channel::{Credit, Party};
use super::clock::{ClockHandle, system_time};
use super::ids::IdClock;
use super::outbox::{ChunkId, Item, Outbox, Production, Routes};
use super::router::{Mail, RouteTable, Router};
use crate::pipeline::OUTSIDE_STREAM;
use bytes::Bytes;
use pelton_domain::{
    CommitNumber, EventTime, Key, KeyInterval, KeyPosition, ProcessingTime, Record, Sequencer, SystemTime,
};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// The computation that outside stands for: none has this number.
pub(crate) const OUTSIDE: u32 = 0;
/// What all calls together may have under way.
const UNDER_WAY_BYTES_MAX: u32 = 32 << 20;
/// Jobs that wait for the task.
const JOBS_MAX: usize = 64;
/// How often it looks for what was not acknowledged in time.
const RESEND_LOOK_EVERY: Duration = Duration::from_secs(1);

/// Records for one key of one computation.
#[derive(Debug)]
struct Job {
    computation: u32,
    key: Key,
    values: Vec<Bytes>,
    done: oneshot::Sender<Taken>,
    room: OwnedSemaphorePermit,
}

/// What became of records that are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// They were in time: they are durable.
    InTime,
    /// Their computation's input has ended: those that it had not taken in before were too late.
    PerhapsLate,
}

/// This process does not take records any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// The calls' end.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    jobs: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
}

impl Gateway {
    /// Begins to serve this process, until `stop`. `process` is unique to it.
    pub(crate) fn start(
        router: Router,
        clock: ClockHandle,
        (credit, resend_after): (Credit, Duration),
        process: u128,
        stop: CancellationToken,
    ) -> Self {
        let (jobs, waiting) = mpsc::channel(JOBS_MAX);
        let (mailbox, mail) = mpsc::unbounded_channel();
        let me = Party::of(OUTSIDE, KeyInterval::FULL, sequencer(process));
        // So answers find it as they find an interval.
        router.add(KeyInterval::FULL, me, mailbox);
        let task = Task {
            me,
            router,
            clock,
            resend_after,
            outbox: Outbox::new(credit),
            ids: IdClock::new(me.sequencer, SystemTime::ZERO),
            next: CommitNumber(1),
            waiting: BTreeMap::new(),
            ended: HashSet::new(),
        };
        tokio::spawn(task.run(waiting, mail, stop));
        Self { jobs, room: Arc::new(Semaphore::new(UNDER_WAY_BYTES_MAX as usize)) }
    }

    /// Sends records to the owner of `key`, once there is room for them. What is returned tells when all are
    /// committed, and fails where this process ends before it knows.
    ///
    /// Cancel safe: cancelled, nothing is sent.
    pub(crate) async fn send(
        &self,
        computation: u32,
        key: Key,
        values: Vec<Bytes>,
    ) -> Result<oneshot::Receiver<Taken>, Closed> {
        let weight = values.iter().map(|value| value.len() + key.as_bytes().len() + 128).sum::<usize>();
        let weight = u32::try_from(weight).unwrap_or(u32::MAX).min(UNDER_WAY_BYTES_MAX);
        let room = self.room.clone().acquire_many_owned(weight).await.map_err(|_| Closed)?;
        let (done, told) = oneshot::channel();
        let job = Job { computation, key, values, done, room };
        self.jobs.send(job).await.map_err(|_| Closed)?;
        Ok(told)
    }
}

/// Ids carry 44 bits of it.
fn sequencer(process: u128) -> Sequencer {
    let low = u64::try_from(process & ((1 << 44) - 1)).unwrap_or(0);
    Sequencer::new(low).unwrap_or(Sequencer::MIN)
}

struct Waiting {
    computation: u32,
    told: oneshot::Sender<Taken>,
    _room: OwnedSemaphorePermit,
}

struct Task {
    me: Party,
    router: Router,
    clock: ClockHandle,
    resend_after: Duration,
    outbox: Outbox,
    ids: IdClock,
    next: CommitNumber,
    /// Who is to be told, and the room that is then free again.
    waiting: BTreeMap<ChunkId, Waiting>,
    /// Computations of which an interval has said that its input is at its end.
    ended: HashSet<u32>,
}

impl Task {
    async fn run(
        mut self,
        mut jobs: mpsc::Receiver<Job>,
        mut mail: mpsc::UnboundedReceiver<Mail>,
        stop: CancellationToken,
    ) {
        let mut routes = self.router.changes();
        let mut table = self.router.table();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                changed = routes.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    table = self.router.table();
                    self.outbox.reroute(&*table, self.clock.now());
                }
                Some(mail) = mail.recv() => self.take_mail(mail),
                job = jobs.recv() => match job {
                    Some(job) => self.take_job(job, &table),
                    None => break,
                },
                () = tokio::time::sleep(RESEND_LOOK_EVERY), if self.outbox.is_waiting() => {}
            }
            self.go_on(&table, self.clock.now());
        }
        self.router.remove(self.me);
    }

    fn take_job(&mut self, job: Job, table: &RouteTable) {
        let now = self.clock.now();
        let id = ChunkId::strong(self.next);
        self.next = self.next.next();
        let ids = &mut self.ids;
        let production = |value: Bytes| {
            let id = ids.assign(system_time(now));
            let record = Record { id, key: job.key.clone(), value, event_time: EventTime::MAX };
            Production { producer_key: Key::new(Bytes::new()), item: Item { stream: OUTSIDE_STREAM, record } }
        };
        let productions = job.values.into_iter().map(production).collect();
        let waiting = Waiting { computation: job.computation, told: job.done, _room: job.room };
        self.waiting.insert(id, waiting);
        let routes = To { table, consumer: [job.computation] };
        self.outbox.add(id, Vec::new(), productions, 0, &routes, now);
    }

    fn take_mail(&mut self, mail: Mail) {
        let now = self.clock.now();
        match mail {
            Mail::Acknowledge { from, epoch, number, at_end } => {
                if at_end {
                    self.ended.insert(from.address.computation);
                }
                self.outbox.acknowledged(from, epoch, number, now);
            }
            Mail::Refuse { from, epoch } => self.outbox.refused(from, epoch, now),
            // Nobody sends records to the outside.
            Mail::Deliver { .. } => {}
        }
    }

    /// Tells whose records are committed, and sends what may be sent.
    fn go_on(&mut self, table: &RouteTable, now: ProcessingTime) {
        let (done, _) = self.outbox.removable();
        for id in &done {
            if let Some(Waiting { computation, told, .. }) = self.waiting.remove(id) {
                let ended = self.ended.contains(&computation);
                let taken = if ended { Taken::PerhapsLate } else { Taken::InTime };
                // The call has ended without waiting for it: the records stay.
                let _ = told.send(taken);
            }
        }
        self.outbox.removed(&done);
        self.outbox.resend(self.resend_after, now);
        let me = self.me;
        self.outbox.pump(now, |to, epoch, number, delivery| {
            table.send(to, Mail::Deliver { from: me, epoch, number, delivery });
        });
    }
}

/// The table, for records that one computation gets whatever it reads.
struct To<'t> {
    table: &'t RouteTable,
    consumer: [u32; 1],
}

impl Routes for To<'_> {
    fn subscribers(&self, _: u32, _: u32) -> &[u32] {
        &self.consumer
    }

    fn owner(&self, computation: u32, position: KeyPosition) -> Option<Party> {
        self.table.owner(computation, position)
    }
}

#[cfg(test)]
mod tests;
