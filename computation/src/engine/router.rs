//! Who owns which interval, here or in another process, and mail between them.
//!
//! The table is replaced as a whole whenever an interval starts, stops, splits or merges; every task holds a
//! snapshot and takes up the next when told.
//!
//! Of two routes that overlap, that with the larger sequencer is right: sequencers are handed out in the order of
//! assignments, so news of other processes may come late, twice and in any order. A wrong route costs time
//! only: what is sent along it is not acknowledged, and goes to the right owner when that is known (I5).

use super::channel::{Delivery, Party};
use super::letter::{Letter, MailFate, MailFault};
use super::outbox::Routes;
use super::peers::{Outbound, Returns};
use super::streams::Streams;
use bytes::Bytes;
use pelton_domain::{KeyInterval, KeyPosition};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, RwLock};
use tokio::sync::{mpsc, watch};

/// What one interval sends another.
#[derive(Clone, Debug)]
pub(crate) enum Mail {
    /// Records.
    Deliver { from: Party, epoch: u64, number: u64, delivery: Delivery },
    /// They are committed. Where the receiver's input is at its end, a record from outside may have come too late
    /// for it: who sent it looks whether it was taken in.
    Acknowledge { from: Party, epoch: u64, number: u64, at_end: bool },
    /// Something before them is missing: send everything again.
    Refuse { from: Party, epoch: u64 },
}

/// Where an interval's mail goes. What waits in it is bounded by the credit of its senders.
#[derive(Clone, Debug)]
pub(crate) enum Mailbox {
    /// To its task, in this process.
    Here(mpsc::UnboundedSender<Mail>),
    /// To another process.
    Away(Outbound),
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
    intervals: BTreeMap<u32, BTreeMap<KeyPosition, Route>>,
    pub(crate) streams: Arc<Streams>,
    fault: Option<MailFault>,
    late: Arc<std::sync::Mutex<Vec<(Party, Mail)>>>,
    returns: Returns,
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
        let fate = fault(&Letter::of(to, &mail));
        let mut late = self.late.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match fate {
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
        match self.mailbox(to) {
            // A closed mailbox is an interval that has just stopped: the same as one that is no more.
            Some(Mailbox::Here(mailbox)) => drop(mailbox.send(mail)),
            Some(Mailbox::Away(outbound)) if matches!(mail, Mail::Deliver { .. }) => outbound.send(to, mail),
            // Answers go back over the stream that the delivery came by, whatever is known of its sender.
            Some(Mailbox::Away(_)) | None => self.returns.answer(to, &mail),
        }
    }

    fn mailbox(&self, party: Party) -> Option<&Mailbox> {
        let route = self.intervals.get(&party.address.computation)?.get(&party.address.first)?;
        (route.party == party).then_some(&route.mailbox)
    }

    /// The mailbox of a reign in this process.
    pub(crate) fn here(&self, party: Party) -> Option<&mpsc::UnboundedSender<Mail>> {
        match self.mailbox(party)? {
            Mailbox::Here(mailbox) => Some(mailbox),
            Mailbox::Away(_) => None,
        }
    }

    /// Where the owner of `position` is, if that is another process.
    pub(crate) fn away(
        &self,
        computation: u32,
        position: KeyPosition,
    ) -> Option<(KeyInterval, Party, &Outbound)> {
        let (_, route) = self.intervals.get(&computation)?.range(..=position).next_back()?;
        match &route.mailbox {
            Mailbox::Away(outbound) if route.interval.contains(position) => {
                Some((route.interval, route.party, outbound))
            }
            _ => None,
        }
    }

    /// The other processes that routes lead to.
    pub(crate) fn processes(&self) -> BTreeSet<Bytes> {
        let routes = self.intervals.values().flat_map(BTreeMap::values);
        let process = |route: &Route| match &route.mailbox {
            Mailbox::Away(outbound) => Some(outbound.process.clone()),
            Mailbox::Here(_) => None,
        };
        routes.filter_map(process).collect()
    }

