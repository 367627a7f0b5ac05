//! How far the logs of a published stream have come: news for those who wait for records.
//!
//! It is told of after a commit, never before, so what it says is in the store; and it only grows, so news may come
//! late, twice and from several places. Losing some loses time: records are read from the store, never from here.

use crate::publish::partition::Partitions;
use pelton_domain::EventTime;
use pelton_statestore::{ComputationKeys, Write};
use std::sync::Arc;
use tokio::sync::watch;

/// How far a published stream is, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The offset that the next record of each partition will have; 0 where nothing is known.
    pub(crate) next: Arc<[u64]>,
    /// All records of an earlier event time, late ones apart, are before these offsets (I7).
    pub(crate) watermark: EventTime,
}

/// The news of one published stream.
#[derive(Clone, Debug)]
pub(crate) struct Grown {
    partitions: Partitions,
    reached: watch::Sender<Reached>,
}

impl Grown {
    pub(crate) fn new(partitions: Partitions) -> Self {
        let reached = Reached { next: vec![0; partitions.count()].into(), watermark: EventTime::MIN };
        Self { partitions, reached: watch::Sender::new(reached) }
    }

    pub(crate) fn partitions(&self) -> Partitions {
        self.partitions
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Reached> {
        self.reached.subscribe()
    }

    /// What `writes` add to the logs: partitions, and the offset behind the added.
    pub(crate) fn by(&self, keys: &ComputationKeys, writes: &[Write]) -> Vec<(usize, u64)> {
        let added = |write: &Write| match write {
            Write::Put { key, .. } => {
                let (log, offset) = keys.read_published(key).ok()?;
                Some((self.partitions.read(&log)?, offset + 1))
            }
            Write::Delete { .. } | Write::DeleteRange { .. } => None,
        };
        writes.iter().filter_map(added).collect()
    }

    /// The logs have come at least so far.
    pub(crate) fn grow(&self, news: impl IntoIterator<Item = (usize, u64)>) {
        self.grow_to(news, EventTime::MIN);
    }

    /// The logs have come at least so far, and `watermark` was announced before that was looked at.
    pub(crate) fn grow_to(&self, news: impl IntoIterator<Item = (usize, u64)>, watermark: EventTime) {
        self.reached.send_if_modified(|reached| {
            let mut next: Vec<u64> = reached.next.to_vec();
            for (partition, offset) in news {
                if let Some(place) = next.get_mut(partition) {
                    *place = offset.max(*place);
                }
            }
            let watermark = watermark.max(reached.watermark);
            let grown = *next != *reached.next || watermark > reached.watermark;
            if grown {
                *reached = Reached { next: next.into(), watermark };
            }
            grown
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use pelton_domain::{Key, Name};
    use pelton_statestore::PipelineKeys;

    #[test]
    fn news_come_from_what_is_put_into_logs_and_never_go_back() {
        let (partitions, value) = (Partitions::new(2), Bytes::new());
        let (grown, keys) =
            (Grown::new(partitions), PipelineKeys::new(&Name::new("p").unwrap()).computation(1));
        let put = |key: Bytes| Write::Put { key, value: value.clone() };
        let log = partitions.key(1);
        let writes = [
            put(keys.published(&log, 7)),
            put(keys.published(&log, 8)),
            put(keys.published(&Partitions::new(3).key(0), 50)),
            put(keys.state(&log, b"", b"ledger", b"")),
            put(keys.parked(&Key::from("0/2"), 60)),
            Write::DeleteRange { range: keys.published_between(&partitions.key(0), 0, 90) },
        ];
        assert_eq!(grown.by(&keys, &writes), [(1, 8), (1, 9)]);
        let mut known = grown.subscribe();
        grown.grow(grown.by(&keys, &writes));
        assert!(known.has_changed().unwrap());
        assert_eq!(*known.borrow_and_update().next, [0, 9]);
        grown.grow([(0, 0), (1, 4), (2, 8)]);
        assert!(!known.has_changed().unwrap());
    }
}
