//! What services cost: latency across processes, hand-overs, failures, watermarks down a chain.
//!
//! ```text
//! cargo build --release --bins
//! cargo run --release -p pelton-tests --bin services_bench -- --programs target/release
//! ```
//!
//! One `pelton-statestore` with fsync, one injector, two workers of the program `chain`, all on this machine. Each figure
//! stands beside a raw one of the same run, for machines differ.

mod bench;
mod raw;

use anyhow::Result;
use bench::{Bench, percentile};
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Measures what services cost.
#[derive(Debug, Parser)]
struct Arguments {
    /// The directory of the programs.
    #[arg(long)]
    programs: PathBuf,
    /// How long each measurement runs, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How often a worker is killed, and one drained.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    latency(&arguments)?;
    failures(&arguments)?;
    watermarks(&arguments)
}

fn ms(us: i64) -> String {
    format!("{}.{:02} ms", us / 1000, us % 1000 / 10)
}

/// One stage on each of two workers: from the call that sends a record to the call that has it.
fn latency(arguments: &Arguments) -> Result<()> {
    let mut bench = Bench::start(&arguments.programs, 1, &[Some("ticks"), Some("stage-1")])?;
    bench.settle(1)?;
    let raw = raw::measure(bench.store(), Duration::from_secs(arguments.seconds / 2))?;
    let from = bench.now();
    std::thread::sleep(Duration::from_secs(arguments.seconds));
    let mut hops: Vec<i64> =
        bench.passed(1)?.iter().filter(|p| p.sent > from).map(|p| p.now - p.sent).collect();
    let (p50, p99) = (percentile(&mut hops, 50), percentile(&mut hops, 99));
    println!("one stage across two processes, {} records", hops.len());
    println!("  commit and delivery     p50 {}  p99 {}", ms(p50), ms(p99));
    println!("  raw: a round trip       p50 {}  p99 {}", ms(raw.round_trip.0), ms(raw.round_trip.1));
    println!("  raw: a remote commit    p50 {}  p99 {}", ms(raw.commit.0), ms(raw.commit.1));
    let both = raw.round_trip.0 + raw.commit.0;
    println!("  ratio of the medians    {}.{:02}", p50 / both.max(1), p50 * 100 / both.max(1) % 100);
    Ok(())
}

/// How long keys stand still when their worker is killed, and when it is drained.
fn failures(arguments: &Arguments) -> Result<()> {
    let (mut killed, mut drained) = (Vec::new(), Vec::new());
    let mut bench = Bench::start(&arguments.programs, 1, &[None, None])?;
    for _ in 0..arguments.rounds {
        bench.settle(2)?;
        let at = bench.now();
        bench.kill(1)?;
        std::thread::sleep(Duration::from_secs(3));
        killed.extend(bench.gaps_around(at)?);
        bench.start_worker(1)?;
        bench.settle(2)?;
        let at = bench.now();
        bench.drain(1)?;
        std::thread::sleep(Duration::from_secs(1));
        drained.extend(bench.gaps_around(at)?);
        bench.start_worker(1)?;
    }
    println!("keys stand still, {} rounds, a record of each every {} ms", arguments.rounds, bench::EVERY_MS);
    stood_still("kill -9 of a worker", killed);
    stood_still("a worker is drained", drained);
    Ok(())
}

/// Where it was another worker's, or quick, a key has a record at the usual time.
fn stood_still(why: &str, mut gaps: Vec<i64>) {
    let unusual_us = i64::try_from(bench::EVERY_MS).unwrap_or(0) * 2000;
    let (keys, most) = (gaps.len(), percentile(&mut gaps, 100));
    gaps.retain(|gap| *gap > unusual_us);
    let (longer, median) = (gaps.len(), percentile(&mut gaps, 50));
    println!(
        "  {why}: {longer} of {keys} keys longer than {}, these {} (median); most {}",
        ms(unusual_us),
        ms(median),
        ms(most)
    );
}

/// How far the watermark is behind the clock, stage by stage.
fn watermarks(arguments: &Arguments) -> Result<()> {
    let mut bench = Bench::start(&arguments.programs, 5, &[None, None])?;
    bench.settle(2)?;
    let from = bench.now();
    std::thread::sleep(Duration::from_secs(arguments.seconds));
    println!("a chain of five: input watermark behind the clock, and a record since it was sent");
    for stage in 1..=5 {
        let passed = bench.passed(stage)?;
        let mut lags: Vec<i64> =
            passed.iter().filter(|p| p.sent > from).map(|p| p.now - p.watermark).collect();
        let mut ages: Vec<i64> = passed.iter().filter(|p| p.sent > from).map(|p| p.now - p.sent).collect();
        println!(
            "  stage {stage}  watermark p50 {}  p99 {}   record p50 {}  p99 {}",
            ms(percentile(&mut lags, 50)),
            ms(percentile(&mut lags, 99)),
            ms(percentile(&mut ages, 50)),
            ms(percentile(&mut ages, 99))
        );
    }
    Ok(())
}
