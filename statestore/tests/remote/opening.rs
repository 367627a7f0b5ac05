//! Servers that are not there, are something else, or are another store meanwhile; and the program itself.

use crate::proxy::Proxy;
use crate::server::{PATIENCE, Process, Served, any, connect, lasting, memory, program, put};
use pelton_statestore::memory::Memory;
use pelton_statestore::remote::{Remote, RemoteOptions};
use pelton_statestore::{CommitError, ReadError, Scan, StateStore, StoreHandle, open};
use pelton_transport::Security;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Why it does not open, after a short wait.
async fn open_error(address: SocketAddr) -> String {
    let options = RemoteOptions { open_duration_max: Duration::from_millis(500), ..RemoteOptions::default() };
    let opened = Remote::open_with(&address.to_string(), &Security::none(), options).await;
    opened.expect_err("it opened").to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_named_with_what_to_do() {
    let error = open_error(lasting()).await;
    assert!(
        error.contains("no pelton-statestore answered") && error.contains("--listen 127.0.0.1:"),
        "{error}"
    );
    for (url, words) in [
        ("remote:", "the address is missing"),
        ("remote:nowhere", "there is no port"),
        ("remote:host:port", "write HOST:PORT"),
    ] {
        let error = open(url).await.unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("remote:HOST:PORT"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_later_is_waited_for() {
    let address = lasting();
    let opening = tokio::spawn(async move { connect(address).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let memory = Memory::new();
    let _served = Served::start_at(Arc::new(memory.clone()), address).await;
    let store = opening.await.unwrap();
    assert_eq!(store.incarnation(), memory.incarnation());
    let by_url: StoreHandle = open(&format!("remote:{address}")).await.unwrap();
    assert_eq!((by_url.incarnation(), by_url.limits()), (memory.incarnation(), memory.limits()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn something_else_at_the_address_is_no_store() {
    for answer in [&b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..], b"\x00\x00garbage", b""] {
        let listener = TcpListener::bind(any()).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                let _ = client.read(&mut [0; 1000]);
                let _ = client.write_all(answer);
            }
        });
        let error = open_error(address).await;
        assert!(error.contains("no pelton-statestore answered"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_store_behind_the_address_is_refused_and_not_written_to() {
    let ((first, served), (second, exchanged)) = (memory().await, memory().await);
    let proxy = Proxy::to(served.address);
    let store = connect(proxy.address).await;
    store.commit(put("first", "1")).await.unwrap();
    proxy.lead_to(exchanged.address);
    let refused = async {
        loop {
            match store.commit(put("second", "1")).await {
                // The end of the old connection may be met first.
                Err(CommitError::Unknown(_) | CommitError::Unavailable(_)) => {}
                outcome => return outcome,
            }
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, refused).await.expect("it connects again");
    let Err(CommitError::Fatal(fault)) = outcome else { panic!("not refused: {outcome:?}") };
    for incarnation in [first.incarnation(), second.incarnation()] {
        assert!(fault.0.contains(&incarnation.to_string()), "{fault}");
    }
    let read = store.read(vec!["first".into()]).await;
    assert!(matches!(read, Err(ReadError::Fatal(_))), "{read:?}");
    let everything = pelton_statestore::KeyRange { start: "".into(), end: "z".into() };
    let page = store.scan(Scan::page_of(everything)).await;
    assert!(matches!(page, Err(ReadError::Fatal(_))), "{page:?}");
    assert_eq!(second.dump(), []);
    // What was there all the time is there again.
    proxy.lead_to(served.address);
    crate::server::commit_at_last(&store, put("again", "1")).await;
}

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).stdin(Stdio::null()).output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_ends_in_order_when_it_is_told_to_and_keeps_what_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("embedded:{}", directory.path().join("store").display());
    for (round, signal) in ["TERM", "INT"].into_iter().enumerate() {
        let mut process = Process::start(&url, any());
        let store = connect(process.address).await;
        let read = store.read(vec!["key".into()]).await.unwrap();
        assert_eq!(read[0].is_some(), round > 0);
        store.commit(put("key", signal)).await.unwrap();
        let told =
            Command::new("kill").args([&format!("-{signal}"), &process.child.id().to_string()]).status();
        assert!(told.unwrap().success());
        let ended = tokio::task::spawn_blocking(move || process.child.wait().unwrap());
        let status = tokio::time::timeout(PATIENCE, ended).await.expect("it ends").unwrap();
        assert_eq!(status.code(), Some(0));
    }
}

#[test]
fn the_program_says_why_it_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("embedded:{}", directory.path().join("store").display());
    let first = Process::start(&url, any());
    let taken = first.address.to_string();
    for (arguments, code, words) in [
        (&["--store", &url, "--listen", "127.0.0.1:0"][..], 1, "in use by another process"),
        (&["--store", "memory:", "--listen", &taken], 1, "cannot listen at"),
        (&["--store", "memory:", "--listen", "0.0.0.0:0"], 1, "there is no TLS"),
        (&["--store", "fdb:here", "--listen", "127.0.0.1:0"], 1, "give embedded:PATH"),
        (&["--store", "memory:", "--listen", "here"], 2, "--listen"),
        (&["--store", "memory:", "--durability", "hope"], 2, "fsync"),
        (&[], 2, "--store"),
    ] {
        let output = run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}
