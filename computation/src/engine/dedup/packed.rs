//! Packed dedup entries: the ids of one commit and one bucket, sorted, 16 bytes each.

use bytes::{Bytes, BytesMut};
use pelton_domain::{CommitNumber, KeyPosition, RecordId};
use pelton_proto::{Malformed, convert};
use pelton_statestore::keys::ComputationKeys;

/// Ids in one entry: with its key it stays well below the store's limit for a value.
pub(crate) const PACKED_IDS_MAX: usize = 4096;

/// Where a packed entry lies, and which ids it can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackedEntry {
    pub(crate) first: KeyPosition,
    pub(crate) bucket: u64,
    pub(crate) commit: CommitNumber,
    pub(crate) part: u16,
    least: RecordId,
    greatest: RecordId,
}

impl PackedEntry {
    /// The entry with these ids, which are sorted; `None` where there are none.
    pub(crate) fn of(
        first: KeyPosition,
        bucket: u64,
        commit: CommitNumber,
        part: u16,
        ids: &[RecordId],
    ) -> Option<Self> {
        let (least, greatest) = (*ids.first()?, *ids.last()?);
        Some(Self { first, bucket, commit, part, least, greatest })
    }

    pub(crate) fn spans(&self, id: RecordId) -> bool {
        self.least <= id && id <= self.greatest
    }

    pub(crate) fn key(&self, keys: &ComputationKeys) -> Bytes {
        keys.dedup(self.first, self.bucket, self.commit, self.part)
    }
}

/// Sorts `ids` and packs them by bucket.
pub(crate) fn pack(
    ids: &mut [RecordId],
    bucket_ms: u64,
    first: KeyPosition,
    commit: CommitNumber,
) -> Vec<(PackedEntry, Bytes)> {
    ids.sort_unstable();
    let bucket_of = |id: &RecordId| id.system_time().as_millis() / bucket_ms;
    let mut packed = Vec::new();
    for bucket in ids.chunk_by(|a, b| bucket_of(a) == bucket_of(b)) {
        for (part, ids) in bucket.chunks(PACKED_IDS_MAX).enumerate() {
            let number = bucket.first().map_or(0, bucket_of);
            let part = u16::try_from(part).unwrap_or(u16::MAX);
            let mut value = BytesMut::with_capacity(16 * ids.len());
            ids.iter().for_each(|id| value.extend_from_slice(&id.to_bytes()));
            packed.extend(
                PackedEntry::of(first, number, commit, part, ids).map(|entry| (entry, value.freeze())),
            );
        }
    }
    packed
}

/// The ids in a packed entry, sorted.
pub(crate) fn unpack(value: &[u8]) -> Result<Vec<RecordId>, Malformed> {
    if !value.len().is_multiple_of(16) {
        return Err(Malformed::new("packed dedup entry", format!("{} bytes are no ids", value.len())));
    }
    value.chunks_exact(16).map(convert::record_id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_domain::{Sequencer, SystemTime};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_is_found_again(times in proptest::collection::vec(0u64..50_000, 0..300)) {
            let seq = Sequencer::new(4).unwrap();
            let mut ids: Vec<RecordId> = times.iter().enumerate()
                .map(|(i, ms)| RecordId::assigned(SystemTime::from_millis(*ms), seq, i as u32)).collect();
            let packed = pack(&mut ids, 10_000, KeyPosition(3), CommitNumber(8));
            let mut back = Vec::new();
            for (entry, value) in &packed {
                let inside = unpack(value).unwrap();
                prop_assert!(inside.iter().all(|id| entry.spans(*id)));
                prop_assert!(inside.iter().all(|id| id.system_time().as_millis() / 10_000 == entry.bucket));
                back.extend(inside);
            }
            prop_assert_eq!(back, ids);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = unpack(&bytes);
        }
    }
}
