//! What a commit does.

use super::Fixture;
use super::support::{all, commit, delete, is_absent, key, names, put, range, read, refuse, scan, write};
use crate::store::{KeyRange, Write};
use bytes::Bytes;

/// Writes of one commit become visible together, and none of them where one condition fails (I2).
pub async fn a_commit_is_all_or_nothing<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, vec![put("a", "1"), put("b", "1"), put("c", "1")]).await;
    refuse(&store, vec![is_absent("c")], vec![put("a", "2"), delete("b"), put("d", "2")]).await;
    assert_eq!(
        read(&store, &["a", "b", "c", "d"]).await,
        [Some("1".into()), Some("1".into()), Some("1".into()), None]
    );
    write(&store, vec![put("a", "3"), delete("b"), put("d", "3")]).await;
    assert_eq!(
        read(&store, &["a", "b", "c", "d"]).await,
        [Some("3".into()), None, Some("1".into()), Some("3".into())]
    );
}

/// Put, then read.
pub async fn a_committed_value_is_read_back<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    assert_eq!(read(&store, &["a"]).await, [None]);
    write(&store, vec![put("a", "1")]).await;
    assert_eq!(read(&store, &["a"]).await, [Some("1".into())]);
    write(&store, vec![put("a", "another")]).await;
    assert_eq!(read(&store, &["a"]).await, [Some("another".into())]);
}

/// Writes apply in order.
pub async fn a_later_write_of_one_commit_wins<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    let writes = vec![put("a", "1"), put("a", "2"), put("b", "1"), delete("b"), delete("c"), put("c", "2")];
    write(&store, writes).await;
    assert_eq!(read(&store, &["a", "b", "c"]).await, [Some("2".into()), None, Some("2".into())]);
}

/// Put, delete, read; and put again.
pub async fn a_deleted_key_is_absent<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, vec![put("a", "1")]).await;
    write(&store, vec![delete("a")]).await;
    assert_eq!(read(&store, &["a"]).await, [None]);
    write(&store, vec![put("a", "2")]).await;
    assert_eq!(read(&store, &["a"]).await, [Some("2".into())]);
}

/// A delete of nothing.
pub async fn deleting_an_absent_key_is_no_error<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, vec![delete("a"), put("b", "1")]).await;
    assert_eq!(names(&store, all()).await, ["b"]);
}

/// From the start, included, to the end, excluded.
pub async fn range_deletes_remove_every_key_of_the_range_and_no_other<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    let every = ["a", "b", "b0", "c", "c0", "d"];
    write(&store, every.iter().map(|name| put(name, "1")).collect()).await;
    write(&store, vec![Write::DeleteRange { range: range("b", "c0") }]).await;
    assert_eq!(names(&store, all()).await, ["a", "c0", "d"]);
    write(&store, vec![Write::DeleteRange { range: all() }]).await;
    assert_eq!(names(&store, all()).await, Vec::<String>::new());
}

/// Order within a commit, again.
pub async fn range_deletes_spare_what_the_same_commit_puts_afterwards<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, vec![put("a", "1"), put("b", "1")]).await;
    write(&store, vec![Write::DeleteRange { range: all() }, put("b", "2"), put("c", "2")]).await;
    assert_eq!(read(&store, &["a", "b", "c"]).await, [None, Some("2".into()), Some("2".into())]);
}

/// Order within a commit, the other way round.
pub async fn range_deletes_take_what_the_same_commit_put_before<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, vec![put("a", "1")]).await;
    let writes =
        vec![put("a", "2"), put("b", "2"), Write::DeleteRange { range: range("a", "c") }, put("d", "2")];
    write(&store, writes).await;
    assert_eq!(names(&store, all()).await, ["d"]);
}

/// Nothing lies between a key and itself, or behind the end.
pub async fn an_empty_or_inverted_range_deletes_nothing<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, vec![put("a", "1"), put("b", "1")]).await;
    let none = |start, end| Write::DeleteRange { range: range(start, end) };
    write(&store, vec![none("a", "a"), none("b", "a")]).await;
    assert_eq!(names(&store, all()).await, ["a", "b"]);
}

/// A commit may be empty.
pub async fn a_commit_without_writes_succeeds<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, vec![]).await;
    assert_eq!(commit(&store, vec![is_absent("a")], vec![]).await, Ok(()));
}

/// Empty is not absent.
pub async fn an_empty_value_is_a_value<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, vec![put("a", "")]).await;
    assert_eq!(read(&store, &["a", "b"]).await, [Some(Bytes::new()), None]);
    assert_eq!(names(&store, all()).await, ["a"]);
}

/// Zeros, ones, and every byte between.
pub async fn keys_and_values_may_hold_any_bytes<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    let every: Vec<u8> = (0..=255).collect();
    let odd = [vec![], vec![0], vec![0, 0], vec![0xff], vec![0xff, 0xff], every.clone(), vec![0x7f; 900]];
    write(&store, odd.iter().map(|name| put(name, [name.as_slice(), &every].concat())).collect()).await;
    let mut expected: Vec<(Bytes, Bytes)> =
        odd.iter().map(|name| (key(name), [name.as_slice(), &every].concat().into())).collect();
    expected.sort();
    // The end of a prefix range stands behind every byte that may follow.
    assert_eq!(scan(&store, KeyRange::of_prefix(&key(b"")), 3).await, expected);
}

/// Present and absent ones, and one twice.
pub async fn many_keys_are_read_in_their_order<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, vec![put("a", "1"), put("b", "2"), put("c", "3")]).await;
    let found = read(&store, &["c", "x", "a", "c", "b"]).await;
    assert_eq!(found, [Some("3".into()), None, Some("1".into()), Some("3".into()), Some("2".into())]);
}

/// An empty batch.
pub async fn reading_no_keys_gives_no_values<F: Fixture>() {
    let fixture = F::open().await;
    assert_eq!(read(&fixture.store(), &[]).await, Vec::<Option<Bytes>>::new());
}

/// Whatever is written.
pub async fn the_incarnation_stays_the_same<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    let before = store.incarnation();
    write(&store, vec![put("a", "1")]).await;
    assert_eq!(store.incarnation(), before);
    assert_eq!(fixture.store().incarnation(), before);
}
