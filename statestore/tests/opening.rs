//! Whose directory it is, and who may use it.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test")]

mod common;

use bytes::Bytes;
use common::{commit, dump, get, open, open_error, put};
use pelton_proto::{Message, store::StoreMeta};
use pelton_statestore::keys::STORE_META_KEY;
use pelton_statestore::{OpenError, StateStore, Write};
use std::fs;
use std::process::Command;

/// Set in a child process, which opens this store and says how that went.
const OPEN_IN_CHILD: &str = "PELTON_TEST_OPEN";

#[test]
fn a_new_store_is_created_with_its_directories() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("not/yet/there");
    let first = open(&path).incarnation();
    assert_eq!(open(&path).incarnation(), first, "the second opening finds it");
    assert_ne!(open(&scratch.path().join("another")).incarnation(), first);
}

#[test]
fn a_store_is_locked_while_it_is_open() {
    let scratch = tempfile::tempdir().unwrap();
    let store = open(scratch.path());
    let error = open_error(scratch.path());
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("in use"), "{error}");
    assert_eq!(open_in_child(scratch.path()), "locked");
    drop(store);
    assert_eq!(open_in_child(scratch.path()), "opened");
    open(scratch.path());
}

#[test]
fn a_store_that_was_stopped_uncleanly_is_not_locked() {
    let scratch = tempfile::tempdir().unwrap();
    open(scratch.path()).stop_uncleanly();
    open(scratch.path());
}

fn open_in_child(path: &std::path::Path) -> String {
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this)
        .args(["--exact", "the_child_that_opens", "--nocapture"])
        .env(OPEN_IN_CHILD, path)
        .output();
    let output = String::from_utf8(output.unwrap().stdout).unwrap();
    let outcome = output.lines().find_map(|line| line.split("outcome: ").nth(1));
    outcome.unwrap_or_else(|| panic!("the child said {output}")).to_owned()
}

/// Only does something as the child of another test.
#[test]
fn the_child_that_opens() {
    let Some(path) = std::env::var_os(OPEN_IN_CHILD) else { return };
    match common::try_open(path.as_ref()) {
        Ok(_) => println!("outcome: opened"),
        Err(OpenError::Locked { .. }) => println!("outcome: locked"),
        Err(error) => println!("outcome: {error}"),
    }
}

#[test]
fn another_version_of_the_layout_is_not_opened() {
    let scratch = tempfile::tempdir().unwrap();
    let store = open(scratch.path());
    let meta =
        StoreMeta { layout_version: 9, incarnation: Bytes::from_static(&[1; 16]), ..StoreMeta::default() };
    commit(&store, vec![put(STORE_META_KEY, meta.encode_to_vec())]).unwrap();
    drop(store);
    let error = open_error(scratch.path());
    assert!(matches!(error, OpenError::Version { found: 9, known: 1, .. }), "{error}");
}

/// The key of the description begins with the version too.
#[test]
fn another_version_of_the_layout_is_recognised_by_its_own_key() {
    let scratch = tempfile::tempdir().unwrap();
    let store = open(scratch.path());
    let meta =
        StoreMeta { layout_version: 2, incarnation: Bytes::from_static(&[1; 16]), ..StoreMeta::default() };
    let old = Write::Delete { key: Bytes::from_static(STORE_META_KEY) };
    commit(&store, vec![old, put(&[2, 0][..], meta.encode_to_vec())]).unwrap();
    drop(store);
    let error = open_error(scratch.path());
    assert!(matches!(error, OpenError::Version { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn another_format_of_the_files_is_not_opened() {
    let scratch = tempfile::tempdir().unwrap();
    drop(open(scratch.path()));
    let marker = scratch.path().join("PELTON");
    let text = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, text.replace("format 1", "format 2")).unwrap();
    let error = open_error(scratch.path()).to_string();
    assert!(error.contains("format 2") && error.contains("format 1"), "{error}");
}

#[test]
fn a_store_without_its_description_is_not_opened() {
    let scratch = tempfile::tempdir().unwrap();
    let store = open(scratch.path());
    commit(&store, vec![Write::Delete { key: Bytes::from_static(STORE_META_KEY) }, put("a", "1")]).unwrap();
    drop(store);
    let error = open_error(scratch.path()).to_string();
    assert!(error.contains("description is missing"), "{error}");
}

#[test]
fn a_foreign_directory_is_refused_and_not_touched() {
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("thesis.txt"), "do not lose").unwrap();
    let error = open_error(scratch.path());
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");
    assert!(error.to_string().contains("thesis.txt"), "{error}");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    fs::write(scratch.path().join("PELTON"), "something else").unwrap();
    let error = open_error(scratch.path());
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 2);
}

#[test]
fn a_file_is_no_store() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("file");
    fs::write(&path, "").unwrap();
    let error = open_error(&path);
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");
    // Nor can anything be below it.
    let error = open_error(&path.join("store"));
    assert!(matches!(error, OpenError::Failed { .. }), "{error}");
    assert!(error.to_string().contains("directory"), "{error}");
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    // The one place where not even root can create anything.
    let path = std::path::Path::new("/proc/pelton/store");
    if !path.ancestors().nth(2).is_some_and(std::path::Path::is_dir) {
        println!("SKIPPED: there is no /proc here");
        return;
    }
    let error = open_error(path);
    assert!(matches!(error, OpenError::Failed { .. }), "{error}");
    assert!(
        error.to_string().contains("/proc/pelton/store cannot be opened: it cannot be created"),
        "{error}"
    );
}

/// What a process leaves that dies while it creates a store.
#[test]
fn a_store_that_was_never_finished_is_created_again() {
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("LOCK"), "").unwrap();
    fs::write(scratch.path().join("PELTON.new"), "This").unwrap();
    fs::create_dir(scratch.path().join("log")).unwrap();
    let store = open(scratch.path());
    commit(&store, vec![put("a", "1")]).unwrap();
    assert_eq!(dump(&store).len(), 1);
}

#[test]
fn the_empty_key_is_a_key_like_any_other() {
    let scratch = tempfile::tempdir().unwrap();
    let options = pelton_statestore::embedded::EmbeddedOptions { log_bytes_max: 500, ..Default::default() };
    let store = pelton_statestore::embedded::Embedded::open(scratch.path(), options).unwrap();
    commit(&store, vec![put("", "empty")]).unwrap();
    for number in 0..20 {
        commit(&store, vec![put(format!("{number}"), vec![7; 100])]).unwrap();
    }
    assert_eq!(get(&store, ""), Some("empty".into()));
    drop(store);
    assert_eq!(get(&open(scratch.path()), ""), Some("empty".into()));
}
