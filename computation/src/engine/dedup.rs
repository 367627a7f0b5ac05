//! Dedup: is this id new? (I6)
//!
//! The answer comes from four places, in order:
//!
//! 1. the horizon: every sender is done with ids of earlier system times, so an older one is a duplicate;
//! 2. the ids admitted but not committed, consulted exactly;
//! 3. Bloom filters, one chain for each bucket of system time: "never seen" needs no read;
//! 4. on "perhaps": the packed entries of the commits whose ids span this one, read from the store.
//!
//! Each commit writes the ids it admitted as one packed entry for each bucket: 16 bytes an id, sorted. The
//! ids of a sender ascend, so the span of a packed entry is short, and few have to be looked into.
//! Ids below the horizon are forgotten a bucket at a time.

mod filter;
mod packed;

pub(crate) use packed::{PackedEntry, pack, unpack};

use filter::FilterChain;
use pelton_domain::mutants::{Mutant, mutant};
use pelton_domain::{CommitNumber, KeyPosition, RecordId, SystemTime};
use std::collections::{BTreeMap, HashMap};

/// What dedup says of an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Never seen.
    New,
    /// Seen, and committed: acknowledge and drop.
    Duplicate,
    /// Admitted, but not committed: acknowledge it when the original is (I4).
    InFlight,
    /// Perhaps seen: new, unless one of these packed entries has it.
    Ask(Vec<PackedEntry>),
}

/// The state of dedup for one interval.
#[derive(Debug)]
pub(crate) struct Dedup {
    bucket_ms: u64,
    horizon: SystemTime,
    buckets: BTreeMap<u64, Bucket>,
    in_flight: HashMap<RecordId, (), foldhash::fast::RandomState>,
}

#[derive(Debug, Default)]
struct Bucket {
    filters: FilterChain,
    entries: Vec<PackedEntry>,
}

impl Dedup {
    pub(crate) fn new(bucket_ms: u64, horizon: SystemTime) -> Self {
        Self { bucket_ms: bucket_ms.max(1), horizon, buckets: BTreeMap::new(), in_flight: HashMap::default() }
    }

    fn bucket_of(&self, id: RecordId) -> u64 {
        id.system_time().as_millis() / self.bucket_ms
    }

    /// Whether `id` is new.
    pub(crate) fn admit(&self, id: RecordId) -> Admission {
        if id.system_time() < self.horizon {
            return Admission::Duplicate;
        }
        if self.in_flight.contains_key(&id) && !mutant(Mutant::InFlightNotConsulted) {
            return Admission::InFlight;
        }
        let Some(bucket) = self.buckets.get(&self.bucket_of(id)) else { return Admission::New };
        if !bucket.filters.may_contain(id) {
            return Admission::New;
        }
        let candidates: Vec<PackedEntry> = bucket.entries.iter().filter(|e| e.spans(id)).cloned().collect();
        if candidates.is_empty() { Admission::New } else { Admission::Ask(candidates) }
    }

    /// `id` is admitted: it belongs to work that has not committed.
    pub(crate) fn admitted(&mut self, id: RecordId) {
        self.in_flight.insert(id, ());
    }

    /// Packs ids for the commit `commit`, under the interval that begins at `first`.
    pub(crate) fn pack(
        &self,
        ids: &mut [RecordId],
        first: KeyPosition,
        commit: CommitNumber,
    ) -> Vec<(PackedEntry, bytes::Bytes)> {
        pack(ids, self.bucket_ms, first, commit)
    }

    /// The commit that packed `ids` has succeeded.
    pub(crate) fn committed(&mut self, ids: &[RecordId], entries: Vec<PackedEntry>) {
        for &id in ids {
            self.in_flight.remove(&id);
            if id.system_time() >= self.horizon {
                let bucket = self.bucket_of(id);
                self.buckets.entry(bucket).or_default().filters.insert(id);
            }
        }
        for entry in entries {
            self.buckets.entry(entry.bucket).or_default().entries.push(entry);
        }
    }

    /// Takes up a packed entry found by the scan after a take-over.
    pub(crate) fn load(&mut self, entry: PackedEntry, ids: &[RecordId]) {
        let bucket = self.buckets.entry(entry.bucket).or_default();
        ids.iter().for_each(|id| bucket.filters.insert(*id));
        bucket.entries.push(entry);
    }

