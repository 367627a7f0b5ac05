//! I11: large commits and messages, clients that flood or do not read their answers.

use crate::raw;
use crate::server::{PATIENCE, Process, any, commit_at_last, connect, memory, put};
use bytes::Bytes;
use futures_util::future::join_all;
use pelton_proto::{Message as _, statestore as wire};
use pelton_statestore::remote::Remote;
use pelton_statestore::{Commit, CommitError, KeyRange, Scan, StateStore, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use tonic::Code;

/// The most that a server may take beyond what it takes when it is idle: one connection's budgets, twice, since what
/// is freed is not all given back.
const GROWTH_BYTES_MAX: u64 = 2 * ((32 + 64) << 20);

/// Resident memory of a process; `None` where the system does not say.
fn memory_bytes(process: &Process) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? << 10)
}

fn assert_bounded(process: &Process, idle: Option<u64>) {
    let (Some(now), Some(idle)) = (memory_bytes(process), idle) else {
        println!("this system does not say how much memory a process has: nothing is proved of it");
        return;
    };
    println!("at most {} MiB, idle {} MiB", now >> 20, idle >> 20);
    assert!(now - idle < GROWTH_BYTES_MAX, "{} MiB more than when idle", (now - idle) >> 20);
}

fn start() -> (tempfile::TempDir, Process) {
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(&format!("embedded:{}", directory.path().join("store").display()), any());
    (directory, process)
}

