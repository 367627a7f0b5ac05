//! The outbox: productions from their commit until every subscriber has acknowledged them (I5).
//!
//! Productions of one commit form a chunk, stored in that commit. After it they are sorted by receiver into
//! deliveries. A chunk whose deliveries are all acknowledged holds the watermark no more (I7), but stays in
//! the store until a later commit removes it: until then it counts for the dedup promise (I6), because a
//! successor would send it again.

use super::channel::{Credit, Delivery, Party, SenderChannel};
use super::holds::Holds;
use bytes::Bytes;
use pelton_domain::mutants::{Mutant, mutant};
use pelton_domain::{CommitNumber, EventTime, Key, KeyPosition, ProcessingTime, Record, SystemTime};
use pelton_proto::{Malformed, Message, store};
use pelton_statestore::keys::ComputationKeys;
use std::collections::BTreeMap;
use std::time::Duration;

/// A record on its way, and the stream it is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) stream: u32,
    pub(crate) record: Record,
}

/// A production: what is sent, and whose computation made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Production {
    pub(crate) producer_key: Key,
    pub(crate) item: Item,
}

/// Stored values stay below the store's limit of 100 KB with this much to spare for one record.
const PART_BYTES_MAX: usize = 60_000;

/// Where records go now.
pub(crate) trait Routes {
    /// The subscribers of `stream` under `graph_version` that still read it.
    fn subscribers(&self, stream: u32, graph_version: u32) -> &[u32];
    /// How many there were besides.
    fn released(&self, _stream: u32, _graph_version: u32) -> usize {
        0
    }
    /// Who owns `position` of `computation`; `None` while nobody does.
    fn owner(&self, computation: u32, position: KeyPosition) -> Option<Party>;
}

/// Names a chunk: the commit it belongs to, and its first part in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChunkId {
    pub(crate) number: CommitNumber,
    pub(crate) part: u16,
}

impl ChunkId {
    /// The chunk of the strong productions of commit `number`.
    pub(crate) fn strong(number: CommitNumber) -> Self {
        Self { number, part: 0 }
    }

    /// The chunk of its weak productions: its parts lie in the upper half of the part numbers.
    pub(crate) fn weak(number: CommitNumber) -> Self {
        Self { number, part: 1 << 15 }
    }
}

#[derive(Debug)]
struct Chunk {
    keys: Vec<Bytes>,
    productions: Vec<Production>,
    graph_version: u32,
    unacknowledged: usize,
    earliest: EventTime,
    oldest: SystemTime,
    bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    credit: Credit,
    chunks: BTreeMap<ChunkId, Chunk>,
    channels: BTreeMap<Party, SenderChannel>,
    /// Deliveries whose position nobody owns now, in order.
    homeless: Vec<(u32, Delivery)>,
    holds: Holds,
    ids: BTreeMap<SystemTime, u32>,
    bytes: usize,
    removable: Vec<ChunkId>,
    epochs: u64,
    /// Productions that were for computations which read their stream no more (I10).
    released: u64,
}

impl Outbox {
    pub(crate) fn new(credit: Credit) -> Self {
        Self {
            credit,
            chunks: BTreeMap::new(),
            channels: BTreeMap::new(),
            homeless: Vec::new(),
            holds: Holds::default(),
            ids: BTreeMap::new(),
            bytes: 0,
            removable: Vec::new(),
            epochs: 0,
            released: 0,
        }
    }

    /// Takes up the productions of a chunk, which lie in the store under `keys`, to be sent. Those of a weak
    /// chunk lie nowhere yet.
    pub(crate) fn add(
        &mut self,
        id: ChunkId,
        keys: Vec<Bytes>,
        productions: Vec<Production>,
        graph_version: u32,
        routes: &impl Routes,
        now: ProcessingTime,
    ) {
        let earliest = productions.iter().map(|p| p.item.record.event_time).min().unwrap_or(EventTime::MAX);
        let oldest =
            productions.iter().map(|p| p.item.record.id.system_time()).min().unwrap_or(SystemTime::MAX);
        let bytes = productions.iter().map(|p| p.item.record.size_bytes()).sum();
        self.holds.add(earliest);
        *self.ids.entry(oldest).or_insert(0) += 1;
        self.bytes += bytes;
        let chunk = Chunk { keys, productions, graph_version, unacknowledged: 0, earliest, oldest, bytes };
        let mut groups: Groups = Groups::new();
        let mut unacknowledged = 0;
        for production in &chunk.productions {
            let subscribers = routes.subscribers(production.item.stream, graph_version);
            self.released +=
                u64::try_from(routes.released(production.item.stream, graph_version)).unwrap_or(0);
            for &subscriber in subscribers {
                let owner = routes.owner(subscriber, production.item.record.key.position());
                group(&mut groups, subscriber, owner, production.item.clone());
            }
        }
        for ((subscriber, owner), items) in groups {
            unacknowledged += 1;
            self.enqueue(subscriber, owner, delivery(id, items), now);
        }
        self.chunks.insert(id, Chunk { unacknowledged, ..chunk });
        if unacknowledged == 0 {
            self.finish(id);
        }
    }

