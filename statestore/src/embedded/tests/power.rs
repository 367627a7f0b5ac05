//! Death of the process and of the machine, at any moment, with a disk that keeps no more than it must.

use super::*;
use rand::RngExt;
use std::collections::BTreeMap;

type Model = BTreeMap<Bytes, Bytes>;

const LIVES: u32 = 40;

fn a_commit(number: u32, dice: &mut StdRng) -> Vec<Write> {
    let key = |dice: &mut StdRng| format!("key {:02}", dice.random_range(0..30));
    let mut writes = vec![put("newest", &number.to_string())];
    for _ in 0..dice.random_range(0..6) {
        writes.push(match dice.random_range(0..4) {
            0 => Write::Delete { key: key(dice).into() },
            _ => put(&key(dice), &"v".repeat(dice.random_range(0..400))),
        });
    }
    writes
}

fn after(model: &Model, writes: &[Write]) -> Model {
    let mut model = model.clone();
    for write in writes {
        match write {
            Write::Put { key, value } => drop(model.insert(key.clone(), value.clone())),
            Write::Delete { key } => drop(model.remove(key)),
            Write::DeleteRange { range } => model.retain(|key, _| !range.contains(key)),
        }
    }
    model
}

/// The end of one life.
enum Death {
    /// Between two commits.
    Quiet,
    /// While a commit is being synced.
    Syncing,
    /// After a sync that failed.
    SyncFailed,
}

/// A life of the store: some commits, and a death. What may be found afterwards: with the last commit, or without.
fn live(store: Embedded, disk: &LossyDisk, model: Model, numbers: &mut u32, dice: &mut StdRng) -> Vec<Model> {
    let mut model = model;
    for _ in 0..dice.random_range(0..15) {
        *numbers += 1;
        let writes = a_commit(*numbers, dice);
        if dice.random_bool(0.2) {
            let is_full = dice.random_bool(0.5);
            disk.fill_up_to(is_full.then(|| dice.random_range(0..100)));
            disk.fail_directory_syncs(u32::from(!is_full));
            let result = block_on(write(&store, writes.clone()));
            disk.fill_up_to(None);
            disk.fail_directory_syncs(0);
            match result {
                // There was room in the file, and no new name was needed.
                Ok(()) => model = after(&model, &writes),
                Err(CommitError::Unavailable(_)) => {}
                other => panic!("a bad disk gave {other:?}"),
            }
        } else {
            assert_eq!(block_on(write(&store, writes.clone())), Ok(()));
            model = after(&model, &writes);
        }
    }
    *numbers += 1;
    let last = a_commit(*numbers, dice);
    let with_last = after(&model, &last);
    match [Death::Quiet, Death::Syncing, Death::SyncFailed][dice.random_range(0..3)] {
        Death::Quiet => {
            store.stop_uncleanly();
            vec![model]
        }
        Death::Syncing => {
            let held = disk.hold_syncs();
            let mut under_way = write(&store, last).boxed_local();
            assert!(under_way.as_mut().now_or_never().is_none());
            disk.until_sync_waits();
            let frozen = disk.copy();
            drop(held);
            drop(under_way);
            store.stop_uncleanly();
            disk.become_copy_of(&frozen);
            vec![model, with_last]
        }
        Death::SyncFailed => {
            disk.fail_syncs(1);
            let result = block_on(write(&store, last));
            assert!(
                matches!(result, Err(CommitError::Unknown(_) | CommitError::Unavailable(_))),
                "{result:?}"
            );
            disk.fail_syncs(0);
            store.stop_uncleanly();
            vec![model, with_last]
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

#[test]
fn every_acknowledged_commit_survives_any_death() {
    let mut dice = dice("every_acknowledged_commit_survives_any_death");
    let directory = tempfile::tempdir().expect("a directory");
    let disk = LossyDisk::new(directory.path());
    let mut allowed = vec![Model::new()];
    let mut numbers = 0;
    for life in 0..LIVES {
        let log_bytes_max = [2_000, 20_000, 64 << 20][dice.random_range(0..3)];
        let store =
            open(directory.path(), EmbeddedOptions { log_bytes_max, ..EmbeddedOptions::default() }, &disk);
        let found: Model = dump(&store).into_iter().collect();
        assert!(allowed.contains(&found), "life {life}: found {found:?}, allowed {allowed:?}");
        allowed = live(store, &disk, found, &mut numbers, &mut dice);
        if dice.random_bool(0.3) { disk.restart_process() } else { disk.lose_power(&mut dice) }
    }
}

/// What was read once is not lost later, though the sync of it failed before it was read.
#[test]
fn a_frame_that_was_seen_after_a_failed_sync_outlives_loss_of_power() {
    let mut dice = dice("a_frame_that_was_seen_after_a_failed_sync_outlives_loss_of_power");
    let (store, disk, directory) = new_store(EmbeddedOptions::default());
    block_on(write(&store, vec![put("a", "1")])).expect("the first commit");
    disk.fail_syncs(1);
    assert!(matches!(block_on(write(&store, vec![put("a", "2")])), Err(CommitError::Unknown(_))));
    store.stop_uncleanly();
    disk.restart_process();
    let store = open(directory.path(), EmbeddedOptions::default(), &disk);
    assert_eq!(block_on(read(&store, "a")), Some("2".into()), "the kernel still has it");
    store.stop_uncleanly();
    disk.lose_power(&mut dice);
    let store = open(directory.path(), EmbeddedOptions::default(), &disk);
    assert_eq!(block_on(read(&store, "a")), Some("2".into()));
}