    /// Moves the horizon on, and forgets the buckets below it. Returns the buckets that may be collected from
    /// the store: from the first to before the second.
    pub(crate) fn advance(&mut self, horizon: SystemTime) -> Option<(u64, u64)> {
        if horizon <= self.horizon {
            return None;
        }
        let from = self.horizon.as_millis() / self.bucket_ms;
        let to = horizon.as_millis() / self.bucket_ms + u64::from(mutant(Mutant::IdsCollectedEarly));
        self.horizon = horizon;
        self.buckets = self.buckets.split_off(&to);
        (from < to).then_some((from, to))
    }

    pub(crate) fn horizon(&self) -> SystemTime {
        self.horizon
    }

    /// What it knows, in words, for a test that compares.
    #[cfg(test)]
    pub(crate) fn seen(&self) -> String {
        let in_flight: std::collections::BTreeSet<_> = self.in_flight.keys().collect();
        format!("{:?} {:?} {in_flight:?}", self.horizon, self.buckets)
    }

    /// The end of the newest bucket that has an entry: nothing this interval has packed is younger.
    pub(crate) fn newest_bucket_end(&self) -> SystemTime {
        self.buckets.last_key_value().map_or(SystemTime::ZERO, |(bucket, _)| {
            SystemTime::from_millis(bucket.saturating_add(1).saturating_mul(self.bucket_ms))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_domain::Sequencer;

    fn id(ms: u64, counter: u32) -> RecordId {
        RecordId::assigned(SystemTime::from_millis(ms), Sequencer::new(1).unwrap(), counter)
    }

    fn commit(dedup: &mut Dedup, mut ids: Vec<RecordId>, number: u64) -> Vec<bytes::Bytes> {
        ids.iter().for_each(|id| dedup.admitted(*id));
        let packed = dedup.pack(&mut ids, KeyPosition(0), CommitNumber(number));
        let (entries, values) = packed.into_iter().unzip();
        dedup.committed(&ids, entries);
        values
    }

    #[test]
    fn a_duplicate_of_an_uncommitted_record_is_in_flight_until_its_commit() {
        let mut dedup = Dedup::new(1000, SystemTime::ZERO);
        assert_eq!(dedup.admit(id(5, 0)), Admission::New);
        dedup.admitted(id(5, 0));
        assert_eq!(dedup.admit(id(5, 0)), Admission::InFlight);
        let values = commit(&mut dedup, vec![id(5, 0)], 1);
        let Admission::Ask(candidates) = dedup.admit(id(5, 0)) else {
            panic!("a committed id must be looked up")
        };
        assert_eq!(candidates.len(), 1);
        assert!(unpack(&values[0]).unwrap().contains(&id(5, 0)));
    }

    #[test]
    fn a_bucket_is_forgotten_only_when_the_horizon_has_passed_its_end() {
        let mut dedup = Dedup::new(1000, SystemTime::ZERO);
        commit(&mut dedup, vec![id(100, 0), id(1100, 0)], 1);
        assert_eq!(dedup.advance(SystemTime::from_millis(999)), None);
        assert!(
            matches!(dedup.admit(id(100, 0)), Admission::Duplicate),
            "below the horizon it is a known duplicate"
        );
        assert_eq!(dedup.advance(SystemTime::from_millis(1050)), Some((0, 1)));
        assert!(matches!(dedup.admit(id(1100, 0)), Admission::Ask(_)), "I6: it can still be sent again");
        assert_eq!(dedup.admit(id(1100, 1)), Admission::New);
        assert_eq!(dedup.newest_bucket_end(), SystemTime::from_millis(2000));
    }

    #[test]
    fn few_packed_entries_span_an_id() {
        let mut dedup = Dedup::new(10_000, SystemTime::ZERO);
        for number in 0..50u64 {
            let ids = (0..100).map(|i| id(number * 10 + i / 10, (i % 10) as u32)).collect();
            commit(&mut dedup, ids, number);
        }
        let Admission::Ask(candidates) = dedup.admit(id(255, 3)) else { panic!("it was committed") };
        assert!(candidates.len() <= 2, "{candidates:?}");
    }
}
