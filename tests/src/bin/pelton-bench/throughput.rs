//! Throughput of a keyed count: a source, whose records are journaled, and the count behind it.

use crate::load::{Load, pipeline};
use crate::{Arguments, Figure, raw, recorder};
use anyhow::Result;
use pelton::{Engine, EngineOptions};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Records of one raw commit: about what the engine's batches hold under load.
const RAW_BATCH: u64 = 2048;

#[expect(clippy::disallowed_methods, reason = "a measurement")]
async fn run(arguments: &Arguments, dedup: bool) -> Result<f64> {
    let (store, _place) = crate::store(arguments)?;
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
    let began = Instant::now();
    engine.finished().await?;
    let rate = arguments.records as f64 / began.elapsed().as_secs_f64();
    engine.stop().await;
    Ok(rate)
}

/// The store by itself, then the count with and without dedup.
pub(crate) async fn measure(arguments: &Arguments, figures: &mut Vec<Figure>) -> Result<()> {
    let (store, place) = crate::store(arguments)?;
    let raw =
        raw::throughput(&store, arguments.records, RAW_BATCH, arguments.keys, arguments.value_bytes).await?;
    drop((store, place));
    let mut add = |what: &str, value: f64, ratio: Option<f64>| {
        figures.push(Figure {
            part: "throughput",
            what: what.into(),
            value: value / 1000.0,
            unit: "k rec/s",
            ratio,
        });
    };
    add("raw store, same bytes, two clients", raw, None);
    let counted = run(arguments, true).await?;
    add("keyed count, exactly once, strong productions", counted, Some(counted / raw));
    let without = run(arguments, false).await?;
    add("keyed count without dedup", without, Some(without / raw));
    Ok(())
}
