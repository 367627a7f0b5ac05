//! What is to be seen of a world: two that agree in it go on in the same way.

use super::*;
use bytes::Bytes;
use pelton_domain::AttemptToken;
use pelton_injector::Announced;
use pelton_statestore::fence::{Counters, Fence};
use pelton_statestore::keys::is_fence;
use std::hash::{DefaultHasher, Hash, Hasher};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    store: u64,
    owners: [Vec<Option<u64>>; 2],
    letters: BTreeSet<Letter>,
    announced: Announced2,
    scanned: [Option<u64>; 2],
    ledger: Ledger,
    used: Used,
}

/// What the injector knows of the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Announced2 {
    horizon: SystemTime,
    assigned: Option<Sequencer>,
    reported: Option<SystemTime>,
}

impl Seen {
    pub(in crate::engine::models) fn violates(&self, property: &str) -> bool {
        self.ledger.violated.contains(property)
    }
}

fn digest(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// What a store holds, without what is only counted and without the names of attempts.
fn store_digest(store: &Memory) -> u64 {
    let plain = |(key, value): (Bytes, Bytes)| {
        if !is_fence(&key) {
            return (key, value);
        }
        let fence = Fence::decode(&value).unwrap();
        let fence = Fence { token: AttemptToken(0), counters: Counters::default(), ..fence };
        (key, fence.encode())
    };
    digest(&store.dump().into_iter().map(plain).collect::<Vec<_>>())
}

impl World<'_> {
    pub(in crate::engine::models) fn seen(&self) -> Seen {
        let owner = |owner: &Option<Owner>| {
            let owner = owner.as_ref()?;
            let own = (owner.core.seen(), owner.route.0, &owner.fed, &owner.ran, &owner.ran_sealed);
            Some(digest(&own))
        };
        let view = self.aggregate.intervals(self.pipeline.specs[PRODUCER].number).next();
        let reported = view.as_ref().and_then(|view| view.reported);
        Seen {
            store: store_digest(&self.store),
            owners: self.owners.each_ref().map(|owners| owners.iter().map(owner).collect()),
            letters: self.letters.clone(),
            announced: Announced2 {
                horizon: self.horizon(),
                assigned: view.map(|view| view.assignment.sequencer),
                reported: reported.map(|value: Announced| value.oldest_unacknowledged),
            },
            scanned: self.scanned.each_ref().map(|scanned| scanned.as_ref().map(store_digest)),
            ledger: self.ledger.clone(),
            used: self.used,
        }
    }
}
