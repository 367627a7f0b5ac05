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
