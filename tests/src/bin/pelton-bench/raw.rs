//! What the store reaches by itself, on the bytes the engine would write.

use anyhow::Result;
use bytes::Bytes;
use hdrhistogram::Histogram;
use pelton_domain::{CommitNumber, Key, KeyPosition, Name};
use pelton_statestore::{Commit, ComputationKeys, PipelineKeys, StoreHandle, Write};
use std::time::{Duration, Instant};

fn keys() -> Result<ComputationKeys> {
    Ok(PipelineKeys::new(&Name::new("raw")?).computation(1))
}

fn put(key: Bytes, bytes: usize) -> Write {
    Write::Put { key, value: vec![b'x'; bytes].into() }
}

/// The writes of one commit of `records` records: state, packed ids, an outbox chunk, the removal of the last
/// one, and a fence.
fn writes(
    keys: &ComputationKeys,
    number: u64,
    records: u64,
    of_keys: u64,
    value_bytes: usize,
    chunk: bool,
) -> Vec<Write> {
    let commit = CommitNumber(number);
    let state = |i: u64| {
        let key = Key::from((number * records + i).wrapping_mul(0x9e37_79b9_7f4a_7c15) % of_keys);
        put(keys.state(&key, b"", b"count", b""), value_bytes + 1)
    };
    let mut writes: Vec<Write> = (0..records).map(state).collect();
    let length = usize::try_from(records).unwrap_or(usize::MAX);
    writes.push(put(keys.dedup(KeyPosition(0), number / 1000, commit, 0), 16 * length));
    writes.push(put(keys.fence(KeyPosition(u64::MAX)), 110));
    if chunk {
        for part in 0..u16::try_from(length * (value_bytes + 60) / 60_000 + 1).unwrap_or(1) {
            let share = (length * (value_bytes + 60)).min(60_000);
            writes.push(put(keys.outbox(KeyPosition(0), commit, part), share));
            let before = CommitNumber(number.saturating_sub(1));
            writes.push(Write::Delete { key: keys.outbox(KeyPosition(0), before, part) });
        }
    }
    writes
}

/// The latency of commits of one record, one after the other, `rate` a second.
#[expect(clippy::disallowed_methods, reason = "a measurement")]
pub(crate) async fn latency(
    store: &StoreHandle,
    rate: u64,
    commits: u64,
    value_bytes: usize,
) -> Result<Histogram<u64>> {
    let (keys, mut latencies) = (keys()?, crate::recorder::histogram());
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / rate.max(1)));
    for number in 0..commits {
        ticks.tick().await;
        let writes = writes(&keys, number, 1, 100_000, value_bytes, true);
        let began = Instant::now();
        store.commit(Commit { preconditions: Vec::new(), writes }).await?;
        latencies.saturating_record(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    Ok(latencies)
}

/// Records a second when two clients commit batches of `batch` records, one after the other each: one with
/// state, the other with the chunk that journals the same records, as the source's interval does.
#[expect(clippy::disallowed_methods, reason = "a measurement")]
pub(crate) async fn throughput(
    store: &StoreHandle,
    records: u64,
    batch: u64,
    of_keys: u64,
    value_bytes: usize,
) -> Result<f64> {
    let keys = keys()?;
    let began = Instant::now();
    let counting = async {
        for number in 0..records / batch {
            let writes = writes(&keys, number, batch, of_keys, value_bytes, false);
            store.commit(Commit { preconditions: Vec::new(), writes }).await?;
        }
        anyhow::Ok(())
    };
    let journaling = async {
        for number in 0..records / batch {
            let mut writes = writes(&keys, number, batch, of_keys, value_bytes, true);
            writes.drain(..usize::try_from(batch + 2).unwrap_or(0));
            store.commit(Commit { preconditions: Vec::new(), writes }).await?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(counting, journaling)?;
    Ok(records as f64 / began.elapsed().as_secs_f64())
}

/// Keys and commits a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Best {
    pub(crate) keys: f64,
    pub(crate) commits: f64,
}

/// The most keys a second, and the most commits a second, that the store takes: many clients, each with one
/// commit under way, of few keys or of many.
#[expect(clippy::disallowed_methods, reason = "a measurement")]
pub(crate) async fn best(store: &StoreHandle, seconds: u64, value_bytes: usize) -> Result<Best> {
    let mut best = Best::default();
    for (clients, batch) in [(8, 64), (8, 512), (32, 64), (64, 1)] {
        let began = Instant::now();
        let until = began + Duration::from_secs(seconds);
        let client = |client: u64| {
            let store = store.clone();
            async move {
                let keys = PipelineKeys::new(&Name::new("raw")?).computation(u32::try_from(client + 2)?);
                let mut commits = 0;
                while Instant::now() < until {
                    let mut batch = writes(&keys, commits, batch, 100_000, value_bytes, false);
                    batch.truncate(batch.len() - 2);
                    store.commit(Commit { preconditions: Vec::new(), writes: batch }).await?;
                    commits += 1;
                }
                anyhow::Ok(commits)
            }
        };
        let running: Vec<_> = (0..clients).map(|number| tokio::spawn(client(number))).collect();
        let mut commits = 0;
        for task in running {
            commits += task.await??;
        }
        let rate = commits as f64 / began.elapsed().as_secs_f64();
        best = Best { keys: best.keys.max(rate * batch as f64), commits: best.commits.max(rate) };
    }
    Ok(best)
}
