//! What a commit may rely on (I1).

use super::Fixture;
use super::support::{all, commit, delete, is, is_absent, key, names, put, range, read, refuse, write};
use crate::store::{CommitError, Precondition, Write};
use bytes::Bytes;

fn empty(start: &str, end: &str) -> Precondition {
    Precondition::Empty { range: range(start, end) }
}

/// Neither puts nor deletes of it happen.
pub async fn a_refused_commit_changes_nothing<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, vec![put("a", "1"), put("b", "1")]).await;
    let writes = || vec![put("a", "2"), delete("b"), put("c", "2"), Write::DeleteRange { range: all() }];
    refuse(&store, vec![is("a", "2")], writes()).await;
    refuse(&store, vec![is_absent("a")], writes()).await;
    refuse(&store, vec![empty("a", "b")], writes()).await;
    assert_eq!(read(&store, &["a", "b", "c"]).await, [Some("1".into()), Some("1".into()), None]);
}

/// So that a caller knows what to read again.
pub async fn a_refusal_names_the_key_or_the_start_of_the_range<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, vec![put("b", "1"), put("d", "1")]).await;
    let at = |result| match result {
        Err(CommitError::Refused { at }) => at,
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(at(commit(&store, vec![is("b", "1"), is("d", "2")], vec![]).await), key("d"));
    assert_eq!(at(commit(&store, vec![is_absent("a"), empty("c", "e")], vec![]).await), key("c"));
}

/// No prefix, no trimming, no case.
pub async fn a_value_precondition_compares_exact_bytes<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, vec![put("a", &b"Va\0lue\xff"[..])]).await;
    for other in [&b"Va\0lue"[..], b"Va\0lue\xff\0", b"va\0lue\xff", b"", b"Va", b"Va\0lue\xfe"] {
        refuse(&store, vec![is("a", other)], vec![put("a", "2")]).await;
    }
    assert_eq!(commit(&store, vec![is("a", &b"Va\0lue\xff"[..])], vec![put("a", "2")]).await, Ok(()));
    assert_eq!(read(&store, &["a"]).await, [Some("2".into())]);
}

/// In both directions.
pub async fn an_absent_key_is_told_from_an_empty_value<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    refuse(&store, vec![is("a", Bytes::new())], vec![]).await;
    assert_eq!(commit(&store, vec![is_absent("a")], vec![put("a", "")]).await, Ok(()));
    refuse(&store, vec![is_absent("a")], vec![]).await;
    assert_eq!(commit(&store, vec![is("a", Bytes::new())], vec![delete("a")]).await, Ok(()));
    assert_eq!(commit(&store, vec![is_absent("a")], vec![]).await, Ok(()));
}

/// At the start, in the middle, and as the last key before the end.
pub async fn an_empty_precondition_sees_a_key_in_its_range<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    for name in ["b", "b5", "bzzzz"] {
        assert_eq!(commit(&store, vec![empty("b", "c")], vec![put(name, "")]).await, Ok(()));
        refuse(&store, vec![empty("b", "c")], vec![put("x", "1")]).await;
        write(&store, vec![delete(name)]).await;
    }
    assert_eq!(names(&store, all()).await, Vec::<String>::new());
}

/// A key that was there is not there.
pub async fn an_empty_precondition_ignores_deleted_keys<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, (0..50).map(|at| put(format!("b{at}"), "1")).collect()).await;
    write(&store, (0..25).map(|at| delete(format!("b{at}"))).collect()).await;
    refuse(&store, vec![empty("b", "c")], vec![put("x", "1")]).await;
    write(&store, vec![Write::DeleteRange { range: range("b", "c") }]).await;
    assert_eq!(commit(&store, vec![empty("b", "c")], vec![put("x", "1")]).await, Ok(()));
}

/// Keys outside do not matter; an empty or inverted range is empty.
pub async fn an_empty_precondition_ends_where_its_range_ends<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, vec![put("a", "1"), put("azzz", "1"), put("c", "1")]).await;
    let preconditions = vec![empty("b", "c"), empty("a", "a"), empty("c", "a")];
    assert_eq!(commit(&store, preconditions, vec![put("x", "1")]).await, Ok(()));
}

/// One of many is enough to refuse.
pub async fn every_precondition_counts<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, vec![put("a", "1"), put("b", "1")]).await;
    let good = || vec![is("a", "1"), is("b", "1"), is_absent("c"), empty("c", "d"), is("a", "1")];
    for at in 0..=good().len() {
        for bad in [is("a", "2"), is_absent("b"), empty("a", "c")] {
            let mut preconditions = good();
            preconditions.insert(at, bad);
            refuse(&store, preconditions, vec![put("x", "1")]).await;
        }
    }
    assert_eq!(commit(&store, good(), vec![put("x", "1")]).await, Ok(()));
}

/// They are about what stood before.
pub async fn a_commit_does_not_see_its_own_writes_in_its_preconditions<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    refuse(&store, vec![is("a", "1")], vec![put("a", "1")]).await;
    assert_eq!(commit(&store, vec![is_absent("a"), empty("a", "b")], vec![put("a", "1")]).await, Ok(()));
    refuse(&store, vec![is_absent("a")], vec![delete("a")]).await;
    assert_eq!(read(&store, &["a"]).await, [Some("1".into())]);
}

/// Also where nothing is written.
pub async fn preconditions_alone_are_checked<F: Fixture>() {
    let fixture = F::open().await;
    let store = fixture.store();
    write(&store, vec![put("a", "1")]).await;
    assert_eq!(commit(&store, vec![is("a", "1")], vec![]).await, Ok(()));
    refuse(&store, vec![is("a", "2")], vec![]).await;
}
