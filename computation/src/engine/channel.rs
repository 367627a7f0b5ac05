//! Numbered delivery between a producer interval and a consumer interval (I9, I11).
//!
//! The sender numbers deliveries from 0; the receiver takes contiguous numbers only. After a gap it refuses
//! everything until the sender starts again from its oldest, under a new epoch. So what one producer key
//! sends to one consumer key stays in order, whatever is lost, repeated or reordered on the way.
//! A sender has at most so many records and bytes on their way: the receiver's memory is bounded by its senders.

use super::outbox::{ChunkId, Item};
use pelton_domain::mutants::{Mutant, mutant};
use pelton_domain::{KeyInterval, KeyPosition, ProcessingTime, Sequencer};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// An interval, by its computation and first position: unique among those alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address {
    pub(crate) computation: u32,
    pub(crate) first: KeyPosition,
}

/// One reign over an interval: who sends or receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Party {
    pub(crate) address: Address,
    pub(crate) sequencer: Sequencer,
}

impl Party {
    /// The reign `sequencer` over `interval` of a computation.
    pub(crate) fn of(computation: u32, interval: KeyInterval, sequencer: Sequencer) -> Self {
        Self { address: Address { computation, first: interval.first() }, sequencer }
    }
}

/// What goes over a channel at once: items of one chunk for one interval.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) chunk: ChunkId,
    pub(crate) items: Arc<[Item]>,
    pub(crate) bytes: usize,
}

/// How much may be on its way over one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Credit {
    pub(crate) records_max: usize,
    pub(crate) bytes_max: usize,
}

/// The sender's end.
#[derive(Debug)]
pub(crate) struct SenderChannel {
    epoch: u64,
    next_number: u64,
    on_their_way: VecDeque<(u64, Delivery)>,
    queue: VecDeque<Delivery>,
    records: usize,
    bytes: usize,
    progress_at: ProcessingTime,
    /// How often it has started again without an acknowledgement: the patience doubles with each.
    vain_restarts: u32,
}

/// The patience doubles this often at most.
const PATIENCE_DOUBLINGS_MAX: u32 = 6;

impl SenderChannel {
    pub(crate) fn new(epoch: u64, now: ProcessingTime) -> Self {
        Self {
            epoch,
            next_number: 0,
            on_their_way: VecDeque::new(),
            queue: VecDeque::new(),
            records: 0,
            bytes: 0,
            progress_at: now,
            vain_restarts: 0,
        }
    }

    pub(crate) fn push(&mut self, delivery: Delivery) {
        self.queue.push_back(delivery);
    }

    /// The next delivery to send, with epoch and number, if the credit allows one. A single delivery larger
    /// than the credit goes alone.
    pub(crate) fn next(&mut self, credit: Credit, now: ProcessingTime) -> Option<(u64, u64, Delivery)> {
        let head = self.queue.front()?;
        let full = self.records + head.items.len() > credit.records_max
            || self.bytes + head.bytes > credit.bytes_max;
        if full && !self.on_their_way.is_empty() {
            return None;
        }
        let delivery = self.queue.pop_front()?;
        if self.on_their_way.is_empty() {
            self.progress_at = now;
        }
        self.records += delivery.items.len();
        self.bytes += delivery.bytes;
        let number = self.next_number;
        self.next_number += 1;
        self.on_their_way.push_back((number, delivery.clone()));
        Some((self.epoch, number, delivery))
    }

    /// The receiver has committed delivery `number` of `epoch`; returns it, once.
    pub(crate) fn acknowledged(&mut self, epoch: u64, number: u64, now: ProcessingTime) -> Option<Delivery> {
        if epoch != self.epoch {
            return None;
        }
        let at = self.on_their_way.binary_search_by_key(&number, |(n, _)| *n).ok()?;
        let (_, delivery) = self.on_their_way.remove(at)?;
        self.records -= delivery.items.len();
        self.bytes -= delivery.bytes;
        self.progress_at = now;
        self.vain_restarts = 0;
        Some(delivery)
    }

    /// The receiver refused `epoch`: everything goes again, from the oldest.
    pub(crate) fn refused(&mut self, epoch: u64, now: ProcessingTime) {
        if epoch == self.epoch {
            self.restart(now);
        }
    }

    /// Sends everything again that is not acknowledged, under a new epoch.
    fn restart(&mut self, now: ProcessingTime) {
        self.epoch += 1;
        self.next_number = 0;
        self.records = 0;
        self.bytes = 0;
        self.progress_at = now;
        if mutant(Mutant::ResentInReverse) {
            self.on_their_way.make_contiguous().reverse();
        }
        while let Some((_, delivery)) = self.on_their_way.pop_back() {
            self.queue.push_front(delivery);
        }
    }

    /// Whether anything is on its way.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.on_their_way.is_empty()
    }

    /// Starts again where nothing was acknowledged for `patience`, or longer after vain attempts (I5).
    /// Returns whether it did.
    pub(crate) fn resend(&mut self, patience: Duration, now: ProcessingTime) -> bool {
        let patience = patience * (1 << self.vain_restarts.min(PATIENCE_DOUBLINGS_MAX));
        let due = self.is_waiting() && self.progress_at.plus(patience) <= now;
        if due {
            self.vain_restarts += 1;
            self.restart(now);
        }
        due
    }

    /// Everything not acknowledged, oldest first: the receiver is no more.
    pub(crate) fn into_deliveries(self) -> impl Iterator<Item = Delivery> {
        self.on_their_way.into_iter().map(|(_, delivery)| delivery).chain(self.queue)
    }
}

/// The receiver's end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReceiverChannel {
    epoch: u64,
    expected: u64,
    refusing: bool,
}

