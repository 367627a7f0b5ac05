//! Who owns which interval in this process, and mail between them.
//!
//! The table is replaced as a whole whenever an interval starts, stops, splits or merges; every task holds a
//! snapshot and takes up the next when told.

use super::channel::{Address, Delivery, Party};
use super::outbox::Routes;
use pelton_domain::{KeyInterval, KeyPosition};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, RwLock};
use tokio::sync::{mpsc, watch};

/// What one interval sends another.
#[derive(Clone, Debug)]
pub(crate) enum Mail {
    /// Records.
    Deliver { from: Party, epoch: u64, number: u64, delivery: Delivery },
    /// They are committed.
    Acknowledge { from: Party, epoch: u64, number: u64 },
    /// Something before them is missing: send everything again.
    Refuse { from: Party, epoch: u64 },
}

/// Where an interval's mail goes. It is bounded by the credit of its senders.
pub(crate) type Mailbox = mpsc::UnboundedSender<Mail>;

/// Something that may lose, repeat or reorder mail, for tests: returns what is to be delivered instead.
pub type MailFault = Arc<dyn Fn(MailKind) -> MailFate + Send + Sync>;

/// The kinds of mail, for a [`MailFault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailKind {
    /// Records.
    Delivery,
    /// An acknowledgement.
    Acknowledgement,
    /// A refusal.
    Refusal,
}

/// What becomes of a piece of mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailFate {
    /// It arrives.
    Arrives,
    /// It is lost.
    Lost,
    /// It arrives twice.
    Twice,
    /// It arrives behind the next one to the same interval.
    Late,
}

#[derive(Clone, Debug)]
struct Route {
    interval: KeyInterval,
    party: Party,
    mailbox: Mailbox,
}

/// A snapshot of who owns what.
#[derive(Clone, Default)]
pub(crate) struct RouteTable {
    intervals: HashMap<u32, BTreeMap<KeyPosition, Route>>,
    subscribers: Arc<BTreeMap<(u32, u32), Vec<u32>>>,
    fault: Option<MailFault>,
    late: Arc<std::sync::Mutex<Vec<(Party, Mail)>>>,
}

impl fmt::Debug for RouteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteTable").field("intervals", &self.intervals).finish_non_exhaustive()
    }
}

impl RouteTable {
    /// Sends mail to a reign; where it is no more, the mail is lost, and the sender's rerouting deals with it.
    pub(crate) fn send(&self, to: Party, mail: Mail) {
        let Some(fault) = &self.fault else { return self.deliver(to, mail) };
        let kind = match &mail {
            Mail::Deliver { .. } => MailKind::Delivery,
            Mail::Acknowledge { .. } => MailKind::Acknowledgement,
            Mail::Refuse { .. } => MailKind::Refusal,
        };
        let mut late = self.late.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match fault(kind) {
            MailFate::Lost => {}
            MailFate::Late => late.push((to, mail)),
            fate => {
                if fate == MailFate::Twice {
                    self.deliver(to, mail.clone());
                }
                self.deliver(to, mail);
                late.drain(..).for_each(|(to, mail)| self.deliver(to, mail));
            }
        }
    }

    fn deliver(&self, to: Party, mail: Mail) {
        let route = self.intervals.get(&to.address.computation).and_then(|i| i.get(&to.address.first));
        if let Some(route) = route.filter(|route| route.party == to) {
            // A closed mailbox is an interval that has just stopped: the same as one that is no more.
            let _ = route.mailbox.send(mail);
        }
    }
}

impl Routes for RouteTable {
    fn subscribers(&self, stream: u32, graph_version: u32) -> &[u32] {
        self.subscribers.get(&(graph_version, stream)).map_or(&[], Vec::as_slice)
    }

    fn owner(&self, computation: u32, position: KeyPosition) -> Option<Party> {
        let (_, route) = self.intervals.get(&computation)?.range(..=position).next_back()?;
        route.interval.contains(position).then_some(route.party)
    }
}

/// The current table, and the news that it has changed.
#[derive(Clone, Debug)]
pub(crate) struct Router {
    table: Arc<RwLock<Arc<RouteTable>>>,
    changed: watch::Sender<()>,
}

impl Router {
    pub(crate) fn new(subscribers: BTreeMap<(u32, u32), Vec<u32>>, fault: Option<MailFault>) -> Self {
        let table = RouteTable { subscribers: Arc::new(subscribers), fault, ..RouteTable::default() };
        Self { table: Arc::new(RwLock::new(Arc::new(table))), changed: watch::Sender::new(()) }
    }

    /// The table as it is now.
    pub(crate) fn table(&self) -> Arc<RouteTable> {
        self.table.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Tells of every later change.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// `party` owns `interval` from now on.
    pub(crate) fn add(&self, interval: KeyInterval, party: Party, mailbox: Mailbox) {
        self.update(|table| {
            let route = Route { interval, party, mailbox };
            table.intervals.entry(party.address.computation).or_default().insert(party.address.first, route);
        });
    }

    /// `party` owns nothing any more.
    pub(crate) fn remove(&self, party: Party) {
        self.update(|table| {
            if let Some(intervals) = table.intervals.get_mut(&party.address.computation) {
                intervals.retain(|_, route| route.party != party);
            }
        });
    }

    fn update(&self, change: impl FnOnce(&mut RouteTable)) {
        let mut guard = self.table.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut table = RouteTable::clone(&guard);
        change(&mut table);
        *guard = Arc::new(table);
        drop(guard);
        self.changed.send_replace(());
    }
}

/// The address of an interval of a computation.
pub(crate) fn address(computation: u32, interval: KeyInterval) -> Address {
    Address { computation, first: interval.first() }
}
