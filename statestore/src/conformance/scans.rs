//! What a scan finds.

use super::Fixture;
use super::support::{all, delete, key, names, page, put, range, scan, write};
use crate::store::{KeyRange, Scan, Write};
use bytes::Bytes;

fn numbered(count: u32) -> Vec<Write> {
    (0..count).map(|at| put(format!("{at:05}"), format!("value {at}"))).collect()
}

fn entries(numbers: impl IntoIterator<Item = u32>) -> Vec<(Bytes, Bytes)> {
    numbers.into_iter().map(|at| (key(format!("{at:05}")), format!("value {at}").into())).collect()
}

/// Whatever the size of the pages.
pub async fn scans_page_in_order<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    // Written backwards, and in several commits.
    for chunk in numbered(100).rchunks(30) {
        write(&store, chunk.to_vec()).await;
    }
    for entries_max in [1, 2, 3, 7, 50, 99, 100, 101, 1000] {
        assert_eq!(scan(&store, all(), entries_max).await, entries(0..100), "pages of {entries_max}");
    }
}

/// Asking for none counts as asking for one.
pub async fn a_page_holds_no_more_entries_than_asked_for<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, numbered(10)).await;
    for entries_max in [0, 1, 4, 9] {
        let found = page(&store, Scan { range: all(), entries_max, bytes_max: usize::MAX }).await;
        assert!((1..=entries_max.max(1)).contains(&found.entries.len()));
        assert!(found.next.is_some());
    }
}

/// Without cutting short what fits.
pub async fn a_page_ends_once_it_has_its_bytes<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, numbered(100)).await;
    let size = |entries: &[(Bytes, Bytes)]| {
        entries.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>()
    };
    for bytes_max in [1, 40, 100, 1000] {
        let found = page(&store, Scan { range: all(), entries_max: 1000, bytes_max }).await.entries;
        let before_last = found.split_last().map_or(0, |(_, before)| size(before));
        assert!(before_last < bytes_max, "the page of {bytes_max} bytes went on");
    }
}

/// Otherwise a scan would never get past it.
pub async fn a_page_holds_one_entry_however_large<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    let large = vec![7; store.limits().value_bytes_max.min(50_000)];
    write(&store, vec![put("a", large.clone()), put("b", "1")]).await;
    for bytes_max in [0, 1, 100] {
        let found = page(&store, Scan { range: all(), entries_max: 10, bytes_max }).await;
        assert_eq!(found.entries, [(key("a"), large.clone().into())]);
        assert!(found.next.is_some());
    }
}

/// Exactly.
pub async fn a_range_includes_its_start_and_excludes_its_end<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, numbered(10)).await;
    assert_eq!(scan(&store, range("00003", "00007"), 2).await, entries(3..7));
    assert_eq!(scan(&store, range("000030", "00006zzz"), 2).await, entries(4..7));
    assert_eq!(scan(&store, range("", "00001"), 2).await, entries(0..1));
    assert_eq!(scan(&store, range("00009", "z"), 2).await, entries(9..10));
}

/// And is no error.
pub async fn an_empty_or_inverted_range_holds_nothing<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, numbered(10)).await;
    for nothing in [range("00003", "00003"), range("00007", "00003"), range("x", "y")] {
        let found = page(&store, Scan::page_of(nothing)).await;
        assert_eq!((found.entries.len(), found.next), (0, None));
    }
}

/// Even where there are many, next to each other.
pub async fn deleted_keys_are_not_scanned<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, numbered(200)).await;
    write(&store, (1..199).map(|at| delete(format!("{at:05}"))).collect()).await;
    for entries_max in [1, 2, 100] {
        assert_eq!(scan(&store, all(), entries_max).await, entries([0, 199]));
    }
}

/// `next` need not be the name of a key.
pub async fn a_scan_goes_on_behind_keys_that_were_deleted_meanwhile<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, numbered(10)).await;
    let first = page(&store, Scan { range: all(), entries_max: 4, bytes_max: usize::MAX }).await;
    let seen = u32::try_from(first.entries.len()).unwrap_or(0);
    let gone = seen.saturating_sub(1)..seen + 2;
    write(&store, gone.map(|at| delete(format!("{at:05}"))).collect()).await;
    let start = first.next.unwrap_or_else(|| panic!("there is more"));
    let rest = scan(&store, KeyRange { start, end: all().end }, 4).await;
    assert_eq!(rest, entries(seen + 2..10));
}

/// A key, and the same with more behind it.
pub async fn keys_that_are_prefixes_of_each_other_are_told_apart<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    let every = ["a", "a\0", "a\0\0", "a\0b", "aa", "b"];
    write(&store, every.iter().rev().map(|name| put(name, *name)).collect()).await;
    assert_eq!(names(&store, all()).await, every);
    assert_eq!(names(&store, range("a\0", "aa")).await, ["a\0", "a\0\0", "a\0b"]);
    write(&store, vec![delete("a\0")]).await;
    assert_eq!(names(&store, range("a", "a\0b")).await, ["a", "a\0\0"]);
}
