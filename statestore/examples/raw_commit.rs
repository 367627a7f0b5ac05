//! What does this machine's disk give, and how much of it does the embedded store pass on?
//!
//! ```text
//! cargo run --release -p pelton-statestore --example raw_commit [DIRECTORY] [SECONDS]
//! ```
//!
//! In one run, in a directory of the disk to be measured (default: the current one), for a few seconds each:
//!
//! 1. append and fdatasync of blocks, and the same over blocks that are there already: the floor;
//! 2. the embedded store, one client, one small put a commit: its latency over that floor;
//! 3. the embedded store, four clients, batches like a busy worker's: 512 puts of 100,000 keys (60-byte keys,
//!    100-byte values), one 8 KB put and the delete of the one before;
//! 4. reads of what that wrote, most of it settled by then: they run on the caller's thread;
//! 5. the same batches into fjall directly, one thread, groups of four batches, `SyncAll` after each group.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement")]

use bytes::Bytes;
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use pelton_statestore::embedded::{Embedded, EmbeddedOptions};
use pelton_statestore::{Commit, KeyRange, Scan, StateStore, Write};
use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const CLIENTS: usize = 4;
const PUTS: usize = 512;
const KEYS: u64 = 100_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| ".".to_owned());
    let seconds: f64 = arguments.next().map_or(3.0, |text| text.parse().unwrap());
    let scratch = tempfile::tempdir_in(directory).unwrap();
    let duration = Duration::from_secs_f64(seconds);
    for block in [200, 4 << 10, 64 << 10, 600_000] {
        floor(scratch.path(), block, duration / 2);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(small_commits(scratch.path(), duration));
    runtime.block_on(batches(scratch.path(), duration * 3));
    runtime.block_on(reads(scratch.path(), duration));
    fjall_batches(scratch.path(), duration * 3);
}

/// Latencies, and what they say.
#[derive(Default)]
struct Latencies(Vec<Duration>);

impl Latencies {
    fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.0.push(start.elapsed());
        result
    }

    fn at(&mut self, part: f64) -> f64 {
        self.0.sort_unstable();
        self.0[((self.0.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3
    }

    fn print(&mut self) -> String {
        format!("p50 {:.3} ms, p99 {:.3} ms, max {:.1} ms", self.at(0.5), self.at(0.99), self.at(1.0))
    }
}

/// Append and fdatasync, in a growing file and over what is there.
fn floor(scratch: &Path, block: usize, duration: Duration) {
    let bytes = vec![7; block];
    let path = scratch.join("floor");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(path).unwrap();
    for what in ["append", "overwrite"] {
        let written = file.seek(SeekFrom::End(0)).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let (mut latencies, start, mut at) = (Latencies::default(), Instant::now(), 0);
        while start.elapsed() < duration && at < 1 << 30 && (what == "append" || at + block as u64 <= written)
        {
            latencies.time(|| {
                file.write_all(&bytes).unwrap();
                file.sync_data().unwrap();
            });
            at += block as u64;
        }
        println!("{what:>9} + fdatasync of {block:>6} bytes: {}", latencies.print());
    }
}

async fn small_commits(scratch: &Path, duration: Duration) {
    let store = Embedded::open(&scratch.join("small"), EmbeddedOptions::default()).unwrap();
    let (mut latencies, start, mut number) = (Latencies::default(), Instant::now(), 0);
    while start.elapsed() < duration {
        let key = key(number % KEYS);
        let commit =
            Commit { preconditions: vec![], writes: vec![Write::Put { key, value: value(number, 90) }] };
        let begin = Instant::now();
        store.commit(commit).await.unwrap();
        latencies.0.push(begin.elapsed());
        number += 1;
    }
    println!("embedded, 1 client, 1 put of 150 bytes a commit: {}", latencies.print());
}

async fn batches(scratch: &Path, duration: Duration) {
    let store = Arc::new(Embedded::open(&scratch.join("batches"), EmbeddedOptions::default()).unwrap());
    let start = Instant::now();
    let client = |client: usize| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let (mut latencies, mut round) = (Latencies::default(), 0);
            while start.elapsed() < duration {
                let writes = batch(client, round);
                let begin = Instant::now();
                store.commit(Commit { preconditions: vec![], writes }).await.unwrap();
                latencies.0.push(begin.elapsed());
                round += 1;
            }
            latencies.0
        })
    };
    let mut latencies = Latencies::default();
    for task in (0..CLIENTS).map(client).collect::<Vec<_>>() {
        latencies.0.extend(task.await.unwrap());
    }
    report("embedded, 4 clients", &mut latencies, start.elapsed(), 1);
}

