//! Split and merge: intervals become others, in one transaction (I1).
//!
//! State, timers and parked records lie by key position and do not move. Packed ids stay where they are, and
//! the new fences name whose entries to consult (I6). Outbox chunks are rewritten, each production under the
//! part that its producer key belongs to, so that one key's order has one owner (I5, I9).

use super::outbox::{self, ChunkId, Production};
use pelton_domain::{CommitNumber, KeyInterval, KeyPosition, SystemTime};
use pelton_proto::Malformed;
use pelton_statestore::fence::reign::Part;
use pelton_statestore::{
    ComputationKeys, FencedError, Precondition, ReadError, Reign, Scan, StoreHandle, Write,
};
use std::collections::BTreeMap;

/// Why a split or merge did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReshapeError {
    #[error(transparent)]
    Fenced(#[from] FencedError),
    #[error("the outbox cannot be read: {0}")]
    Read(#[from] ReadError),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Key(#[from] pelton_statestore::keys::MalformedKey),
}

/// Turns the intervals of `reigns` into `parts`. Nobody may be running any of them.
pub(crate) async fn reshape(
    store: &StoreHandle,
    keys: &ComputationKeys,
    reigns: &[Reign],
    parts: &[Part],
    dedup_end: SystemTime,
    requires: Vec<Precondition>,
) -> Result<Vec<Reign>, ReshapeError> {
    let mut writes = Vec::new();
    let mut moved: BTreeMap<(KeyPosition, CommitNumber, u32), Vec<Production>> = BTreeMap::new();
    for reign in reigns {
        for (key, value) in scan_all(store, keys, reign.interval().first()).await? {
            let (_, number, _) = keys.read_outbox(&key)?;
            let (version, productions) = outbox::decode(&value)?;
            writes.push(Write::Delete { key });
            for production in productions {
                let position = production.producer_key.position();
                let part =
                    parts.iter().map(|(interval, _)| *interval).find(|i: &KeyInterval| i.contains(position));
                let first = part.map_or(position, KeyInterval::first);
                moved.entry((first, number, version)).or_default().push(production);
            }
        }
    }
    let mut next_part: BTreeMap<(KeyPosition, CommitNumber), u16> = BTreeMap::new();
    for ((first, number, version), productions) in moved {
        let part = next_part.entry((first, number)).or_insert(0);
        let chunk = outbox::encode(keys, first, ChunkId { number, part: *part }, version, &productions);
        *part = part.saturating_add(u16::try_from(chunk.len()).unwrap_or(u16::MAX));
        writes.extend(chunk.into_iter().map(|(key, value)| Write::Put { key, value }));
    }
    Ok(Reign::reshape(reigns, parts, dedup_end, requires, writes).await?)
}

async fn scan_all(
    store: &StoreHandle,
    keys: &ComputationKeys,
    first: KeyPosition,
) -> Result<Vec<(bytes::Bytes, bytes::Bytes)>, ReadError> {
    let (mut all, mut range) = (Vec::new(), keys.outbox_of(first));
    loop {
        let page = store.scan(Scan::page_of(range.clone())).await?;
        all.extend(page.entries);
        match page.next {
            Some(next) => range.start = next,
            None => return Ok(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::outbox::Item;
    use bytes::Bytes;
    use pelton_domain::{EventTime, Key, Name, Record, RecordId, Sequencer};
    use pelton_statestore::PipelineKeys;
    use pelton_statestore::fence::{create_fences, random_tokens, take_over};
    use pelton_statestore::memory::Memory;
    use std::sync::Arc;

    fn number(number: u64) -> Sequencer {
        Sequencer::new(number).unwrap()
    }

    fn production(n: u64) -> Production {
        let id = RecordId::assigned(SystemTime::from_millis(n), number(1), 0);
        let record = Record { id, key: Key::from("k"), value: Bytes::new(), event_time: EventTime::MIN };
        Production { producer_key: Key::from(n % 7), item: Item { stream: 1, record } }
    }

    /// What a new owner of `part` finds: each production's producer and place among those of all.
    async fn found(
        store: &StoreHandle,
        keys: &ComputationKeys,
        part: KeyInterval,
    ) -> Vec<(KeyPosition, u64)> {
        let stored = scan_all(store, keys, part.first()).await.unwrap();
        let productions = stored.iter().flat_map(|(_, value)| outbox::decode(value).unwrap().1);
        productions.map(|p| (p.producer_key.position(), p.item.record.id.system_time().as_millis())).collect()
    }

    #[tokio::test]
    async fn outbox_chunks_are_rewritten_so_that_one_keys_order_has_one_owner() {
        let keys = PipelineKeys::new(&Name::new("p").unwrap()).computation(1);
        let store: StoreHandle = Arc::new(Memory::new());
        create_fences(&store, &keys, &[KeyInterval::FULL], vec![], &random_tokens()).await.unwrap();
        let mut whole =
            take_over(&store, &keys, KeyInterval::FULL, number(1), vec![], &random_tokens()).await.unwrap();
        for commit in 0..4u64 {
            let productions: Vec<_> = (0..20).map(|n| production(commit * 20 + n)).collect();
            let id = ChunkId::strong(whole.next_commit());
            let chunk = outbox::encode(&keys, KeyPosition(0), id, 1, &productions);
            let writes = chunk.into_iter().map(|(key, value)| Write::Put { key, value }).collect();
            let update = whole.fence().unchanged();
            whole.commit(writes, &update).await.unwrap();
        }
        let (low, high) = KeyInterval::FULL.halves().unwrap();
        let parts = [(low, Some(number(2))), (high, Some(number(3)))];
        let split = reshape(&store, &keys, &[whole], &parts, SystemTime::ZERO, vec![]).await.unwrap();
        let mut all = 0;
        for part in [low, high] {
            let found = found(&store, &keys, part).await;
            assert!(found.iter().all(|(producer, _)| part.contains(*producer)), "I9: {found:?}");
            assert!(found.iter().map(|(_, place)| place).is_sorted(), "I9: {found:?}");
            all += found.len();
        }
        assert_eq!(all, 80, "I5");
        let merged = [(KeyInterval::FULL, Some(number(4)))];
        reshape(&store, &keys, &split, &merged, SystemTime::ZERO, vec![]).await.unwrap();
        let back = found(&store, &keys, KeyInterval::FULL).await;
        assert_eq!((back.len(), found(&store, &keys, high).await.len()), (80, 0), "I5");
        for key in 0..7u64 {
            let of_key = back.iter().filter(|(producer, _)| *producer == Key::from(key).position());
            assert!(of_key.map(|(_, place)| place).is_sorted(), "I9");
        }
    }
}
