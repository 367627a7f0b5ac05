//! Throughput of a keyed count: a source, whose records are journaled, and the count behind it.

use crate::load::{Load, pipeline};
use crate::recorder::Writes;
use crate::{Arguments, Figure, raw, recorder};
use anyhow::Result;
use pelton::{Engine, EngineOptions};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Records of one raw commit: about what the engine's batches hold under load.
const RAW_BATCH: u64 = 2048;

/// How long each of the raw loads runs.
const RAW_SECONDS: u64 = 3;

/// What one run of the pipeline reached.
struct Reached {
    records_per_s: f64,
    seconds: f64,
    writes: Writes,
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
async fn run(arguments: &Arguments, dedup: bool) -> Result<Reached> {
    let (store, _place) = crate::store(arguments).await?;
    let load = Load {
        records: arguments.records,
        keys: arguments.keys,
        value_bytes: arguments.value_bytes,
        rate: None,
        intervals: arguments.intervals,
        dedup,
        tail: false,
    };
    let ages = Arc::new(Mutex::new(recorder::histogram()));
    let engine = Engine::start(pipeline(&load, &ages)?, store, EngineOptions::default()).await?;
    engine.started().await?;
    recorder::take_writes();
    let began = Instant::now();
    engine.finished().await?;
    let seconds = began.elapsed().as_secs_f64();
    let writes = recorder::take_writes();
    engine.stop().await;
    Ok(Reached { records_per_s: arguments.records as f64 / seconds, seconds, writes })
}

/// What the rounds reached on average.
#[derive(Default)]
struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }

    fn value(&self) -> f64 {
        self.sum / self.count.max(1.0)
    }
}

/// The store by itself, then the count with and without dedup; in rounds, because a store has work left over from
/// what it was given before, and whoever comes next pays for it.
pub(crate) async fn measure(arguments: &Arguments, figures: &mut Vec<Figure>) -> Result<()> {
    let [mut keys, mut commits, mut raw, mut counted, mut without] = <[Mean; 5]>::default();
    let (mut keys_per_s, mut writes) = (Mean::default(), Writes::default());
    for _ in 0..arguments.rounds.max(1) {
        let (store, place) = crate::store(arguments).await?;
        let best = raw::best(&store, RAW_SECONDS, arguments.value_bytes).await?;
        drop((store, place));
        keys.add(best.keys);
        commits.add(best.commits);
        let (store, place) = crate::store(arguments).await?;
        raw.add(
            raw::throughput(&store, arguments.records, RAW_BATCH, arguments.keys, arguments.value_bytes)
                .await?,
        );
        drop((store, place));
        let reached = run(arguments, true).await?;
        counted.add(reached.records_per_s);
        keys_per_s.add(reached.writes.keys as f64 / reached.seconds);
        writes = reached.writes;
        without.add(run(arguments, false).await?.records_per_s);
    }
    let mut add = |what: &str, value: f64, unit: &'static str, ratio: Option<f64>| {
        figures.push(Figure { part: "throughput", what: what.into(), value, unit, ratio });
    };
    let [keys, commits, raw, counted, without] = [keys, commits, raw, counted, without].map(|m| m.value());
    let per_record = |value: u64| value as f64 / arguments.records as f64;
    add("raw store, most keys, many clients", keys / 1000.0, "k keys/s", None);
    add("raw store, most commits, many clients", commits / 1000.0, "k commits/s", None);
    add("raw store, same bytes, two clients", raw / 1000.0, "k rec/s", None);
    add("keyed count, exactly once, strong productions", counted / 1000.0, "k rec/s", Some(counted / raw));
    let all_keys = keys_per_s.value();
    add("  all keys it wrote", all_keys / 1000.0, "k keys/s", Some(all_keys / keys));
    add("  keys written per record", per_record(writes.keys), "keys", None);
    add("  bytes written per record", per_record(writes.bytes), "bytes", None);
    let per_commit = writes.keys as f64 / writes.commits.max(1) as f64;
    add("  keys written per commit", per_commit, "keys", None);
    add("keyed count without dedup", without / 1000.0, "k rec/s", Some(without / raw));
    Ok(())
}
