//! Latency of one stage at a given rate.

use crate::load::{Load, pipeline};
use crate::{Arguments, Figure, raw, recorder};
use anyhow::Result;
use hdrhistogram::Histogram;
use pelton::{Engine, EngineOptions};
use std::sync::{Arc, Mutex, PoisonError};

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// Raw commits first, then the pipeline, on stores of one kind.
pub(crate) async fn measure(arguments: &Arguments, figures: &mut Vec<Figure>) -> Result<()> {
    let (store, _place) = crate::store(arguments).await?;
    let raw =
        raw::latency(&store, arguments.rate, arguments.latency_records / 4, arguments.value_bytes).await?;
    drop(store);
    let (store, _place) = crate::store(arguments).await?;
    let load = Load {
        records: arguments.latency_records,
        keys: arguments.keys,
        value_bytes: arguments.value_bytes,
        rate: Some(arguments.rate),
        intervals: arguments.intervals,
        dedup: true,
        tail: true,
    };
    let ages = Arc::new(Mutex::new(recorder::histogram()));
    recorder::take("count");
    let engine = Engine::start(pipeline(&load, &ages)?, store, EngineOptions::default()).await?;
    engine.finished().await?;
    engine.stop().await;
    let committed = recorder::take("count");
    let ages = ages.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut add = |what: &str, histogram: &Histogram<u64>, compare: bool| {
        for (name, quantile) in QUANTILES {
            let value = histogram.value_at_quantile(quantile) as f64 / 1000.0;
            let ratio = compare.then(|| value / (raw.value_at_quantile(quantile) as f64 / 1000.0));
            figures.push(Figure {
                part: "latency",
                what: format!("{what} {name}"),
                value,
                unit: "ms",
                ratio,
            });
        }
    };
    let rate = arguments.rate;
    add(&format!("raw commit, {rate}/s:"), &raw, false);
    add("arrival to durable commit:", &committed, true);
    add("emitted to delivered two stages on (2 commits):", &ages, true);
    Ok(())
}
