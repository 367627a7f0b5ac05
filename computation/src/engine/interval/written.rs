//! The write budget: how many keys and bytes the commits of an interval write, by what they are for.
//!
//! What a store can take a second is a number of keys; keys written per record decide how many records that is.
//! Counted as the store is asked to: the removal of a range is one key.

use metrics::Counter;
use pelton_domain::Name;
use pelton_statestore::Write;
use pelton_statestore::keys::{ComputationKeys, KINDS_OF_COMPUTATION};

/// Counters of one interval's computation, by kind of key.
#[derive(Debug)]
pub(crate) struct WriteBudget {
    records: Counter,
    kinds: Vec<(u8, Counter, Counter)>,
}

/// Keys and bytes of one commit, in the order of [`KINDS_OF_COMPUTATION`].
pub(crate) type Written = [(u64, u64); KINDS_OF_COMPUTATION.len()];

impl WriteBudget {
    pub(crate) fn new(computation: &Name) -> Self {
        let kinds = KINDS_OF_COMPUTATION.iter().map(|(kind, name)| {
            let labels = [("computation", computation.to_string()), ("kind", (*name).to_owned())];
            (
                *kind,
                metrics::counter!("pelton_keys_written_total", &labels),
                metrics::counter!("pelton_bytes_written_total", &labels),
            )
        });
        Self {
            records: metrics::counter!("pelton_records_total", "computation" => computation.to_string()),
            kinds: kinds.collect(),
        }
    }

    /// What a commit of `writes` and a fence of `fence_bytes` will write.
    pub(crate) fn of(keys: &ComputationKeys, writes: &[Write], fence_bytes: usize) -> Written {
        let mut written = Written::default();
        let mut add = |kind: u8, bytes: usize| {
            let place = KINDS_OF_COMPUTATION.iter().position(|(known, _)| *known == kind);
            if let Some((keys, total)) = place.and_then(|place| written.get_mut(place)) {
                *keys += 1;
                *total += bytes as u64;
            }
        };
        for write in writes {
            add(keys.kind(write.at()), write.size_bytes());
        }
        add(keys.kind(&keys.fences().start), fence_bytes);
        written
    }

    /// A commit that wrote so much has succeeded; `records` were processed by it.
    pub(crate) fn committed(&self, written: &Written, records: u64) {
        self.records.increment(records);
        for ((_, keys, bytes), (key_count, byte_count)) in self.kinds.iter().zip(written) {
            if *key_count > 0 {
                keys.increment(*key_count);
                bytes.increment(*byte_count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use pelton_domain::{CommitNumber, Key, KeyPosition};
    use pelton_statestore::PipelineKeys;

    #[test]
    fn every_write_is_counted_under_its_kind_and_the_fence_once() {
        let keys = PipelineKeys::new(&Name::new("p").unwrap()).computation(1);
        let state =
            Write::Put { key: keys.state(&Key::from("k"), b"", b"c", b""), value: Bytes::from_static(b"v") };
        let bytes = state.size_bytes() as u64;
        let removal = Write::Delete { key: keys.outbox(KeyPosition(0), CommitNumber(1), 0) };
        let forgotten = Write::DeleteRange { range: keys.dedup_buckets(KeyPosition(0), 0, 9) };
        let written = WriteBudget::of(&keys, &[state.clone(), state, removal, forgotten], 100);
        let of = |name| KINDS_OF_COMPUTATION.iter().zip(written).find(|((_, n), _)| *n == name).unwrap().1;
        assert_eq!(of("state"), (2, 2 * bytes));
        assert_eq!((of("outbox").0, of("dedup").0, of("fence"), of("timer")), (1, 1, (1, 100), (0, 0)));
    }
}