/// What the receiver does with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reception {
    /// Take it.
    Take,
    /// It was taken before, or its epoch is over: say nothing.
    Ignore,
    /// There is a gap before it: tell the sender to start again.
    Refuse,
}

impl ReceiverChannel {
    /// Whether `epoch` is later than every one seen.
    pub(crate) fn is_new_epoch(&self, epoch: u64) -> bool {
        epoch > self.epoch
    }

    pub(crate) fn receive(&mut self, epoch: u64, number: u64) -> Reception {
        if epoch < self.epoch {
            return Reception::Ignore;
        }
        if epoch > self.epoch {
            *self = Self { epoch, expected: 0, refusing: false };
        }
        if self.refusing {
            return Reception::Refuse;
        }
        match number.cmp(&self.expected) {
            std::cmp::Ordering::Less => Reception::Ignore,
            std::cmp::Ordering::Equal => {
                self.expected += 1;
                Reception::Take
            }
            std::cmp::Ordering::Greater if mutant(Mutant::GapAccepted) => {
                self.expected = number + 1;
                Reception::Take
            }
            std::cmp::Ordering::Greater => {
                self.refusing = true;
                Reception::Refuse
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use pelton_domain::{CommitNumber, EventTime, Key, Record, RecordId, SystemTime};
    use proptest::prelude::*;

    const NOW: ProcessingTime = ProcessingTime::from_secs(0);
    const CREDIT: Credit = Credit { records_max: 4, bytes_max: 1 << 20 };

    fn delivery(chunk: u64) -> Delivery {
        let id = RecordId::assigned(SystemTime::from_millis(chunk), Sequencer::new(1).unwrap(), 0);
        let record = Record { id, key: Key::from("k"), value: Bytes::new(), event_time: EventTime::MIN };
        Delivery {
            chunk: ChunkId::strong(CommitNumber(chunk)),
            items: vec![Item { stream: 1, record }].into(),
            bytes: 10,
        }
    }

    proptest! {
        /// The network loses, repeats and reorders; the first reception of each chunk is in order.
        #[test]
        fn order_survives_loss_repetition_and_reordering(fates in proptest::collection::vec(0u8..8, 1..400)) {
            let (mut sender, mut receiver) = (SenderChannel::new(0, NOW), ReceiverChannel::default());
            (0..20).for_each(|chunk| sender.push(delivery(chunk)));
            let mut network: VecDeque<(u64, u64, u64)> = VecDeque::new();
            let (mut first_seen, mut acknowledged) = (Vec::new(), 0);
            let mut fates = fates.into_iter();
            for step in 0..100_000 {
                while let Some((epoch, number, delivery)) = sender.next(CREDIT, NOW) {
                    network.push_back((epoch, number, delivery.chunk.number.0));
                }
                let Some((epoch, number, chunk)) = network.pop_front() else {
                    if !sender.is_waiting() { break }
                    sender.restart(NOW);
                    continue;
                };
                match fates.next() {
                    Some(0) => continue,
                    Some(1) => network.push_back((epoch, number, chunk)),
                    Some(2) => { network.push_back((epoch, number, chunk)); continue }
                    _ => {}
                }
                match receiver.receive(epoch, number) {
                    Reception::Take => {
                        if !first_seen.contains(&chunk) { first_seen.push(chunk); }
                        acknowledged += usize::from(sender.acknowledged(epoch, number, NOW).is_some());
                    }
                    Reception::Ignore => {}
                    Reception::Refuse => sender.refused(epoch, NOW),
                }
                prop_assert!(step < 99_999, "it does not end");
            }
            prop_assert_eq!(acknowledged, 20, "I5: each is acknowledged");
            prop_assert_eq!(first_seen, (0..20).collect::<Vec<_>>(), "I9: in order");
        }
    }

    #[test]
    fn no_more_is_on_its_way_than_the_credit_allows() {
        let mut sender = SenderChannel::new(0, NOW);
        (0..9).for_each(|chunk| sender.push(delivery(chunk)));
        let sent = std::iter::from_fn(|| sender.next(CREDIT, NOW)).count();
        assert_eq!(sent, 4);
        assert!(sender.acknowledged(0, 2, NOW).is_some() && sender.acknowledged(0, 2, NOW).is_none());
        assert!(sender.next(CREDIT, NOW).is_some() && sender.next(CREDIT, NOW).is_none());
        assert!(sender.acknowledged(7, 0, NOW).is_none(), "an acknowledgement of another epoch says nothing");
    }

    #[test]
    fn a_delivery_larger_than_the_credit_goes_alone() {
        let credit = Credit { records_max: 1, bytes_max: 5 };
        let mut sender = SenderChannel::new(0, NOW);
        (0..2).for_each(|chunk| sender.push(delivery(chunk)));
        for number in 0..2 {
            assert!(sender.next(credit, NOW).is_some(), "I11: it would wait for ever");
            assert!(sender.next(credit, NOW).is_none());
            assert!(sender.acknowledged(0, number, NOW).is_some());
        }
    }

    #[test]
    fn after_a_refusal_all_is_refused_until_the_sender_starts_again_from_its_oldest() {
        let mut receiver = ReceiverChannel::default();
        assert_eq!(receiver.receive(0, 0), Reception::Take);
        for number in [2, 1, 2, 3] {
            assert_eq!(receiver.receive(0, number), Reception::Refuse, "I9: number {number}");
        }
        assert_eq!(receiver.receive(1, 1), Reception::Refuse);
        assert_eq!(receiver.receive(0, 1), Reception::Ignore, "its epoch is over");
        assert_eq!(receiver.receive(2, 0), Reception::Take);
    }
}
