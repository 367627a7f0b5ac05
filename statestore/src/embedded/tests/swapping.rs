//! Reading while tables are frozen, settled and merged: no key is lost, and none comes back.

use super::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Few enough to be quick, many enough for hundreds of frozen tables.
const COMMITS: u64 = 3_000;

/// Commit `n` puts `here` = n and `gone n`, and deletes `gone n - 1`; so a reader that knows of `n` knows what it
/// must find.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_lose_nothing_and_see_nothing_come_back() {
    let options = EmbeddedOptions {
        log_bytes_max: 2_000,
        durability: crate::embedded::Durability::Buffered,
        ..EmbeddedOptions::default()
    };
    let directory = tempfile::tempdir().expect("a directory");
    let store = Arc::new(Embedded::open(&directory.path().join("store"), options).expect("the store opens"));
    let (acknowledged, is_done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    assert_eq!(write(&store, vec![put("here", "0"), put("gone 0", "")]).await, Ok(()));
    let readers: Vec<_> = (0..2)
        .map(|reader| {
            let (store, acknowledged, is_done) = (store.clone(), acknowledged.clone(), is_done.clone());
            tokio::spawn(async move {
                while !is_done.load(Ordering::Acquire) {
                    if reader == 0 {
                        look(&store, &acknowledged).await
                    } else {
                        scan(&store, &acknowledged).await
                    }
                }
            })
        })
        .collect();
    for number in 1..=COMMITS {
        let gone = Write::Delete { key: format!("gone {}", number - 1).into() };
        let writes = vec![put("here", &number.to_string()), put(&format!("gone {number}"), ""), gone];
        assert_eq!(write(&store, writes).await, Ok(()));
        acknowledged.store(number, Ordering::Release);
    }
    is_done.store(true, Ordering::Release);
    for reader in readers {
        reader.await.expect("the reader found what it had to");
    }
    assert!(store.core.settled.flushed_sequence().expect("it is read") > COMMITS / 2, "tables were settled");
    let files = std::fs::read_dir(directory.path().join("store/settled")).expect("a directory").count();
    assert!(files < 40, "{files} files: old versions are not removed");
    let expected: Vec<(Bytes, Bytes)> =
        vec![(format!("gone {COMMITS}").into(), Bytes::new()), ("here".into(), COMMITS.to_string().into())];
    assert_eq!(dump(&store), expected);
}

async fn look(store: &Embedded, acknowledged: &AtomicU64) {
    let known = acknowledged.load(Ordering::Acquire);
    let here = read(store, "here").await.expect("it is always there");
    let here: u64 = String::from_utf8_lossy(&here).parse().expect("a number");
    assert!(here >= known, "found {here} after {known} was acknowledged");
    if let Some(before) = known.checked_sub(1) {
        assert_eq!(read(store, &format!("gone {before}")).await, None, "it came back");
    }
}

async fn scan(store: &Embedded, acknowledged: &AtomicU64) {
    let known = acknowledged.load(Ordering::Acquire);
    match dump(store).as_slice() {
        [(gone, _), (_, here)] => {
            assert_eq!(gone.as_ref(), [b"gone ", here.as_ref()].concat(), "of two moments");
            let here: u64 = String::from_utf8_lossy(here).parse().expect("a number");
            assert!(here >= known, "found {here} after {known} was acknowledged");
        }
        other => panic!("found {other:?}"),
    }
}