    fn enqueue(&mut self, subscriber: u32, owner: Option<Party>, delivery: Delivery, now: ProcessingTime) {
        match owner {
            Some(owner) => {
                let epochs = &mut self.epochs;
                let channel = self.channels.entry(owner).or_insert_with(|| {
                    *epochs += 1;
                    SenderChannel::new(*epochs << 32, now)
                });
                channel.push(delivery);
            }
            None => self.homeless.push((subscriber, delivery)),
        }
    }

    /// Hands every delivery that the credit allows to `send`.
    pub(crate) fn pump(&mut self, now: ProcessingTime, mut send: impl FnMut(Party, u64, u64, Delivery)) {
        for (receiver, channel) in &mut self.channels {
            while let Some((epoch, number, delivery)) = channel.next(self.credit, now) {
                send(*receiver, epoch, number, delivery);
            }
        }
    }

    /// A receiver has acknowledged a delivery.
    pub(crate) fn acknowledged(&mut self, receiver: Party, epoch: u64, number: u64, now: ProcessingTime) {
        let Some(channel) = self.channels.get_mut(&receiver) else { return };
        let Some(delivery) = channel.acknowledged(epoch, number, now) else { return };
        if let Some(chunk) = self.chunks.get_mut(&delivery.chunk) {
            if mutant(Mutant::OutboxRemovedEarly) {
                // Those that come after it find nothing to finish.
                if std::mem::take(&mut chunk.unacknowledged) > 0 {
                    self.finish(delivery.chunk);
                }
                return;
            }
            chunk.unacknowledged -= 1;
            if chunk.unacknowledged == 0 {
                self.finish(delivery.chunk);
            }
        }
    }

    fn finish(&mut self, id: ChunkId) {
        if let Some(chunk) = self.chunks.get_mut(&id) {
            self.holds.remove(chunk.earliest);
            self.bytes -= chunk.bytes;
            chunk.productions = Vec::new();
            self.removable.push(id);
        }
    }

    /// A receiver has refused an epoch.
    pub(crate) fn refused(&mut self, receiver: Party, epoch: u64, now: ProcessingTime) {
        if let Some(channel) = self.channels.get_mut(&receiver) {
            channel.refused(epoch, now);
        }
    }

    /// Sends again over every channel that has waited longer than `patience` (I5).
    pub(crate) fn resend(&mut self, patience: Duration, now: ProcessingTime) -> usize {
        self.channels.values_mut().filter_map(|channel| channel.resend(patience, now).then_some(())).count()
    }

    /// Whether anything is on its way.
    pub(crate) fn is_waiting(&self) -> bool {
        self.channels.values().any(|channel| channel.is_waiting())
    }

    /// The owners have changed: what was on its way to one that is no more goes to its successors, in order.
    pub(crate) fn reroute(&mut self, routes: &impl Routes, now: ProcessingTime) {
        let gone: Vec<Party> = self
            .channels
            .keys()
            .filter(|p| routes.owner(p.address.computation, p.address.first) != Some(**p))
            .copied()
            .collect();
        let mut moving = std::mem::take(&mut self.homeless);
        for party in gone {
            if let Some(channel) = self.channels.remove(&party) {
                moving
                    .extend(channel.into_deliveries().map(|delivery| (party.address.computation, delivery)));
            }
        }
        // Chunk numbers ascend with time, so sorting by them keeps the order of each producer key (I9).
        moving.sort_by_key(|(_, delivery)| delivery.chunk);
        if mutant(Mutant::ReroutedInReverse) {
            moving.reverse();
        }
        for (subscriber, old) in moving {
            let mut groups = Groups::new();
            for item in old.items.iter() {
                let owner = routes.owner(subscriber, item.record.key.position());
                group(&mut groups, subscriber, owner, item.clone());
            }
            if let Some(chunk) = self.chunks.get_mut(&old.chunk) {
                chunk.unacknowledged += groups.len().saturating_sub(1);
            }
            for ((subscriber, owner), items) in groups {
                self.enqueue(subscriber, owner, delivery(old.chunk, items), now);
            }
        }
    }

