//! Any sequence of calls against an ordered map.

use super::Fixture;
use super::support::{all, commit, dice, key, page, pick, read_keys};
use crate::store::{CommitError, KeyRange, Precondition, Scan, StoreHandle, Write};
use bytes::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::BTreeMap;

const STEPS: u32 = 400;

type Model = BTreeMap<Bytes, Bytes>;

/// Commits, reads, scans and unclean stops, drawn from a seed.
pub async fn any_sequence_of_calls_gives_what_an_ordered_map_gives<F: Fixture>() {
    let mut dice = dice("any_sequence_of_calls_gives_what_an_ordered_map_gives");
    let mut fixture = F::open().await;
    let mut model = Model::new();
    for _ in 0..STEPS {
        match dice.random_range(0..100) {
            0..60 => step_commit(&fixture.store(), &mut model, &mut dice).await,
            60..75 => step_read(&fixture.store(), &model, &mut dice).await,
            75..98 => step_scan(&fixture.store(), &model, &mut dice).await,
            _ => match fixture.reopen().await {
                Some(reopened) => fixture = reopened,
                // Nothing to go on with; the other steps are run in the calls that can be reopened.
                None => return,
            },
        }
    }
    let everything = all_pages(&fixture.store(), all(), 1000, usize::MAX).await;
    assert_eq!(everything, model.into_iter().collect::<Vec<_>>());
}

async fn step_commit(store: &StoreHandle, model: &mut Model, dice: &mut StdRng) {
    let preconditions: Vec<Precondition> =
        (0..dice.random_range(0..3)).map(|_| a_precondition(model, dice)).collect();
    let writes: Vec<Write> = (0..dice.random_range(0..12)).map(|_| a_write(dice)).collect();
    let expected = preconditions.iter().find(|precondition| !holds(model, precondition));
    let result = commit(store, preconditions.clone(), writes.clone()).await;
    match expected {
        Some(_) => {
            assert!(matches!(result, Err(CommitError::Refused { .. })), "{preconditions:?}: {result:?}")
        }
        None => {
            assert_eq!(result, Ok(()), "{preconditions:?}");
            writes.into_iter().for_each(|write| apply(model, write));
        }
    }
}

async fn step_read(store: &StoreHandle, model: &Model, dice: &mut StdRng) {
    let keys: Vec<Bytes> = (0..dice.random_range(0..10)).map(|_| a_key(dice)).collect();
    let expected: Vec<Option<Bytes>> = keys.iter().map(|key| model.get(key).cloned()).collect();
    assert_eq!(read_keys(store.as_ref(), keys).await, expected);
}

async fn step_scan(store: &StoreHandle, model: &Model, dice: &mut StdRng) {
    let range = a_range(dice);
    let (entries_max, bytes_max) = (dice.random_range(1..20), *pick(&[1, 100, 1000, usize::MAX], dice));
    let expected: Vec<(Bytes, Bytes)> =
        model.iter().filter(|(key, _)| range.contains(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    assert_eq!(all_pages(store, range, entries_max, bytes_max).await, expected);
}

async fn all_pages(
    store: &StoreHandle,
    range: KeyRange,
    entries_max: usize,
    bytes_max: usize,
) -> Vec<(Bytes, Bytes)> {
    let (mut entries, mut rest) = (Vec::new(), range);
    loop {
        let found = page(store, Scan { range: rest.clone(), entries_max, bytes_max }).await;
        entries.extend(found.entries);
        match found.next {
            Some(next) => rest.start = next,
            None => return entries,
        }
    }
}

/// One of some sixty keys, some of which are prefixes of others.
fn a_key(dice: &mut StdRng) -> Bytes {
    let length = dice.random_range(0..4);
    key((0..length).map(|_| *pick(b"\0az\xff", dice)).collect::<Vec<u8>>())
}

fn a_range(dice: &mut StdRng) -> KeyRange {
    match dice.random_range(0..4) {
        0 => all(),
        1 => KeyRange::of_prefix(&a_key(dice)),
        _ => KeyRange { start: a_key(dice), end: a_key(dice) },
    }
}

fn a_value(dice: &mut StdRng) -> Bytes {
    let length = *pick(&[0, 1, 8, 60, 300], dice);
    (0..length).map(|_| dice.random()).collect::<Vec<u8>>().into()
}

fn a_write(dice: &mut StdRng) -> Write {
    match dice.random_range(0..20) {
        0..12 => Write::Put { key: a_key(dice), value: a_value(dice) },
        12..19 => Write::Delete { key: a_key(dice) },
        _ => Write::DeleteRange { range: a_range(dice) },
    }
}

/// One that holds, most of the time.
fn a_precondition(model: &Model, dice: &mut StdRng) -> Precondition {
    let key = a_key(dice);
    match dice.random_range(0..20) {
        0..14 => Precondition::Value { expected: model.get(&key).cloned(), key },
        14..16 => Precondition::Value { key, expected: Some(a_value(dice)) },
        16 => Precondition::Value { key, expected: None },
        _ => Precondition::Empty { range: KeyRange { start: key, end: a_key(dice) } },
    }
}

fn holds(model: &Model, precondition: &Precondition) -> bool {
    match precondition {
        Precondition::Value { key, expected } => model.get(key) == expected.as_ref(),
        Precondition::Empty { range } => !model.keys().any(|key| range.contains(key)),
    }
}

fn apply(model: &mut Model, write: Write) {
    match write {
        Write::Put { key, value } => drop(model.insert(key, value)),
        Write::Delete { key } => drop(model.remove(&key)),
        Write::DeleteRange { range } => model.retain(|key, _| !range.contains(key)),
    }
}
