//! Delays of the flights that leave New York, hour by hour, with alerts where they are unusual.
//!
//! | stage | module | what |
//! |---|---|---|
//! | 1 | `flight` | a row of the file becomes a flight, keyed by airport |
//! | 2 | `hourly`, `hour`, `bucket` | flights are counted by the hour they were scheduled in; a timer tells complete hours |
//! | 3 | `alerts`, `alert`, `usual`, `watch` | what each hour of the week is usually like, and alerts where it is not |
//! | | `pipeline` | the stages, joined, with files at both ends |
//! | | `report` | a page with a chart, drawn from the files |
//! | | `arguments`, `outputs`, `summary` | what a user gives and gets |
//!
//! Every flight is counted exactly once, whatever stops the program and however often: start it again with
//! the same arguments, and it goes on.
//!
//!     cargo run --release --example flight_delays
//!     cargo run --release --example flight_delays -- --input FILE --output DIR [--disorder 24h] [--rate 5000]

mod alert;
mod alerts;
mod arguments;
mod bucket;
mod flight;
mod hour;
mod hourly;
mod outputs;
mod pipeline;
mod report;
mod summary;
mod usual;
mod watch;

use anyhow::{Context, Result};
use arguments::{Arguments, Command};
use outputs::Outputs;
use pelton::cli;
use pelton::local::{self, LocalOptions, Outcome};
use pelton::{Clock, WallClock};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use summary::Report;
use tracing_subscriber::EnvFilter;

/// Records are made on one thread and dropped on another, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What shells expect of a program that Ctrl-C has stopped.
const EXIT_STOPPED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Arguments = match cli::config::parse() {
        Ok(arguments) => arguments,
        Err(error) => return error.report(),
    };
    log_to_stderr();
    match run(&arguments).await {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.report_only {
        let outputs = Outputs::of(&arguments.output);
        draw(&outputs)?;
        println!("Drawn again: {}", outputs.report().display());
        return Ok(ExitCode::SUCCESS);
    }
    let input = absolute(&arguments.input);
    pipeline::check(&input, arguments)?;
    let outputs = Outputs::claim(&arguments.output, &input)?;
    let pipeline = pipeline::build(&input, &outputs, arguments)?;
    let command = arguments.command.clone().map(|command| match command {
        Command::Worker(arguments) => cli::Command::Worker(arguments),
        Command::Graph(arguments) => cli::Command::Graph(arguments),
        Command::Verify(arguments) => cli::Command::Verify(arguments),
    });
    if let Some(command) = command {
        return cli::perform(pipeline, command).await.map_err(anyhow::Error::from_boxed);
    }
    let earlier = outputs.begin()?;
    let began = WallClock.now();
    let done = local::run(pipeline, LocalOptions::new(arguments.store())).await?;
    let took = Duration::from_micros(WallClock.now().as_micros().abs_diff(began.as_micros()));
    outputs.end()?;
    let finished = done.outcome == Outcome::Finished;
    if finished {
        draw(&outputs)?;
    }
    println!("{}", Report { done: &done, outputs: &outputs, earlier, took });
    Ok(if finished { ExitCode::SUCCESS } else { ExitCode::from(EXIT_STOPPED) })
}

fn draw(outputs: &Outputs) -> Result<()> {
    report::write(&outputs.hourly(), &outputs.alerts(), &outputs.report()).context("cannot draw the report")
}

/// The input by its full name, so that the next run knows it again from any directory. One that is not there
/// keeps the name it was given, for the message that says so.
fn absolute(input: &Path) -> PathBuf {
    input.canonicalize().unwrap_or_else(|_| input.to_owned())
}

/// Warnings and errors, or what `RUST_LOG` asks for.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