    /// The store keys of acknowledged chunks, to be deleted in the next commit, with their names.
    pub(crate) fn removable(&mut self) -> (Vec<ChunkId>, Vec<Bytes>) {
        let numbers = std::mem::take(&mut self.removable);
        let keys =
            numbers.iter().filter_map(|n| self.chunks.get(n)).flat_map(|c| c.keys.iter().cloned()).collect();
        (numbers, keys)
    }

    pub(crate) fn has_removable(&self) -> bool {
        !self.removable.is_empty()
    }

    /// The commit that deleted these chunks has succeeded.
    pub(crate) fn removed(&mut self, numbers: &[ChunkId]) {
        for number in numbers {
            if let Some(chunk) = self.chunks.remove(number)
                && let Some(count) = self.ids.get_mut(&chunk.oldest)
            {
                *count -= 1;
                if *count == 0 {
                    self.ids.remove(&chunk.oldest);
                }
            }
        }
    }

    /// What holds the watermark: the earliest event time of an unacknowledged production.
    pub(crate) fn hold(&self) -> EventTime {
        self.holds.min()
    }

    /// The oldest system time that may still be sent.
    pub(crate) fn oldest_id(&self) -> Option<SystemTime> {
        self.ids.first_key_value().map(|(time, _)| *time)
    }

    /// How many productions were for computations that read their stream no more.
    pub(crate) fn released(&self) -> u64 {
        self.released
    }

    /// Bytes of unacknowledged productions.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a weak chunk still waits for acknowledgements.
    pub(crate) fn is_unacknowledged(&self, id: ChunkId) -> bool {
        self.chunks.get(&id).is_some_and(|chunk| chunk.unacknowledged > 0)
    }

    /// What must be stored of a weak chunk that waits for stragglers: from then on it is in the store.
    pub(crate) fn journal(
        &mut self,
        id: ChunkId,
        keys: &ComputationKeys,
        first: KeyPosition,
    ) -> Vec<(Bytes, Bytes)> {
        let Some(chunk) = self.chunks.get_mut(&id).filter(|chunk| chunk.unacknowledged > 0) else {
            return Vec::new();
        };
        let parts = encode(keys, first, id, chunk.graph_version, &chunk.productions);
        chunk.keys = parts.iter().map(|(key, _)| key.clone()).collect();
        parts
    }

    #[cfg(test)]
    pub(crate) fn receivers(&self) -> Vec<super::channel::Address> {
        self.channels.keys().map(|p| p.address).collect()
    }
}

type Groups = BTreeMap<(u32, Option<Party>), Vec<Item>>;

fn group(groups: &mut Groups, subscriber: u32, owner: Option<Party>, item: Item) {
    groups.entry((subscriber, owner)).or_default().push(item);
}

fn delivery(chunk: ChunkId, items: Vec<Item>) -> Delivery {
    let bytes = items.iter().map(|item| item.record.size_bytes()).sum();
    Delivery { chunk, items: items.into(), bytes }
}

/// The stored form of a chunk: keys and values of its parts.
pub(crate) fn encode(
    keys: &ComputationKeys,
    first: KeyPosition,
    id: ChunkId,
    graph_version: u32,
    productions: &[Production],
) -> Vec<(Bytes, Bytes)> {
    let mut parts: Vec<store::OutboxChunk> = Vec::new();
    let mut bytes = usize::MAX;
    for production in productions {
        let size = production.item.record.size_bytes() + production.producer_key.as_bytes().len();
        if bytes.saturating_add(size) > PART_BYTES_MAX {
            parts.push(store::OutboxChunk { graph_version, productions: Vec::new() });
            bytes = 0;
        }
        bytes += size;
        let Item { stream, record } = &production.item;
        if let Some(part) = parts.last_mut() {
            part.productions.push(store::Production::of(*stream, &production.producer_key, record));
        }
    }
    let place = |part: usize| {
        keys.outbox(first, id.number, id.part.saturating_add(u16::try_from(part).unwrap_or(u16::MAX)))
    };
    parts.iter().enumerate().map(|(i, part)| (place(i), part.encode_to_vec().into())).collect()
}

/// The productions in a stored part of a chunk, and the graph version they were made under.
pub(crate) fn decode(value: &Bytes) -> Result<(u32, Vec<Production>), Malformed> {
    let chunk = store::OutboxChunk::decode(value.clone())
        .map_err(|error| Malformed::new("outbox chunk", error.to_string()))?;
    let production = |stored: &store::Production| {
        let item = Item { stream: stored.stream, record: stored.to_record()? };
        Ok(Production { producer_key: Key::new(stored.producer_key.clone()), item })
    };
    Ok((chunk.graph_version, chunk.productions.iter().map(production).collect::<Result<_, Malformed>>()?))
}

#[cfg(test)]
mod tests;