    /// Puts a route in the place of all that it overlaps, unless one of them is newer. Returns whether it did.
    fn put(&mut self, route: Route) -> bool {
        let routes = self.intervals.entry(route.party.address.computation).or_default();
        let overlapping: Vec<KeyPosition> = routes
            .range(..=route.interval.last())
            .rev()
            .take_while(|(_, other)| other.interval.overlaps(route.interval))
            .map(|(first, _)| *first)
            .collect();
        let newer = |first: &KeyPosition| {
            routes.get(first).is_some_and(|other| other.party.sequencer >= route.party.sequencer)
        };
        if overlapping.iter().any(newer) {
            return false;
        }
        for first in overlapping {
            routes.remove(&first);
        }
        routes.insert(route.party.address.first, route);
        true
    }
}

impl Routes for RouteTable {
    fn subscribers(&self, stream: u32, graph_version: u32) -> &[u32] {
        self.streams.subscribers(stream, graph_version)
    }

    fn released(&self, stream: u32, graph_version: u32) -> usize {
        self.streams.released(stream, graph_version)
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
    pub(crate) fn new(streams: Streams, fault: Option<MailFault>) -> Self {
        let table = RouteTable { streams: Arc::new(streams), fault, ..RouteTable::default() };
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

    /// `party` owns `interval` from now on, and is run here.
    pub(crate) fn add(&self, interval: KeyInterval, party: Party, mailbox: mpsc::UnboundedSender<Mail>) {
        self.update(|table| table.put(Route { interval, party, mailbox: Mailbox::Here(mailbox) }));
    }

    /// Other processes run these, as far as is known.
    pub(crate) fn add_away(&self, routes: Vec<(KeyInterval, Party, Outbound)>) {
        self.update(|table| {
            routes.into_iter().fold(false, |changed, (interval, party, outbound)| {
                table.put(Route { interval, party, mailbox: Mailbox::Away(outbound) }) || changed
            })
        });
    }

    /// The ways back to senders in other processes.
    pub(crate) fn returns(&self) -> Returns {
        self.table().returns.clone()
    }

    /// `party` owns nothing any more.
    pub(crate) fn remove(&self, party: Party) {
        self.update(|table| {
            let Some(intervals) = table.intervals.get_mut(&party.address.computation) else { return false };
            let before = intervals.len();
            intervals.retain(|_, route| route.party != party);
            intervals.len() < before
        });
    }

    /// Changes the table, and tells of it where `change` says that it did.
    fn update(&self, change: impl FnOnce(&mut RouteTable) -> bool) {
        let mut guard = self.table.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut table = RouteTable::clone(&guard);
        if !change(&mut table) {
            return;
        }
        *guard = Arc::new(table);
        drop(guard);
        self.changed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_domain::Sequencer;

    fn interval(first: u64, last: u64) -> KeyInterval {
        KeyInterval::new(KeyPosition(first), KeyPosition(last)).unwrap()
    }

    fn owners(router: &Router, positions: &[u64]) -> Vec<Option<u64>> {
        let table = router.table();
        let owner =
            |position: &u64| table.owner(1, KeyPosition(*position)).map(|party| party.sequencer.get());
        positions.iter().map(owner).collect()
    }

    /// Two halves, then one of them again under a newer reign, then the whole, then a part of it.
    #[test]
    fn of_routes_that_overlap_the_newest_stays_in_whatever_order_they_come() {
        let news = [(0, 9, 1), (10, 19, 2), (0, 9, 3), (0, 19, 4), (5, 9, 5)];
        let mut orders = vec![Vec::new()];
        for at in 0..news.len() {
            orders = orders
                .into_iter()
                .flat_map(|order: Vec<usize>| {
                    (0..=order.len()).map(move |place| {
                        let mut longer = order.clone();
                        longer.insert(place, at);
                        longer
                    })
                })
                .collect();
        }
        assert_eq!(orders.len(), 120);
        for order in orders {
            let router = Router::new(Streams::default(), None);
            for (first, last, sequencer) in order.iter().map(|at| news[*at]) {
                let interval = interval(first, last);
                let party = Party::of(1, interval, Sequencer::new(sequencer).unwrap());
                router.add(interval, party, mpsc::unbounded_channel().0);
            }
            // Nothing older lies over the newest; beside it there may be older ones, until there is news of them.
            assert_eq!(owners(&router, &[5, 9]), [Some(5), Some(5)], "{order:?}");
            assert!(
                owners(&router, &[0, 4, 10, 19]).iter().all(|owner| owner.is_none_or(|s| s < 5)),
                "{order:?}"
            );
        }
    }
}
