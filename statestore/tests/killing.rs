//! Processes killed while they commit: what they were told of is there, whole, and nothing is torn.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test")]

mod common;

use common::{commit, dump, get, put};
use pelton_statestore::Write;
use pelton_statestore::embedded::{Embedded, EmbeddedOptions};
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Set in a child process: the store in which it commits until it is killed.
const COMMIT_IN_CHILD: &str = "PELTON_TEST_COMMIT";

/// Keys that each commit puts to its number.
const KEYS: u64 = 20;

/// Small, so that tables are frozen, settled and merged while the process is killed.
fn open(path: &Path) -> Embedded {
    let options = EmbeddedOptions { log_bytes_max: 20_000, ..EmbeddedOptions::default() };
    Embedded::open(path, options).expect("the store opens after the kill")
}

/// Only does something as the child of another test.
#[test]
fn the_child_that_commits() {
    let Some(path) = std::env::var_os(COMMIT_IN_CHILD) else { return };
    let store = open(path.as_ref());
    let newest =
        get(&store, "newest").map_or(0, |value| String::from_utf8_lossy(&value).parse::<u64>().unwrap());
    println!();
    for number in newest + 1.. {
        let text = number.to_string();
        let mut writes: Vec<Write> =
            (0..KEYS).map(|key| put(format!("all {key:02}"), text.clone())).collect();
        writes.push(put(format!("own {number:08}"), vec![7; 100]));
        writes.push(Write::Delete { key: format!("own {:08}", number - 1).into() });
        writes.push(put("newest", text));
        commit(&store, writes).unwrap();
        // Only now is it acknowledged.
        println!("acknowledged {number}");
        std::io::stdout().flush().unwrap();
    }
}

fn spawn(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child_that_commits", "--nocapture"])
        .env(COMMIT_IN_CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn every_acknowledged_commit_survives_a_kill_and_none_is_torn() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("store");
    let mut before = 0;
    for round in 0..8 {
        let mut child = spawn(&path);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let number =
            |line: String| line.strip_prefix("acknowledged ").map(|number| number.parse::<u64>().unwrap());
        // It dies in the middle of its work, after more commits in each round.
        let acknowledged = lines.by_ref().filter_map(number).nth(7 + round * 23).expect("the child commits");
        child.kill().unwrap();
        child.wait().unwrap();
        let acknowledged = lines.filter_map(number).last().unwrap_or(acknowledged);
        assert!(acknowledged > before);
        before = check(&path, acknowledged);
    }
}

/// The store holds the state of one commit, which is the last acknowledged or the one that was under way.
fn check(path: &Path, acknowledged: u64) -> u64 {
    let store = open(path);
    let newest = get(&store, "newest").expect("it is always there");
    let number: u64 = String::from_utf8_lossy(&newest).parse().unwrap();
    assert!(
        number == acknowledged || number == acknowledged + 1,
        "found {number}, acknowledged {acknowledged}"
    );
    let mut expected: Vec<_> =
        (0..KEYS).map(|key| (format!("all {key:02}").into(), newest.clone())).collect();
    expected.push(("newest".into(), newest));
    expected.push((format!("own {number:08}").into(), vec![7; 100].into()));
    assert_eq!(dump(&store), expected);
    number
}
