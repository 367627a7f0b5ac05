//! The same flights as `flight_delays`, said as a flow: the hours of each airport, the alerts where they are unusual,
//! and the days of each aircraft.
//!
//! | module | what |
//! |---|---|
//! | `pipeline` | the flights, and what is made of them |
//! | `days` | the days of each aircraft |
//! | `hour`, `bucket`, `alert`, `usual`, `watch` | those of `flight_delays`: what is told, and what is unusual |
//!
//!     cargo run --release --example flight_windows
//!     cargo run --release --example flight_windows -- --input FLIGHTS.csv.gz --output DIR [--rate 5000]
//!
//! It may be killed at any moment: started again with the same arguments, it goes on.

#[path = "../flight_delays/alert.rs"]
mod alert;
#[path = "../flight_delays/bucket.rs"]
mod bucket;
mod days;
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../flight_delays/hour.rs"]
mod hour;
mod pipeline;
#[path = "../flight_delays/usual.rs"]
mod usual;
#[path = "../flight_delays/watch.rs"]
mod watch;

use anyhow::{Context, Result};
use clap::Parser;
use pelton::local::{self, LocalOptions};
use std::path::{Path, PathBuf};

#[derive(Debug, Parser)]
struct Arguments {
    /// The flights, a CSV file; by default those of January 2013.
    #[arg(long)]
    input: Option<PathBuf>,
    /// The directory for what comes out, and for the state; by default `target/flight_windows`.
    #[arg(long)]
    output: Option<PathBuf>,
    /// Rows a second; by default as many as go.
    #[arg(long)]
    rate: Option<f64>,
}

#[tokio::main]
async fn main() -> Result<()> {
    pelton::cli::log_to_stderr();
    let Arguments { input, output, rate } = Arguments::parse();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let input = input.unwrap_or_else(|| repository.join("tests/data/flights-2013-01.csv.gz"));
    let output = output.unwrap_or_else(|| repository.join("target/flight_windows"));
    std::fs::create_dir_all(&output).with_context(|| format!("cannot make {}", output.display()))?;
    let input = input.canonicalize().with_context(|| format!("cannot find {}", input.display()))?;
    let output = output.canonicalize().with_context(|| format!("cannot find {}", output.display()))?;
    let store = format!("embedded:{}", output.join("store").display());
    let summary = local::run(pipeline::build(&input, &output, rate)?, LocalOptions::new(store)).await?;
    println!("{summary}\nLines are in {}", output.display());
    Ok(())
}
