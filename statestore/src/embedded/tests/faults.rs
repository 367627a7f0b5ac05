//! Disks that are full, and disks that fail.

use super::*;
use crate::store::ReadError;

#[tokio::test]
async fn a_full_disk_makes_the_store_unavailable_until_there_is_room() {
    let (store, disk, directory) = new_store(EmbeddedOptions::default());
    assert_eq!(write(&store, vec![put("a", "1")]).await, Ok(()));
    let large = "v".repeat(90_000);
    let writes: Vec<Write> = (0..30).map(|at| put(&format!("large {at}"), &large)).collect();
    for room in [0, 1, 15, 16, 17, 1_000_000] {
        disk.fill_up_to(Some(room));
        let refused = write(&store, writes.clone()).await;
        assert!(matches!(refused, Err(CommitError::Unavailable(_))), "with room for {room}: {refused:?}");
        assert_eq!(read(&store, "large 1").await, None);
        assert_eq!(read(&store, "a").await, Some("1".into()));
    }
    disk.fill_up_to(None);
    assert_eq!(write(&store, vec![put("b", "2")]).await, Ok(()));
    store.stop_uncleanly();
    disk.restart_process();
    let store = open(directory.path(), EmbeddedOptions::default(), &disk);
    assert_eq!(dump(&store), [("a".into(), "1".into()), ("b".into(), "2".into())]);
}

#[tokio::test]
async fn a_failed_sync_breaks_the_store_until_it_is_reopened() {
    let (store, disk, directory) = new_store(EmbeddedOptions::default());
    assert_eq!(write(&store, vec![put("a", "1")]).await, Ok(()));
    disk.fail_syncs(1);
    assert!(matches!(write(&store, vec![put("a", "2")]).await, Err(CommitError::Unknown(_))));
    // Neither the memory nor the file can be believed, though the disk works again.
    assert!(matches!(write(&store, vec![put("a", "3")]).await, Err(CommitError::Fatal(_))));
    assert!(matches!(store.read(vec!["a".into()]).await, Err(ReadError::Fatal(_))));
    let everything = Scan::page_of(KeyRange::of_prefix(b"a"));
    assert!(matches!(store.scan(everything).await, Err(ReadError::Fatal(_))));
    drop(store);
    disk.restart_process();
    let store = open(directory.path(), EmbeddedOptions::default(), &disk);
    let found = read(&store, "a").await;
    assert!(found == Some("1".into()) || found == Some("2".into()), "{found:?}");
    assert_eq!(write(&store, vec![put("a", "4")]).await, Ok(()));
}

#[tokio::test]
async fn a_commit_that_cannot_be_undone_is_unknown() {
    let (store, disk, directory) = new_store(EmbeddedOptions::default());
    assert_eq!(write(&store, vec![put("a", "1")]).await, Ok(()));
    disk.fill_up_to(Some(20));
    disk.fail_cuts(1);
    let torn = write(&store, vec![put("a", &"2".repeat(80_000))]).await;
    assert!(matches!(torn, Err(CommitError::Unknown(_))), "{torn:?}");
    assert!(matches!(write(&store, vec![put("a", "3")]).await, Err(CommitError::Fatal(_))));
    drop(store);
    disk.fill_up_to(None);
    disk.restart_process();
    let store = open(directory.path(), EmbeddedOptions::default(), &disk);
    assert_eq!(read(&store, "a").await, Some("1".into()));
}

/// The log cannot go on in a new segment: commits wait, and what is there stays.
#[tokio::test]
async fn a_segment_that_cannot_be_created_makes_the_store_unavailable() {
    let options = EmbeddedOptions { log_bytes_max: 1_000, ..EmbeddedOptions::default() };
    let (store, disk, _directory) = new_store(options);
    for number in 0..5 {
        assert_eq!(write(&store, vec![put(&format!("{number}"), &"v".repeat(150))]).await, Ok(()));
    }
    disk.fill_up_to(Some(0));
    let mut refused = 0;
    for number in 5..20 {
        match write(&store, vec![put(&format!("{number}"), &"v".repeat(150))]).await {
            Ok(()) => assert_eq!(refused, 0, "a commit went through a full disk"),
            Err(CommitError::Unavailable(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0);
    disk.fill_up_to(None);
    assert_eq!(write(&store, vec![put("after", "1")]).await, Ok(()));
    assert_eq!(dump(&store).len(), 20 - refused + 1);
}

#[tokio::test]
async fn a_buffered_store_syncs_only_where_segments_end() {
    let options =
        EmbeddedOptions { durability: crate::embedded::Durability::Buffered, ..EmbeddedOptions::default() };
    let (store, disk, _directory) = new_store(options);
    let before = disk.counts().syncs;
    for number in 0..50 {
        assert_eq!(write(&store, vec![put(&format!("{number}"), "1")]).await, Ok(()));
    }
    assert_eq!(disk.counts().syncs, before);
    drop(store);
    assert_eq!(disk.counts().syncs, before + 1);
}
