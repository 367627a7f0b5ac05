//! Who reads which stream, under every version of the graph, as this program knows it.
//!
//! In a rolling update programs of two graphs run side by side. What a program does not know it must not judge: a
//! record of a producer that it does not know of could seem to be below its horizon, and so a duplicate (I6), and one
//! of a stream that its code does not read has no code. Such deliveries are left unacknowledged, and are sent again
//! when the interval has moved to a newer program (I5). The other way round, a production of an earlier version is for those
//! of its subscribers that still read the stream; the rest is counted as released (I10).

use super::channel::Party;
use super::outbox::Item;
use crate::pipeline::ComputationSpec;
use std::collections::{BTreeMap, BTreeSet};

/// Who reads which stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streams {
    /// By version and stream: those that read it, and how many there were besides.
    subscribers: BTreeMap<(u32, u32), (Vec<u32>, usize)>,
    consumers: BTreeMap<u32, Consumer>,
}

#[derive(Clone, Debug)]
struct Consumer {
    producers: BTreeSet<u32>,
    inputs: BTreeSet<u32>,
}

impl Streams {
    /// All who ever subscribed, and the computations that there are.
    pub(crate) fn new(all: BTreeMap<(u32, u32), Vec<u32>>, specs: &[ComputationSpec]) -> Self {
        let consumer = |spec: &ComputationSpec| {
            let producers = spec.producers.iter().copied().collect();
            (spec.number, Consumer { producers, inputs: spec.inputs.iter().copied().collect() })
        };
        let consumers: BTreeMap<u32, Consumer> = specs.iter().map(consumer).collect();
        let sorted = |(place, all): ((u32, u32), Vec<u32>)| {
            let reads = |one: &u32| consumers.get(one).is_some_and(|one| one.inputs.contains(&place.1));
            let (there, gone): (Vec<u32>, Vec<u32>) = all.into_iter().partition(reads);
            (place, (there, gone.len()))
        };
        Self { subscribers: all.into_iter().map(sorted).collect(), consumers }
    }

    /// The subscribers of `stream` under `graph_version` that still read it.
    pub(crate) fn subscribers(&self, stream: u32, graph_version: u32) -> &[u32] {
        self.subscribers.get(&(graph_version, stream)).map_or(&[], |(there, _)| there.as_slice())
    }

    /// How many there were besides.
    pub(crate) fn released(&self, stream: u32, graph_version: u32) -> usize {
        self.subscribers.get(&(graph_version, stream)).map_or(0, |(_, gone)| *gone)
    }

    /// Whether `to` may take what `from`, in another process, sends it. Outside is nobody's producer and sends to whom it may.
    pub(crate) fn knows(&self, from: Party, to: Party, items: &[Item], outside: u32) -> bool {
        let Some(consumer) = self.consumers.get(&to.address.computation) else { return true };
        let from = from.address.computation;
        from == outside
            || consumer.producers.contains(&from)
                && items.iter().all(|item| consumer.inputs.contains(&item.stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use pelton_domain::{EventTime, Key, KeyInterval, Record, RecordId, Sequencer, SystemTime};

    /// Computation 3 reads stream 1 of computation 1.
    fn streams() -> Streams {
        let consumer = Consumer { producers: [1].into(), inputs: [1].into() };
        Streams { subscribers: BTreeMap::new(), consumers: [(3, consumer)].into() }
    }

    fn party(computation: u32) -> Party {
        Party::of(computation, KeyInterval::FULL, Sequencer::MIN)
    }

    fn item(stream: u32) -> Item {
        let id = RecordId::assigned(SystemTime::ZERO, Sequencer::MIN, 0);
        Item {
            stream,
            record: Record { id, key: Key::from("k"), value: Bytes::new(), event_time: EventTime::MIN },
        }
    }

    #[test]
    fn nothing_is_taken_of_a_producer_or_a_stream_that_the_program_does_not_know() {
        let knows = |from, streams_of: &[u32]| {
            let items: Vec<Item> = streams_of.iter().copied().map(item).collect();
            streams().knows(party(from), party(3), &items, 0)
        };
        assert!(knows(1, &[1, 1]) && knows(0, &[9]));
        assert!(!knows(2, &[1]), "I6: its horizon does not wait for that producer");
        assert!(!knows(1, &[1, 2]), "its code does not read that stream");
    }
}
