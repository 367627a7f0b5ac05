//! What does it cost to have the store in another process?
//!
//! ```text
//! cargo run --release -p pelton-statestore --example remote_commit [DIRECTORY] [SECONDS]
//! ```
//!
//! In one run, in a directory of the disk to be measured (default: the current one), for a few seconds each: 1 and 64
//! clients that commit one after the other, on an embedded store, and on the same kind of store behind a server on
//! loopback with a runtime of its own. A commit is as small as an interval's can be: it requires a fence of 100 bytes,
//! replaces it, and puts 150 bytes. Once with fsync, and once without, where what is left is mostly the way there.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement")]

use bytes::Bytes;
use pelton_statestore::embedded::{Durability, Embedded, EmbeddedOptions};
use pelton_statestore::remote::Remote;
use pelton_statestore::served::serve;
use pelton_statestore::{Commit, Precondition, StoreHandle, Write};
use pelton_transport::{ListenOptions, Security, Server};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| ".".to_owned());
    let seconds: f64 = arguments.next().map_or(3.0, |text| text.parse().unwrap());
    let scratch = tempfile::tempdir_in(directory).unwrap();
    let (clients, servers) = (runtime(), runtime());
    for durability in [Durability::Fsync, Durability::Buffered] {
        for count in [1, 64] {
            for is_remote in [false, true] {
                let path = scratch.path().join(format!("{durability:?}-{count}-{is_remote}"));
                let store = open(&path, durability);
                let (store, stop) = if is_remote { remote(&clients, &servers, store) } else { (store, None) };
                let name = if is_remote { "remote" } else { "embedded" };
                print!("{durability:?}, {count} clients, {name}: ");
                clients.block_on(measure(&store, count, Duration::from_secs_f64(seconds)));
                drop(stop);
            }
        }
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn open(path: &Path, durability: Durability) -> StoreHandle {
    let options = EmbeddedOptions { durability, ..EmbeddedOptions::default() };
    Arc::new(Embedded::open(path, options).unwrap())
}

/// Serves the store until what is returned beside it is dropped.
fn remote(
    clients: &Runtime,
    servers: &Runtime,
    store: StoreHandle,
) -> (StoreHandle, Option<tokio_util::sync::DropGuard>) {
    let stop = CancellationToken::new();
    let listen = ListenOptions::new(([127, 0, 0, 1], 0).into());
    let server = servers.block_on(Server::bind(&listen)).unwrap();
    let address = server.address().to_string();
    servers.spawn(serve(server, store, stop.clone()));
    let store = clients.block_on(Remote::open(&address, &Security::none())).unwrap();
    (Arc::new(store), Some(stop.drop_guard()))
}

async fn measure(store: &StoreHandle, clients: usize, duration: Duration) {
    let start = Instant::now();
    let client = |client: usize| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let (mut latencies, mut fence) = (Vec::new(), None);
            while start.elapsed() < duration {
                let (next, commit) = commit(client, latencies.len(), fence);
                let begin = Instant::now();
                store.commit(commit).await.unwrap();
                latencies.push(begin.elapsed());
                fence = Some(next);
            }
            latencies
        })
    };
    let mut latencies = Vec::new();
    for task in (0..clients).map(client).collect::<Vec<_>>() {
        latencies.extend(task.await.unwrap());
    }
    let rate = latencies.len() as f64 / start.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    println!("{rate:.0} commits/s, p50 {:.3} ms, p99 {:.3} ms", at(0.5), at(0.99));
}

/// The fence that it leaves, and the commit.
fn commit(client: usize, number: usize, fence: Option<Bytes>) -> (Bytes, Commit) {
    let key =
        |kind: char, number: usize| Bytes::from(format!("\u{1}pipeline-{kind}-{client:08}-{number:030}"));
    let next = Bytes::from(format!("{number:0100}"));
    let value = Bytes::from(format!("{:0100}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let writes = vec![
        Write::Put { key: key('f', 0), value: next.clone() },
        Write::Put { key: key('s', number % 10_000), value },
    ];
    let preconditions = vec![Precondition::Value { key: key('f', 0), expected: fence }];
    (next, Commit { preconditions, writes })
}
