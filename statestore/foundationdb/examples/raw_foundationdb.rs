//! What does a cluster give, and how much of it does the store pass on? Without any engine.
//!
//! ```text
//! cargo run --release -p pelton-statestore-foundationdb --example raw_foundationdb -- \
//!     'fdb:/etc/foundationdb/fdb.cluster?prefix=raw' [SECONDS]
//! ```
//!
//! In one run, for a few seconds each, with the fast path and without it side by side:
//!
//! 1. one client, a fenced commit of a few keys: its latency;
//! 2. many clients, each with a fence of its own and one commit under way: commits and keys a second;
//! 3. one client, reads of 1 and of 100 keys, and pages.
//!
//! Every commit replaces its fence, so it writes one key more than its count says. Keys have about 60 bytes, of
//! 100,000 a client, in no order; values have 100. The prefix holds nothing else, and is not removed.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a measurement")]

use bytes::Bytes;
use hdrhistogram::Histogram;
use pelton_domain::{Key, KeyPosition, Name};
use pelton_statestore::{
    Commit, ComputationKeys, KeyRange, PipelineKeys, Precondition, Scan, StateStore, Write,
};
use pelton_statestore_foundationdb::{FoundationDb, FoundationDbOptions};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::Barrier;

const KEYS: u64 = 100_000;
const VALUE_BYTES: usize = 100;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "fdb:?prefix=raw".to_owned());
    let seconds: f64 = arguments.next().map_or(3.0, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure(&url, Duration::from_secs_f64(seconds)));
}

async fn measure(url: &str, duration: Duration) {
    let options = FoundationDbOptions::parse(url).unwrap();
    let open = async |fast_fence| {
        let options = FoundationDbOptions { fast_fence, ..options.clone() };
        Arc::new(FoundationDb::open(options).await.unwrap())
    };
    let ways = [("fast", open(true).await), ("slow", open(false).await)];
    println!("one client, commit latency in ms");
    for keys in [1, 8, 64, 512] {
        for (way, store) in &ways {
            let result = load(store, 1, keys, duration).await;
            println!("  {way}, {keys:>3} keys: {}", result.latency());
        }
    }
    println!("many clients, one commit each under way");
    for (clients, keys) in [(8, 1), (64, 1), (256, 1), (8, 64), (32, 64), (128, 64), (8, 512), (32, 512)] {
        for (way, store) in &ways {
            let result = load(store, clients, keys, duration).await;
            println!(
                "  {way}, {clients:>3} clients of {keys:>3} keys: {}, {}",
                result.rates(),
                result.latency()
            );
        }
    }
    reads(&ways[0].1, duration).await;
    for (way, store) in &ways {
        println!("{way}: {:?}", store.commit_counts());
    }
}

struct Load {
    commits: u64,
    keys: u64,
    elapsed: Duration,
    micros: Histogram<u64>,
}

impl Load {
    fn rates(&self) -> String {
        let per_second = |count: u64| count as f64 / self.elapsed.as_secs_f64();
        format!("{:>7.0} commits/s, {:>8.0} keys/s", per_second(self.commits), per_second(self.keys))
    }

    fn latency(&self) -> String {
        let at = |part: f64| self.micros.value_at_quantile(part) as f64 / 1e3;
        format!("p50 {:.2}, p99 {:.2}, max {:.1} ms", at(0.5), at(0.99), at(1.0))
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new(3).unwrap()
}

fn record(micros: &mut Histogram<u64>, began: Instant) {
    micros.record(u64::try_from(began.elapsed().as_micros()).unwrap()).unwrap();
}

/// Some clients commit as fast as they can; each has a fence of its own.
async fn load(store: &Arc<FoundationDb>, clients: u32, keys: u64, duration: Duration) -> Load {
    // Everyone reads its fence first; the time begins when all have.
    let (ready, start) = (Arc::new(Barrier::new(clients as usize + 1)), Arc::new(OnceLock::new()));
    let client = |client: u32| {
        let (store, ready, start) = (Arc::clone(store), Arc::clone(&ready), Arc::clone(&start));
        tokio::spawn(async move {
            let places = places(client);
            let fence = places.fence(KeyPosition(u64::MAX));
            let mut standing = store.read(vec![fence.clone()]).await.unwrap().pop().unwrap();
            let (mut micros, mut round) = (histogram(), 0);
            ready.wait().await;
            let began = *start.get_or_init(Instant::now);
            while began.elapsed() < duration {
                let next = Bytes::from(format!("{:0150}", round));
                let mut writes = vec![Write::Put { key: fence.clone(), value: next.clone() }];
                writes.extend((0..keys).map(|at| put(&places, round * keys + at)));
                let preconditions = vec![Precondition::Value { key: fence.clone(), expected: standing }];
                let sent = Instant::now();
                store.commit(Commit { preconditions, writes }).await.unwrap();
                record(&mut micros, sent);
                standing = Some(next);
                round += 1;
            }
            (round, micros)
        })
    };
    let mut micros = histogram();
    let mut commits = 0;
    let tasks: Vec<_> = (1..=clients).map(client).collect();
    ready.wait().await;
    let began = *start.get_or_init(Instant::now);
    for task in tasks {
        let (rounds, of_client) = task.await.unwrap();
        commits += rounds;
        micros.add(of_client).unwrap();
    }
    Load { commits, keys: commits * (keys + 1), elapsed: began.elapsed(), micros }
}

async fn reads(store: &Arc<FoundationDb>, duration: Duration) {
    let places = places(1);
    let (mut one, mut hundred, mut pages) = (histogram(), histogram(), histogram());
    let (began, mut number) = (Instant::now(), 0);
    while began.elapsed() < duration {
        let mut next = || {
            number += 1;
            key(&places, number)
        };
        let (single, many, first) = (vec![next()], (0..100).map(|_| next()).collect(), next());
        let sent = Instant::now();
        store.read(single).await.unwrap();
        record(&mut one, sent);
        let sent = Instant::now();
        store.read(many).await.unwrap();
        record(&mut hundred, sent);
        let sent = Instant::now();
        let end = places.state_of_interval(pelton_domain::KeyInterval::FULL).end;
        store.scan(Scan::page_of(KeyRange { start: first, end })).await.unwrap();
        record(&mut pages, sent);
    }
    for (what, micros) in [("1 key", one), ("100 keys", hundred), ("a page of 1024 entries", pages)] {
        let load = Load { commits: 0, keys: 0, elapsed: duration, micros };
        println!("read of {what}: {}", load.latency());
    }
}

fn places(client: u32) -> ComputationKeys {
    PipelineKeys::new(&Name::new("raw").unwrap()).computation(client)
}

fn put(places: &ComputationKeys, number: u64) -> Write {
    Write::Put { key: key(places, number), value: value(number) }
}

/// A fixed scramble of the number: keys come in no order.
fn key(places: &ComputationKeys, number: u64) -> Bytes {
    let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS;
    places.state(&Key::from(format!("{number:020}")), b"", b"cell", b"")
}

/// Bytes that no compression makes small for free.
fn value(number: u64) -> Bytes {
    let mut value = Vec::with_capacity(VALUE_BYTES + 8);
    let mut word = number;
    while value.len() < VALUE_BYTES {
        word = word.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(31);
        value.extend_from_slice(&word.to_le_bytes());
    }
    value.truncate(VALUE_BYTES);
    value.into()
}
