//! The flights as services, and the same flights in one process to judge them by: what the programs that disturb
//! services share.

use super::Programs;
use crate::flight_runs::{Run, judge};
use crate::independent::{Expected, expected_hourly, flights_in};
use anyhow::{Result, ensure};
use clap::Args;
use std::path::PathBuf;

/// Which flights, and where to.
#[derive(Debug, Args)]
pub struct FlightArguments {
    /// The directory of the programs.
    #[arg(long)]
    pub programs: PathBuf,
    /// The gzipped CSV file of flights.
    #[arg(long)]
    pub input: PathBuf,
    /// An empty or new directory for the outputs.
    #[arg(long)]
    pub output: PathBuf,
    /// Records per second.
    #[arg(long)]
    pub rate: Option<u32>,
}

/// What services over the same flights must come to.
#[derive(Debug)]
pub struct Reference {
    expected: Expected,
    alone: Run,
    /// The run that services do.
    pub run: Run,
}

impl FlightArguments {
    /// The programs.
    #[must_use]
    pub fn programs(&self) -> Programs {
        Programs::of(&self.programs)
    }

    /// Computes what must come out, and has one process do it.
    ///
    /// # Errors
    /// Where the output is there already, the flights cannot be read, or the process fails.
    pub fn reference(&self) -> Result<Reference> {
        let expected = expected_hourly(&self.input)?;
        let make = |name: &str, more: Vec<String>| Run {
            binary: self.programs.join("examples/flight_delays"),
            input: self.input.clone(),
            output: self.output.join(name),
            more,
        };
        let alone = make("alone", Vec::new());
        ensure!(!alone.output.exists(), "{} exists already", alone.output.display());
        alone.to_success()?;
        let rate = self.rate.iter().flat_map(|rate| ["--rate".to_owned(), rate.to_string()]).collect();
        Ok(Reference { expected, alone, run: make("services", rate) })
    }
}

impl Reference {
    /// Judges what the services have written, and says how much it is.
    ///
    /// # Errors
    /// Where a line is missing, or too many, or wrong.
    pub fn judge(&self) -> Result<()> {
        judge(&self.run, &self.expected.lines, &self.alone.line_set("alerts.jsonl")?)?;
        let hourly = self.run.lines("hourly.jsonl")?;
        println!("{} lines for {} flights", hourly.len(), flights_in(&hourly)?);
        Ok(())
    }
}
