//! Two sequences in one order, compared in one pass: entry by entry, with one of each in memory.

use super::VerifyError;
use super::difference::{Difference, Place};
use bytes::Bytes;
use pelton_domain::{Key, KeyPosition};
use std::cmp::Ordering;

/// Something that has a place of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) at: At,
    /// Its value; `Err` where it is damaged, in words: that equals nothing.
    pub(super) value: Result<Bytes, String>,
}

/// A place in the order of the store: by key position, then by parts, the shorter one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At {
    position: KeyPosition,
    pub(super) key: Key,
    pub(super) namespace: Bytes,
    /// The cell, or the domain of a timer.
    pub(super) cell: Bytes,
    pub(super) sub_key: Bytes,
}

impl At {
    pub(super) fn new(key: Key, namespace: Bytes, cell: Bytes, sub_key: Bytes) -> Self {
        Self { position: key.position(), key, namespace, cell, sub_key }
    }
}

impl PartialOrd for At {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for At {
    fn cmp(&self, other: &Self) -> Ordering {
        let part = |a: &[u8], b: &[u8]| a.len().cmp(&b.len()).then_with(|| a.cmp(b));
        self.position
            .0
            .cmp(&other.position.0)
            .then_with(|| part(self.key.as_bytes(), other.key.as_bytes()))
            .then_with(|| part(&self.namespace, &other.namespace))
            .then_with(|| part(&self.cell, &other.cell))
            .then_with(|| self.sub_key.cmp(&other.sub_key))
    }
}

/// A sequence that ascends.
pub(super) trait Ascending {
    async fn next(&mut self) -> Result<Option<Entry>, VerifyError>;
}

/// Compares `live` with `shadow`, and reports what differs, in order. Returns how many places were compared.
pub(super) async fn compare(
    computation: &str,
    mut live: impl Ascending,
    mut shadow: impl Ascending,
    place: impl Fn(&At) -> Place,
    report: &mut (dyn FnMut(Difference) + Send),
) -> Result<u64, VerifyError> {
    let (mut here, mut there) = (live.next().await?, shadow.next().await?);
    let mut compared = 0;
    loop {
        let order = match (&here, &there) {
            (None, None) => return Ok(compared),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(here), Some(there)) => here.at.cmp(&there.at),
        };
        let mine = if order == Ordering::Greater { None } else { here.take() };
        let its = if order == Ordering::Less { None } else { there.take() };
        if mine.is_some() {
            here = live.next().await?;
        }
        if its.is_some() {
            there = shadow.next().await?;
        }
        compared += 1;
        let Some(at) = mine.as_ref().or(its.as_ref()).map(|entry| entry.at.clone()) else { continue };
        let (mine, its) = (mine.map(|entry| entry.value), its.map(|entry| entry.value));
        if mine != its || matches!(mine, Some(Err(_))) {
            let shown = |value: Result<Bytes, String>| value.unwrap_or_else(Bytes::from);
            let (live, shadow) = (mine.map(shown), its.map(shown));
            let (computation, place) = (computation.to_owned(), place(&at));
            report(Difference { computation, key: Some(at.key), place, live, shadow, times: 1 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    impl Ascending for std::vec::IntoIter<Entry> {
        async fn next(&mut self) -> Result<Option<Entry>, VerifyError> {
            Ok(Iterator::next(self))
        }
    }

    /// Small parts, so that they often meet.
    fn part() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(0u8..3, 0..3)
    }

    fn at() -> impl Strategy<Value = At> {
        (part(), part(), part(), part()).prop_map(|(key, namespace, cell, sub_key)| {
            At::new(Key::from(key), namespace.into(), cell.into(), sub_key.into())
        })
    }

    fn entries() -> impl Strategy<Value = BTreeMap<At, u8>> {
        proptest::collection::btree_map(at(), 0u8..2, 0..30)
    }

    fn sequence(entries: &BTreeMap<At, u8>) -> std::vec::IntoIter<Entry> {
        let entry = |(at, value): (&At, &u8)| Entry { at: at.clone(), value: Ok(vec![*value].into()) };
        entries.iter().map(entry).collect::<Vec<_>>().into_iter()
    }

    fn place(at: &At) -> Place {
        let cell = at.cell.iter().map(|byte| char::from(b'a' + byte)).collect();
        Place::Entry { cell, namespace: at.namespace.clone(), sub_key: at.sub_key.clone() }
    }

    fn run(live: std::vec::IntoIter<Entry>, shadow: std::vec::IntoIter<Entry>) -> (Vec<Difference>, u64) {
        let mut found = Vec::new();
        let mut report = |difference| found.push(difference);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let compared = runtime.block_on(compare("c", live, shadow, place, &mut report)).unwrap();
        (found, compared)
    }

    proptest! {
        #[test]
        fn what_differs_is_reported_in_order_and_nothing_else(live in entries(), shadow in entries()) {
            let (found, compared) = run(sequence(&live), sequence(&shadow));
            let all: std::collections::BTreeSet<&At> = live.keys().chain(shadow.keys()).collect();
            let bytes = |value: Option<&u8>| value.map(|value| Bytes::from(vec![*value]));
            let expected: Vec<Difference> = all
                .iter()
                .filter(|at| live.get(at) != shadow.get(at))
                .map(|at| Difference {
                    computation: "c".into(),
                    key: Some(at.key.clone()),
                    place: place(at),
                    live: bytes(live.get(at)),
                    shadow: bytes(shadow.get(at)),
                    times: 1,
                })
                .collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(compared, all.len() as u64);
        }

        #[test]
        fn the_order_is_that_of_the_store(a in at(), b in at()) {
            let keys = pelton_statestore::PipelineKeys::new(&pelton_domain::Name::new("p").unwrap()).computation(1);
            let stored = |at: &At| keys.state(&at.key, &at.namespace, &at.cell, &at.sub_key);
            prop_assert_eq!(a.cmp(&b), stored(&a).cmp(&stored(&b)));
        }
    }

    #[test]
    fn what_is_damaged_equals_nothing_not_even_itself() {
        let at = At::new(Key::from("k"), Bytes::new(), Bytes::new(), Bytes::new());
        let damaged = || vec![Entry { at: at.clone(), value: Err("damaged".into()) }].into_iter();
        assert_eq!(run(damaged(), damaged()).0.len(), 1);
    }
}