async fn reads(scratch: &Path, duration: Duration) {
    let options = EmbeddedOptions { log_bytes_max: 1 << 20, ..EmbeddedOptions::default() };
    let store = Embedded::open(&scratch.join("batches"), options).unwrap();
    // The log is over this bound, so the first commit has it settled.
    store.commit(Commit { preconditions: vec![], writes: batch(0, 0) }).await.unwrap();
    let (mut single, mut many, mut pages) =
        (Latencies::default(), Latencies::default(), Latencies::default());
    let (start, mut number) = (Instant::now(), 0_u64);
    while start.elapsed() < duration {
        let mut next = || {
            number += 1;
            key(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS)
        };
        let (one, hundred, first) = (vec![next()], (0..100).map(|_| next()).collect(), next());
        let begin = Instant::now();
        store.read(one).await.unwrap();
        single.0.push(begin.elapsed());
        let begin = Instant::now();
        store.read(hundred).await.unwrap();
        many.0.push(begin.elapsed());
        let begin = Instant::now();
        store.scan(Scan::page_of(KeyRange { start: first, end: vec![2].into() })).await.unwrap();
        pages.0.push(begin.elapsed());
    }
    println!("embedded, read of 1 key: {}", single.print());
    println!("embedded, read of 100 keys: {}", many.print());
    println!("embedded, page of 1024 entries: {}", pages.print());
}

fn fjall_batches(scratch: &Path, duration: Duration) {
    let database = Database::builder(scratch.join("fjall")).open().unwrap();
    let keyspace = database.keyspace("default", KeyspaceCreateOptions::default).unwrap();
    let (mut latencies, start, mut round) = (Latencies::default(), Instant::now(), 0);
    while start.elapsed() < duration {
        let group: Vec<Write> = (0..CLIENTS).flat_map(|client| batch(client, round)).collect();
        latencies.time(|| {
            let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
            for write in group {
                match write {
                    Write::Put { key, value } => batch.insert(&keyspace, key.as_ref(), value.as_ref()),
                    Write::Delete { key } => batch.remove(&keyspace, key.as_ref()),
                    Write::DeleteRange { .. } => {}
                }
            }
            batch.commit().unwrap();
        });
        round += 1;
    }
    report("fjall itself, groups of 4", &mut latencies, start.elapsed(), CLIENTS);
}

fn report(what: &str, latencies: &mut Latencies, elapsed: Duration, batches: usize) {
    let puts = latencies.0.len() * batches * (PUTS + 1);
    let rate = puts as f64 / elapsed.as_secs_f64() / 1e3;
    println!(
        "{what}, batches of {PUTS} puts, 1 of 8 KB, 1 delete: {rate:.0} k puts/s; commit {}",
        latencies.print()
    );
}

fn batch(client: usize, round: u64) -> Vec<Write> {
    let outbox = |round: u64| Bytes::from(format!("\u{1}pipeline-outbox-of-client-{client}-{round:020}"));
    let mut writes = Vec::with_capacity(PUTS + 2);
    for at in 0..PUTS as u64 {
        let number = (round * PUTS as u64 + at) * CLIENTS as u64 + client as u64;
        // A fixed scramble of the number: keys come in no order.
        writes.push(Write::Put {
            key: key(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS),
            value: value(number, 100),
        });
    }
    writes.push(Write::Put { key: outbox(round), value: value(round, 8 << 10) });
    writes.push(Write::Delete { key: outbox(round.wrapping_sub(1)) });
    writes
}

/// A key of 60 bytes.
fn key(number: u64) -> Bytes {
    let mut key = Vec::with_capacity(60);
    key.extend_from_slice(b"\x01\x08pipeline\0\0\0\x01s");
    key.extend_from_slice(&number.wrapping_mul(0xc2b2_ae3d_27d4_eb4f).to_be_bytes());
    key.extend_from_slice(format!("{number:037}").as_bytes());
    key.into()
}

/// A value of `length` bytes that no compression makes small for free.
fn value(number: u64, length: usize) -> Bytes {
    let mut value = Vec::with_capacity(length);
    let mut word = number;
    while value.len() < length {
        word = word.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(31);
        value.extend_from_slice(&word.to_le_bytes());
    }
    value.truncate(length);
    value.into()
}
