//! What the small examples have in common: the flights, the arguments, and a run with its state beside its output.

#![allow(dead_code, reason = "each example needs a part of it")]

use anyhow::{Context, Result};
use clap::Parser;
use pelton::local::{self, LocalOptions};
use pelton::{CsvSource, EventTime, Pipeline, Stream};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

static FLIGHTS: Stream<Flight> = Stream::new("flights");

/// A scheduled departure and what became of it. The fields are named as the file's columns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Flight {
    pub(crate) flight: u64,
    pub(crate) tailnum: Option<String>,
    pub(crate) origin: String,
    pub(crate) dest: String,
    dep_time: Option<u16>,
    dep_delay: Option<i64>,
    time_hour: String,
    minute: u32,
}

impl Flight {
    /// How many minutes late it left, negative if early; nothing if it was cancelled.
    pub(crate) fn delay(&self) -> Option<i64> {
        self.dep_time.and(self.dep_delay)
    }

    /// When it was to leave: its event time.
    pub(crate) fn scheduled(&self) -> EventTime {
        start_of(&self.time_hour).plus(Duration::from_secs(u64::from(self.minute) * 60))
    }
}

/// An hour such as `2013-01-01T10:00:00Z`.
pub(crate) fn start_of(hour: &str) -> EventTime {
    EventTime::from_secs(hour.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_second))
}

/// Where the data of the repository is.
pub(crate) fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(file)
}

#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// The flights, a CSV file; by default those of January 2013.
    #[arg(long)]
    pub(crate) input: Option<PathBuf>,
    /// The directory for what comes out, and for the state.
    #[arg(long)]
    pub(crate) output: PathBuf,
    /// Rows a second; by default as many as go.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
}

impl Arguments {
    pub(crate) fn new(output: &Path) -> Self {
        Self { input: None, output: output.to_owned(), rate: None }
    }

    pub(crate) fn input(&self) -> PathBuf {
        self.input.clone().unwrap_or_else(|| data("flights-2013-01.csv.gz"))
    }
}

/// The flights, up to a day out of order.
pub(crate) fn flights(arguments: &Arguments) -> CsvSource<Flight> {
    let flights = CsvSource::<Flight>::new(arguments.input(), &FLIGHTS)
        .null("NA")
        .key(|flight| flight.origin.as_str().into())
        .event_time(Flight::scheduled)
        .disorder(24 * HOUR);
    match arguments.rate {
        Some(rate) => flights.rate(rate),
        None => flights,
    }
}

/// Runs a pipeline to its end. Killed and started again with the same arguments, it goes on.
pub(crate) fn main(build: impl FnOnce(&Arguments) -> Result<Pipeline>) -> Result<PathBuf> {
    pelton::cli::log_to_stderr();
    let mut arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.output)?;
    arguments.output = arguments.output.canonicalize().context("the output directory")?;
    let store = format!("embedded:{}", arguments.output.join("store").display());
    let pipeline = build(&arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{}", runtime.block_on(local::run(pipeline, LocalOptions::new(store)))?);
    Ok(arguments.output)
}

/// The lines of a file, sorted.
pub(crate) fn lines(file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    Ok(lines)
}
