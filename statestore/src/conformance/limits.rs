//! What a commit may hold.

use super::Fixture;
use super::support::{all, commit, key, names, put, read_keys, write};
use crate::store::{CommitError, Precondition, StoreHandle, Write};
use bytes::Bytes;

fn put_sized(store: &StoreHandle, key_bytes: usize, value_bytes: usize) -> Write {
    let mut name = key("long").to_vec();
    name.resize(key_bytes.min(store.limits().key_bytes_max + 1), b'k');
    Write::Put { key: name.into(), value: vec![b'v'; value_bytes].into() }
}

async fn too_large(store: &StoreHandle, writes: Vec<Write>) -> (&'static str, usize, usize) {
    match commit(store, vec![], writes).await {
        Err(CommitError::TooLarge { what, size_bytes, limit_bytes }) => (what, size_bytes, limit_bytes),
        other => panic!("not too large: {other:?}"),
    }
}

/// What is too large, by how much.
pub async fn limits_are_refused_with_sizes<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    let limits = store.limits();
    let long_key = too_large(&store, vec![put_sized(&store, limits.key_bytes_max + 1, 1)]).await;
    assert_eq!(long_key, ("key", limits.key_bytes_max + 1, limits.key_bytes_max));
    let long_value = too_large(&store, vec![put_sized(&store, 20, limits.value_bytes_max + 1)]).await;
    assert_eq!(long_value, ("value", limits.value_bytes_max + 1, limits.value_bytes_max));
    let one = put_sized(&store, 20, limits.value_bytes_max);
    let count = limits.commit_bytes_max / one.size_bytes() + 1;
    let whole = too_large(&store, vec![one.clone(); count]).await;
    assert_eq!(whole, ("commit", one.size_bytes() * count, limits.commit_bytes_max));
}

/// What is allowed works: the longest key, the largest value, the largest commit.
pub async fn a_commit_at_its_limits_succeeds<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    let limits = store.limits();
    let largest = put_sized(&store, limits.key_bytes_max, limits.value_bytes_max);
    write(&store, vec![largest.clone()]).await;
    let Write::Put { key: name, value } = largest else { return };
    assert_eq!(read_keys(store.as_ref(), vec![name.clone()]).await, [Some(value.clone())]);
    let unchanged = Precondition::Value { key: name.clone(), expected: Some(value) };
    assert_eq!(commit(&store, vec![unchanged], vec![Write::Delete { key: name }]).await, Ok(()));
    let mut left = limits.commit_bytes_max;
    let mut writes = Vec::new();
    for number in 0.. {
        let name = key(format!("{number:08}"));
        let Some(room) = left.checked_sub(name.len()) else { break };
        let value = Bytes::from(vec![b'v'; room.min(limits.value_bytes_max)]);
        left -= name.len() + value.len();
        writes.push(Write::Put { key: name, value });
    }
    let count = writes.len();
    write(&store, writes).await;
    assert_eq!(names(&store, all()).await.len(), count);
}

/// Not even what would have fitted.
pub async fn a_commit_over_the_limits_changes_nothing<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    let limits = store.limits();
    too_large(&store, vec![put("a", "1"), put_sized(&store, 20, limits.value_bytes_max + 1)]).await;
    assert_eq!(names(&store, all()).await, Vec::<String>::new());
}
