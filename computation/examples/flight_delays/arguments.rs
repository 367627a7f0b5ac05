//! The command line.

use clap::{Parser, Subcommand};
use jiff::SignedDuration;
use pelton::cli::{GraphArgs, VerifyArgs, WorkerArgs};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Delays of the flights that leave New York, hour by hour, with alerts where they are unusual.
///
/// Without arguments it runs over January 2013, which is part of the repository. Stopped at any moment, and
/// started again with the same arguments, it goes on where it was; to start anew, remove the output directory.
#[derive(Clone, Debug, Parser)]
#[command(name = "flight_delays", version)]
pub(crate) struct Arguments {
    /// The flights: CSV with a header, plain or gzip.
    #[arg(long, value_name = "FILE", requires = "output", default_value_os_t = repository("tests/data/flights-2013-01.csv.gz"))]
    pub(crate) input: PathBuf,

    /// The directory for hourly.jsonl, alerts.jsonl, dead-letters.jsonl and report.html; made if missing.
    #[arg(long, value_name = "DIR", default_value_os_t = repository("target/flight_delays"))]
    pub(crate) output: PathBuf,

    /// Where state is kept: embedded:PATH, memory: for a run that cannot be continued, or fdb:CLUSTER_FILE where
    /// it was built with --features foundationdb. By default an embedded store in the output directory.
    #[arg(long, value_name = "URL")]
    store: Option<String>,

    /// How far out of order the flights may be: those that are further behind may be dropped as late.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub(crate) disorder: Duration,

    /// Read no more than this many flights per second.
    #[arg(long, value_name = "RECORDS_PER_S", value_parser = rate)]
    pub(crate) rate: Option<f64>,

    /// Only draw report.html again, from the files in the output directory.
    #[arg(long)]
    pub(crate) report_only: bool,

    /// What to do; without a command everything runs in this process.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What else the program can be told to do.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Join the pipeline that an injector leads, and run what it assigns. All workers share the outputs' directory.
    Worker(Box<WorkerArgs>),
    /// Show the computations and streams.
    Graph(GraphArgs),
    /// Run everything once more beside itself, and compare state and lines with what earlier runs have left.
    Verify(Box<VerifyArgs>),
}

impl Arguments {
    /// The store to use.
    pub(crate) fn store(&self) -> String {
        match &self.store {
            Some(url) => url.clone(),
            None => format!("embedded:{}", self.output.join("store").display()),
        }
    }
}

/// A path in the repository, as it was when this was built.
fn repository(path: &str) -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.unwrap_or(Path::new("")).join(path)
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration =
        text.parse().map_err(|_| "write a time such as 24h, 90m or 1h 30m".to_owned())?;
    Duration::try_from(duration).map_err(|_| "it is negative".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if f64::is_finite(rate) && rate > 0.0 => Ok(rate),
        _ => Err("write a number above zero".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        let words = std::iter::once("flight_delays").chain(line.split_whitespace());
        Arguments::try_parse_from(words).map_err(|error| error.to_string())
    }

    #[test]
    fn without_arguments_it_reads_the_repository() {
        let arguments = parse("").unwrap();
        assert!(arguments.input.is_file(), "{:?}", arguments.input);
        assert_eq!(arguments.disorder, Duration::from_secs(24 * 3600));
        assert!(arguments.store().starts_with("embedded:"));
    }

    #[test]
    fn an_input_of_ones_own_needs_an_output_of_ones_own() {
        assert!(parse("--input a.csv").unwrap_err().contains("--output"));
        let arguments =
            parse("--input a.csv --output out --disorder 90m --rate 2.5 --store memory:").unwrap();
        assert_eq!((arguments.disorder, arguments.rate), (Duration::from_secs(5400), Some(2.5)));
        assert_eq!(arguments.store(), "memory:");
    }

    #[test]
    fn bad_values_are_refused_with_a_hint() {
        for (line, hint) in
            [("--disorder soon", "such as 24h"), ("--disorder=-1h", "negative"), ("--rate 0", "above zero")]
        {
            assert!(parse(line).unwrap_err().contains(hint), "{line}");
        }
    }
}
