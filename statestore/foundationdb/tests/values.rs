//! Values that are longer than FoundationDB takes them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test: a panic is its failure"
)]

mod common;

use bytes::Bytes;
use common::{commit, dump, fresh_prefix, get, is, open, put, shared_cluster, write};
use foundationdb::options::StreamingMode;
use foundationdb::{Database, RangeOption};
use pelton_statestore::{CommitError, KeyRange, Scan, StateStore, Write};
use pelton_tests::fdb::Cluster;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;

/// A value of `length` bytes, unlike that of another seed.
fn value(length: usize, seed: usize) -> Bytes {
    (0..length).map(|at| ((at * 31 + seed * 7) % 251) as u8).collect::<Vec<u8>>().into()
}

/// How many rows of pieces a store has.
async fn pieces(cluster: &Cluster, prefix: &str) -> usize {
    let database = Database::new(cluster.cluster_file().to_str()).unwrap();
    let transaction = database.create_trx().unwrap();
    let (start, end) = (format!("{prefix}\0p").into_bytes(), format!("{prefix}\0q").into_bytes());
    let option =
        RangeOption { limit: Some(1000), mode: StreamingMode::Exact, ..RangeOption::from((start, end)) };
    transaction.get_range(&option, 1, true).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_value_is_written_read_scanned_and_required_like_any_other() {
    let Some(cluster) = shared_cluster() else { return };
    let store = open(&cluster.url(&fresh_prefix(), "")).await;
    let key = &b"\x01test/\0long"[..];
    for length in [99_999, 100_000, 100_001, 200_000, 1_000_000] {
        let long = value(length, 1);
        write(&store, vec![put(key, long.clone()), put(&b"\x01test/a"[..], "short")]).await;
        assert_eq!(get(&store, key).await, Some(long.clone()), "{length}");
        assert_eq!(
            dump(&store).await,
            [(key.into(), long.clone()), ((&b"\x01test/a"[..]).into(), "short".into())]
        );
        for other in [value(length, 2), value(length - 1, 1), value(length + 1, 1), long.slice(..50_000)] {
            let refused = commit(&store, vec![is(key, other)], vec![put(key, "wrong")]).await;
            assert!(matches!(refused, Err(CommitError::Refused { .. })), "{length}: {refused:?}");
        }
        // The last byte counts.
        let mut almost = long.to_vec();
        *almost.last_mut().unwrap() ^= 1;
        assert!(commit(&store, vec![is(key, almost)], vec![]).await.is_err(), "{length}");
        assert_eq!(commit(&store, vec![is(key, long)], vec![put(key, "next")]).await, Ok(()), "{length}");
        assert_eq!(get(&store, key).await.unwrap(), "next");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_counts_the_bytes_of_pieces() {
    let Some(cluster) = shared_cluster() else { return };
    let store = open(&cluster.url(&fresh_prefix(), "")).await;
    let key = |number: u8| Bytes::from(vec![1, b't', number]);
    write(&store, (0..5).map(|number| put(key(number), value(300_000, number.into()))).collect()).await;
    let range = KeyRange { start: key(0), end: key(9) };
    let page = store.scan(Scan { range: range.clone(), entries_max: 10, bytes_max: 350_000 }).await.unwrap();
    assert_eq!(page.entries.len(), 2);
    assert_eq!(page.next, Some(Bytes::from(vec![1, b't', 1, 0])));
    assert_eq!(page.entries[1], (key(1), value(300_000, 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pieces_go_with_their_value() {
    let Some(cluster) = shared_cluster() else { return };
    let prefix = fresh_prefix();
    let store = open(&cluster.url(&prefix, "")).await;
    let long = || value(250_000, 1);
    let key = |name: &str| Bytes::from(format!("\u{1}test/{name}"));
    write(&store, ["a", "b", "c", "d"].iter().map(|name| put(key(name), long())).collect()).await;
    assert_eq!(pieces(cluster, &prefix).await, 8);
    write(&store, vec![put(key("a"), "short"), Write::Delete { key: key("b") }]).await;
    assert_eq!(pieces(cluster, &prefix).await, 4);
    write(&store, vec![put(key("c"), value(150_000, 2))]).await;
    assert_eq!(pieces(cluster, &prefix).await, 3);
    // A process that opens the store now knows of long values.
    let other = open(&cluster.url(&prefix, "")).await;
    write(&other, vec![Write::DeleteRange { range: KeyRange { start: key("a"), end: key("z") } }]).await;
    assert_eq!(pieces(cluster, &prefix).await, 0);
}

/// It does not know of long values, so it does not look for their pieces; but it reads no wrong ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pieces_that_were_left_behind_are_never_read() {
    let Some(cluster) = shared_cluster() else { return };
    let prefix = fresh_prefix();
    let (unknowing, knowing) = (open(&cluster.url(&prefix, "")).await, open(&cluster.url(&prefix, "")).await);
    let key = &b"\x01test/a"[..];
    write(&knowing, vec![put(key, value(900_000, 1))]).await;
    write(&unknowing, vec![put(key, "short")]).await;
    assert_eq!(get(&knowing, key).await.unwrap(), "short");
    assert_eq!(pieces(cluster, &prefix).await, 8, "they cost space, until the key has a long value again");
    for length in [100_000, 150_000, 300_000] {
        write(&unknowing, vec![put(key, value(length, 3))]).await;
        assert_eq!(get(&knowing, key).await, Some(value(length, 3)));
    }
    write(&unknowing, vec![Write::Delete { key: key.into() }]).await;
    assert_eq!(pieces(cluster, &prefix).await, 0);
}

/// Against a map, with values around the length of a row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_sequence_of_long_and_short_values_gives_what_a_map_gives() {
    let Some(cluster) = shared_cluster() else { return };
    let mut dice = StdRng::seed_from_u64(pelton_tests::seed());
    let url = cluster.url(&fresh_prefix(), "");
    let stores = [open(&url).await, open(&url).await];
    let mut model: BTreeMap<Bytes, Bytes> = BTreeMap::new();
    for round in 0..60 {
        let store = &stores[dice.random_range(0..2)];
        let key = |number: usize| {
            Bytes::from([&[1, b't'][..], [&[0][..], &[0, 0], &[0, 1], &[1], &[0xff]][number]].concat())
        };
        let at = dice.random_range(0..5);
        let write_one = match dice.random_range(0..6) {
            0 => Write::Delete { key: key(at) },
            1 => {
                let (start, end) = (key(at), key(dice.random_range(0..5)));
                Write::DeleteRange { range: KeyRange { start, end } }
            }
            2 => put(key(at), value(dice.random_range(0..20), round)),
            _ => put(key(at), value(dice.random_range(99_990..310_000), round)),
        };
        match &write_one {
            Write::Put { key, value } => drop(model.insert(key.clone(), value.clone())),
            Write::Delete { key } => drop(model.remove(key)),
            Write::DeleteRange { range } => model.retain(|key, _| !range.contains(key)),
        }
        write(store, vec![write_one]).await;
        let expected: Vec<(Bytes, Bytes)> = model.clone().into_iter().collect();
        assert!(dump(&stores[dice.random_range(0..2)]).await == expected, "round {round}");
    }
}
