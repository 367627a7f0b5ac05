//! The same flights as `flight_delays`, said with windows: the hours of each airport, and the days of each aircraft.
//!
//! | module | what |
//! |---|---|
//! | `pipeline` | the flights, and what is made of them |
//!
//!     cargo run --release --example flight_windows
//!     cargo run --release --example flight_windows -- FLIGHTS.csv.gz OUTPUT_DIR
//!
//! It may be killed at any moment: started again with the same arguments, it goes on.

mod pipeline;

use anyhow::{Context, Result};
use pelton::local::{self, LocalOptions};
use std::path::{Path, PathBuf};

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let input = arguments.next().unwrap_or_else(|| repository.join("tests/data/flights-2013-01.csv.gz"));
    let output = arguments.next().unwrap_or_else(|| repository.join("target/flight_windows"));
    std::fs::create_dir_all(&output).with_context(|| format!("cannot make {}", output.display()))?;
    let input = input.canonicalize().with_context(|| format!("cannot find {}", input.display()))?;
    let output = output.canonicalize().with_context(|| format!("cannot find {}", output.display()))?;
    let store = format!("embedded:{}", output.join("store").display());
    let summary = local::run(pipeline::build(&input, &output)?, LocalOptions::new(store)).await?;
    println!("{summary}\nLines are in {}", output.display());
    Ok(())
}
