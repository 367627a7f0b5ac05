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
const RAW_SECONDS: u64 = 4;

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

/// The store by itself, then the count with and without dedup.
pub(crate) async fn measure(arguments: &Arguments, figures: &mut Vec<Figure>) -> Result<()> {
    let (store, place) = crate::store(arguments).await?;
    let best = raw::best(&store, RAW_SECONDS, arguments.value_bytes).await?;
    drop((store, place));
    let (store, place) = crate::store(arguments).await?;
    let raw =
        raw::throughput(&store, arguments.records, RAW_BATCH, arguments.keys, arguments.value_bytes).await?;
    drop((store, place));
    let counted = run(arguments, true).await?;
    let without = run(arguments, false).await?;
    let mut add = |what: &str, value: f64, unit: &'static str, ratio: Option<f64>| {
        figures.push(Figure { part: "throughput", what: what.into(), value, unit, ratio });
    };
    add("raw store, most keys, many clients", best.keys / 1000.0, "k keys/s", None);
    add("raw store, most commits, many clients", best.commits / 1000.0, "k commits/s", None);
    add("raw store, same bytes, two clients", raw / 1000.0, "k rec/s", None);
    let rate = counted.records_per_s;
    add("keyed count, exactly once, strong productions", rate / 1000.0, "k rec/s", Some(rate / raw));
    let keys = counted.writes.keys as f64;
    let keys_per_s = keys / counted.seconds;
    add("  all keys it wrote", keys_per_s / 1000.0, "k keys/s", Some(keys_per_s / best.keys));
    add("  keys written per record", keys / arguments.records as f64, "keys", None);
    add("  bytes written per record", counted.writes.bytes as f64 / arguments.records as f64, "bytes", None);
    add("  keys written per commit", keys / counted.writes.commits.max(1) as f64, "keys", None);
    let rate = without.records_per_s;
    add("keyed count without dedup", rate / 1000.0, "k rec/s", Some(rate / raw));
    Ok(())
}