/// That somebody else is served, within any patience.
async fn assert_served(other: &Remote) {
    let served = async {
        commit_at_last(other, put("other", "1")).await;
        assert_eq!(other.read(vec!["other".into()]).await.unwrap(), [Some(Bytes::from_static(b"1"))]);
    };
    tokio::time::timeout(PATIENCE, served).await.expect("others are served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_very_many_parts_is_too_large_as_a_message() {
    let (memory, served) = memory().await;
    let store = connect(served.address).await;
    let writes = vec![Write::Delete { key: Bytes::from_static(b"ten bytes!") }; 780_000];
    let commit = Commit { preconditions: vec![], writes };
    assert_eq!(commit.check(&store.limits()), Ok(()), "its keys and values are within the limits");
    let outcome = store.commit(commit).await;
    let Err(CommitError::TooLarge { what: "commit message", size_bytes, limit_bytes }) = outcome else {
        panic!("not too large: {outcome:?}")
    };
    assert!(size_bytes > limit_bytes && memory.dump().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_over_the_limit_is_refused_before_it_is_received() {
    let (memory, served) = memory().await;
    let other = connect(served.address).await;
    let incarnation = raw::incarnation(served.address).await;
    let value = Bytes::from(vec![7; 11 << 20]);
    let put = wire::write::Kind::Put(wire::Entry { key: "large".into(), value });
    let writes = vec![wire::Write { kind: Some(put) }];
    let commit = wire::CommitRequest { incarnation, preconditions: vec![], writes };
    let refused = raw::client(served.address).commit(commit).await.unwrap_err();
    assert!(refused.code() != Code::Ok, "{refused}");
    assert_served(&other).await;
    assert_eq!(memory.dump().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_no_answers_is_refused_more_and_others_are_served() {
    let (_directory, process) = start();
    let other = connect(process.address).await;
    for number in 0..12 {
        let key = format!("large {number:02}").into();
        let write = Write::Put { key, value: vec![number; 90_000].into() };
        other.commit(Commit { preconditions: vec![], writes: vec![write] }).await.unwrap();
    }
    let idle = memory_bytes(&process);
    let range = Some(wire::Range { start: "large".into(), end: "larger".into() });
    let incarnation = raw::incarnation(process.address).await;
    let scan = wire::ScanRequest { incarnation, range, entries_max: 99, bytes_max: u32::MAX };
    let rogue = raw::channel(process.address);
    let mut unread = Vec::new();
    let mut refused = 0;
    for _ in 0..150 {
        match raw::call(&rogue, "Scan", scan.encode_to_vec()).await {
            Ok(answer) => unread.push(answer),
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                refused += 1;
            }
        }
    }
    println!("{} unread answers, {refused} refused", unread.len());
    assert!(refused > 0 && unread.len() > 10, "{} unread, {refused} refused", unread.len());
    assert_served(&other).await;
    assert_bounded(&process, idle);
    // Once it is gone, its share is free again.
    drop((unread, rogue));
    let again = raw::channel(process.address);
    let mut answer = raw::call(&again, "Scan", scan.encode_to_vec()).await.unwrap();
    assert!(answer.message().await.unwrap().is_some_and(|page| page.len() > 900_000));
}

async fn flood(address: SocketAddr, commit: wire::CommitRequest, calls: usize) -> Vec<Code> {
    let client = raw::client(address);
    let call = |_| {
        let (mut client, commit) = (client.clone(), commit.clone());
        async move { client.commit(commit).await.map_or_else(|status| status.code(), |_| Code::Ok) }
    };
    join_all((0..calls).map(call)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_floods_is_refused_and_others_are_served() {
    let (_directory, process) = start();
    let other = connect(process.address).await;
    assert_served(&other).await;
    let (idle, value) = (memory_bytes(&process), Bytes::from(vec![7; 90_000]));
    let write = |number: u32| {
        let entry = wire::Entry { key: number.to_be_bytes().to_vec().into(), value: value.clone() };
        wire::Write { kind: Some(wire::write::Kind::Put(entry)) }
    };
    let incarnation = raw::incarnation(process.address).await;
    let commit =
        wire::CommitRequest { incarnation, preconditions: vec![], writes: (0..30).map(write).collect() };
    let flooding = tokio::spawn(flood(process.address, commit, 60));
    assert_served(&other).await;
    let codes = tokio::time::timeout(PATIENCE, flooding).await.expect("every call ends").unwrap();
    let count = |wanted| codes.iter().filter(|code| **code == wanted).count();
    println!("{} commits done, {} refused", count(Code::Ok), count(Code::ResourceExhausted));
    assert!(count(Code::Ok) > 0 && count(Code::ResourceExhausted) > 0, "{codes:?}");
    assert_eq!(count(Code::Ok) + count(Code::ResourceExhausted), codes.len(), "{codes:?}");
    assert_served(&other).await;
    assert_bounded(&process, idle);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_of_one_client_wait_for_each_other_and_none_is_refused() {
    let (memory, served) = memory().await;
    let store = Arc::new(connect(served.address).await);
    let small = (0..2000).map(|number| {
        let store = Arc::clone(&store);
        async move { store.commit(put(&format!("small {number}"), "1")).await }
    });
    assert!(join_all(small).await.iter().all(Result::is_ok));
    let value = Bytes::from(vec![7; 90_000]);
    let large = (0..48).map(|number| {
        let (store, value) = (Arc::clone(&store), value.clone());
        let key = |part: u8| Bytes::from(format!("large {number} {part}"));
        let writes = (0..11).map(|part| Write::Put { key: key(part), value: value.clone() }).collect();
        async move { store.commit(Commit { preconditions: vec![], writes }).await }
    });
    assert!(join_all(large).await.iter().all(Result::is_ok));
    assert_eq!(memory.dump().len(), 2000 + 48 * 11);
    let range = KeyRange { start: "large".into(), end: "larger".into() };
    let scan = Scan { range, entries_max: 11, bytes_max: usize::MAX };
    let pages = join_all((0..200).map(|_| store.scan(scan.clone()))).await;
    assert!(pages.iter().all(|page| page.as_ref().is_ok_and(|page| page.entries.len() == 11)));
    // More than one Read may ask for, and more than one answer may hold.
    let keys: Vec<Bytes> = (0..48 * 11).map(|at| format!("large {} {}", at / 11, at % 11).into()).collect();
    let found = store.read(keys.iter().cloned().cycle().take(5000).collect()).await.unwrap();
    assert_eq!(found.len(), 5000);
    assert!(found.iter().all(|found| found.as_ref() == Some(&value)));
}
