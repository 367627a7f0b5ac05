//! The benchmark: what the engine reaches on this machine, beside what the same store reaches on the same bytes
//! in the same run. How to read it: docs/src/benchmarks.md.
//!
//! ```text
//! cargo run --release -p pelton-tests --bin pelton-bench -- [latency|throughput|windows|all] [--json]
//! ```

#![allow(clippy::cast_precision_loss, reason = "figures to be shown")]

mod latency;
mod load;
mod raw;
mod recorder;
mod throughput;
mod windows;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use pelton_statestore::{Commit, StoreHandle, Write};
use serde::Serialize;
use std::path::PathBuf;

/// Records are made on one thread and dropped on another, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Latency,
    Throughput,
    Windows,
    All,
}

/// Measures the engine beside its store.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure.
    #[arg(value_enum, default_value = "all")]
    part: Part,
    /// The directory for embedded stores; a temporary one below it is used and removed.
    #[arg(long, default_value = ".")]
    directory: PathBuf,
    /// The store: `memory:`, whose figures are the engine's own cost, or `fdb:CLUSTER_FILE`, where everything under
    /// the prefix `bench`, or the one given, is removed. By default an embedded one.
    #[arg(long)]
    store: Option<String>,
    /// Records a second in the latency part.
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// Records of the latency part.
    #[arg(long, default_value_t = 20_000)]
    latency_records: u64,
    /// Records of the throughput part.
    #[arg(long, default_value_t = 1_500_000)]
    records: u64,
    /// Keys.
    #[arg(long, default_value_t = 100_000)]
    keys: u64,
    /// Bytes of each record's value, and of the state kept of each key.
    #[arg(long, default_value_t = 100)]
    value_bytes: usize,
    /// Intervals of the counting computation.
    #[arg(long, default_value_t = 1)]
    intervals: u32,
    /// Records of the windows part.
    #[arg(long, default_value_t = 300_000)]
    window_records: u64,
    /// Keys of the windows part.
    #[arg(long, default_value_t = 10_000)]
    window_keys: u64,
    /// Rounds of the throughput and windows parts; the figures are the means.
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One line of the result.
#[derive(Debug, Serialize)]
struct Figure {
    part: &'static str,
    what: String,
    value: f64,
    unit: &'static str,
    /// Of the raw figure in the same run, where there is one.
    ratio: Option<f64>,
}

/// Opens an empty store; the directory of an embedded one is removed with the guard.
async fn store(arguments: &Arguments) -> Result<(StoreHandle, Option<tempfile::TempDir>)> {
    let Some(url) = &arguments.store else {
        let place = tempfile::tempdir_in(&arguments.directory).context("making a directory for the store")?;
        let url = format!("embedded:{}", place.path().join("store").display());
        return Ok((pelton::store::open(&url).await?, Some(place)));
    };
    let url = match url.starts_with("fdb:") && !url.contains("prefix=") {
        true => format!("{url}{}prefix=bench", if url.contains('?') { '&' } else { '?' }),
        false => url.clone(),
    };
    let store = pelton::store::open(&url).await?;
    let range = pelton_statestore::keys::all_pipelines();
    store.commit(Commit { preconditions: Vec::new(), writes: vec![Write::DeleteRange { range }] }).await?;
    Ok((store, None))
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    recorder::install()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut figures = Vec::new();
    runtime.block_on(async {
        if matches!(arguments.part, Part::Latency | Part::All) {
            latency::measure(&arguments, &mut figures).await?;
        }
        if matches!(arguments.part, Part::Throughput | Part::All) {
            throughput::measure(&arguments, &mut figures).await?;
        }
        if matches!(arguments.part, Part::Windows | Part::All) {
            windows::measure(&arguments, &mut figures).await?;
        }
        anyhow::Ok(())
    })?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
        return Ok(());
    }
    println!("{:<12} {:<58} {:>12} {:<10} {:>8}", "part", "figure", "value", "unit", "x raw");
    for Figure { part, what, value, unit, ratio } in &figures {
        let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        println!("{part:<12} {what:<58} {value:>12.3} {unit:<10} {ratio:>8}");
    }
    Ok(())
}
