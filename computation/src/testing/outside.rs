//! What stands around a computation that is driven by hand: a producer before it and a consumer behind it.
//!
//! They speak with it as any other interval would, by the engine's own outbox and channels: what is pushed is
//! sent again until it is acknowledged, through crashes too (I5), and holds the input watermark until then
//! (I7); what comes out is taken in order (I9), once each (I6), and acknowledged at once.

use crate::engine::channel::{Party, ReceiverChannel, Reception};
use crate::engine::clock::system_time;
use crate::engine::ids::IdClock;
use crate::engine::interval::IntervalOptions;
use crate::engine::outbox::{ChunkId, Item, Outbox, Production};
use crate::engine::router::{Mail, RouteTable, Router};
use pelton_domain::{
    CommitNumber, EventTime, Key, KeyInterval, ProcessingTime, RecordId, Sequencer, SystemTime,
};
use pelton_injector::{Accepted, Assigned, Injector, IntervalReport, Load, ReportRefused};
use std::collections::{HashMap, HashSet};
use tokio::sync::mpsc;

/// The producer of every stream that the computation reads.
pub(super) struct Before {
    me: Party,
    mailbox: mpsc::UnboundedReceiver<Mail>,
    outbox: Outbox,
    options: IntervalOptions,
    ids: IdClock,
    pushes: CommitNumber,
    /// What the caller has said: apart from late ones, nothing earlier is still to be pushed.
    pub(super) watermark: EventTime,
    reported: Option<(EventTime, SystemTime)>,
}

impl Before {
    /// The producer numbered `computation`, whose positions were given to it with `assigned`. It goes on from
    /// what an earlier one on the same store has promised.
    pub(super) fn new(
        computation: u32,
        assigned: &Assigned,
        options: IntervalOptions,
        router: &Router,
    ) -> Self {
        let sequencer = assigned.assignment.sequencer;
        let (me, mailbox) = join(router, computation, sequencer);
        Self {
            me,
            mailbox,
            outbox: Outbox::new(options.credit()),
            options,
            ids: IdClock::new(sequencer, assigned.announced.oldest_unacknowledged),
            pushes: CommitNumber::default(),
            watermark: assigned.announced.low_watermark,
            reported: None,
        }
    }

    /// The id of a new record.
    pub(super) fn id(&mut self, now: ProcessingTime) -> RecordId {
        self.ids.assign(system_time(now))
    }

    /// Takes records up, to be sent together.
    pub(super) fn push(
        &mut self,
        items: Vec<Item>,
        graph_version: u32,
        table: &RouteTable,
        now: ProcessingTime,
    ) {
        self.pushes = self.pushes.next();
        let production = |item: Item| Production { producer_key: Key::from("test"), item };
        let productions = items.into_iter().map(production).collect();
        self.outbox.add(ChunkId::strong(self.pushes), Vec::new(), productions, graph_version, table, now);
    }

    /// The computation has another owner: what it has not acknowledged goes there.
    pub(super) fn reroute(&mut self, table: &RouteTable, now: ProcessingTime) {
        self.outbox.reroute(table, now);
    }

    /// Takes acknowledgements in, sends what is to be sent, and reports. Returns whether anything happened.
    pub(super) fn pump(
        &mut self,
        table: &RouteTable,
        injector: &Injector,
        now: ProcessingTime,
    ) -> Result<bool, ReportRefused> {
        let mut busy = false;
        while let Ok(mail) = self.mailbox.try_recv() {
            busy = true;
            match mail {
                Mail::Acknowledge { from, epoch, number, .. } => {
                    self.outbox.acknowledged(from, epoch, number, now)
                }
                Mail::Refuse { from, epoch } => self.outbox.refused(from, epoch, now),
                Mail::Deliver { .. } => {}
            }
        }
        // Nothing of it is in a store, so what is acknowledged is done with.
        let (acknowledged, _) = self.outbox.removable();
        self.outbox.removed(&acknowledged);
        self.outbox.resend(self.options.resend_after, now);
        let from = self.me;
        self.outbox.pump(now, |to, epoch, number, delivery| {
            table.send(to, Mail::Deliver { from, epoch, number, delivery });
            busy = true;
        });
        Ok(self.report(injector, now)? || busy)
    }

    /// Reports as an interval does: nothing passes what is not acknowledged.
    fn report(&mut self, injector: &Injector, now: ProcessingTime) -> Result<bool, ReportRefused> {
        let low_watermark = self.watermark.min(self.outbox.hold());
        let fresh = self.ids.promise(system_time(now));
        let oldest_unacknowledged = self.outbox.oldest_id().map_or(fresh, |oldest| oldest.min(fresh));
        if self.reported == Some((low_watermark, oldest_unacknowledged)) {
            return Ok(false);
        }
        self.reported = Some((low_watermark, oldest_unacknowledged));
        let accepted = injector.report(IntervalReport {
            computation: self.me.address.computation,
            interval: KeyInterval::FULL,
            sequencer: self.me.sequencer,
            low_watermark,
            oldest_unacknowledged,
            holder: None,
            load: Load::default(),
        })?;
        Ok(accepted == Accepted::Advances)
    }
}

/// The consumer of every stream that the computation produces.
pub(super) struct After {
    me: Party,
    mailbox: mpsc::UnboundedReceiver<Mail>,
    channels: HashMap<Party, ReceiverChannel>,
    seen: HashSet<RecordId>,
    arrived: Vec<Item>,
}

impl After {
    pub(super) fn new(computation: u32, sequencer: Sequencer, router: &Router) -> Self {
        let (me, mailbox) = join(router, computation, sequencer);
        Self { me, mailbox, channels: HashMap::new(), seen: HashSet::new(), arrived: Vec::new() }
    }

    /// Takes in what has been sent. Returns whether anything was.
    pub(super) fn pump(&mut self, table: &RouteTable) -> bool {
        let (mut busy, me) = (false, self.me);
        while let Ok(mail) = self.mailbox.try_recv() {
            busy = true;
            let Mail::Deliver { from, epoch, number, delivery } = mail else { continue };
            match self.channels.entry(from).or_default().receive(epoch, number) {
                Reception::Take => {
                    let new = delivery.items.iter().filter(|item| self.seen.insert(item.record.id));
                    self.arrived.extend(new.cloned());
                    table.send(from, Mail::Acknowledge { from: me, epoch, number, at_end: false });
                }
                Reception::Refuse => table.send(from, Mail::Refuse { from: me, epoch }),
                Reception::Ignore => {}
            }
        }
        busy
    }

    /// Takes what has arrived on `stream` and was not taken before, in the order of arrival.
    pub(super) fn take(&mut self, stream: u32) -> Vec<Item> {
        self.arrived.extract_if(.., |item| item.stream == stream).collect()
    }
}

/// Enters a party into the router, as the owner of every position.
fn join(router: &Router, computation: u32, sequencer: Sequencer) -> (Party, mpsc::UnboundedReceiver<Mail>) {
    let (mailbox, mail) = mpsc::unbounded_channel();
    let party = Party::of(computation, KeyInterval::FULL, sequencer);
    router.add(KeyInterval::FULL, party, mailbox);
    (party, mail)
}
