//! Runs cases of windowing through the engine, and holds the panes against those that the cases ask for.
//!
//! ```text
//! cargo run --release -p pelton-tests --bin trigger-cases -- CASES.jsonl.gz
//! ```
//!
//! It prints each difference and ends with `N passed, M failed`. Exit code: 0 where all passed, 1 where a case
//! failed, 2 where the file cannot be run.

use anyhow::Result;
use clap::Parser;
use pelton_tests::trigger_cases::format;
use pelton_tests::trigger_cases::run::{Crashes, differences};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs cases of windowing through the engine, and holds the panes against those that the cases ask for.
#[derive(Debug, Parser)]
struct Arguments {
    /// A file of cases, one JSON object a line; plain or compressed by gzip.
    cases: PathBuf,
    /// Kill the process after each step, and go on from the store.
    #[arg(long)]
    crash: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse(), &mut io::stdout().lock()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Returns how many cases failed.
fn run(arguments: &Arguments, out: &mut impl Write) -> Result<usize> {
    let cases = format::read(&arguments.cases)?;
    let crashes = if arguments.crash { Crashes::EveryStep } else { Crashes::None };
    let mut failed = 0;
    for (line, case) in &cases {
        let found = differences(case, crashes).unwrap_or_else(|error| vec![format!("{error:#}")]);
        for difference in &found {
            writeln!(out, "line {line}, {difference}")?;
        }
        failed += usize::from(!found.is_empty());
    }
    writeln!(out, "{} passed, {failed} failed", cases.len() - failed)?;
    Ok(failed)
}
