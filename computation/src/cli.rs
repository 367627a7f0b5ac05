//! A complete command line for a pipeline's own program, from one call.
//!
//! ```no_run
//! use pelton::cli;
//!
//! #[derive(clap::Args)]
//! struct Arguments {
//!     /// The file to read.
//!     #[arg(long)]
//!     input: std::path::PathBuf,
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     cli::main(|arguments: &Arguments| {
//!         # let _ = &arguments.input;
//!         pelton::Pipeline::builder("words").build()
//!     })
//! }
//! ```
//!
//! | command | what |
//! |---|---|
//! | `run` | the whole pipeline in this process |
//! | `worker` | joins the pipeline that an injector leads, and runs what it is assigned |
//! | `graph` | the computations and streams, in words or as a Mermaid flowchart |
//! | `verify` | runs the pipeline once more beside itself, and compares ([`verify`](crate::verify)) |
//! | `recordings` | what is recorded of streams from outside |
//! | `replay` | sends a recording into the live pipeline again |
//!
//! Every option can also stand in a file, `--config FILE`, or in the environment, as `PELTON_` and its name; flags
//! win over the environment, and that over the file.
//!
//! Exit codes: 0 when it is done, drained or printed; 1 for an error; 2 for a wrong command line; 130 when Ctrl-C
//! stopped a `run`. `verify` ends with 0 where nothing differs, 1 where something does, and 2 for an error.

mod recordings;
mod replay;
mod time;
mod verify;
mod worker;

pub use pelton_transport::config;
pub use pelton_transport::config::{ConfigError, parse};
pub use recordings::{RecordingsArgs, RecordingsError, recordings};
pub use replay::{ReplayArgs, ReplayError, replay, replay_from};
pub use time::When;
pub use verify::{VerifyArgs, verify};
pub use worker::{WorkerArgs, WorkerError, worker};

use crate::engine::worker::IngestLimits;
use crate::local::{self, LocalOptions, Outcome};
use crate::pipeline::Pipeline;
use clap::{Args, FromArgMatches, Parser, Subcommand, ValueEnum};
use pelton_transport::config::{SecurityArgs, SecurityArgsError, ServingArgs};
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// What shells expect of a program that Ctrl-C has stopped.
const EXIT_STOPPED: u8 = 130;

/// What a pipeline's program can be told to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the whole pipeline in this process.
    Run(Box<RunArgs>),
    /// Join the pipeline that an injector leads, and run what it assigns.
    Worker(Box<WorkerArgs>),
    /// Show the computations and streams.
    Graph(GraphArgs),
    /// Run the pipeline once more beside itself, and compare state and output with what it has left.
    Verify(Box<VerifyArgs>),
    /// Show what is recorded of streams from outside.
    Recordings(Box<RecordingsArgs>),
    /// Send recorded records of a stream into the running pipeline again, as new ones.
    Replay(Box<ReplayArgs>),
}

/// The arguments of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Where state is kept: embedded:PATH, memory:, remote:HOST:PORT or fdb:CLUSTER_FILE.
    #[arg(long, value_name = "URL")]
    pub store: String,

    /// Take records from outside at this address, and answer the command pelton there; without it, nothing listens.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,

    /// How connections are secured: those of others to this process, and its own to a store.
    #[command(flatten)]
    pub security: SecurityArgs,

    /// How much it takes on.
    #[command(flatten)]
    pub serving: ServingArgs,

    /// How much it takes from one client.
    #[command(flatten)]
    pub ingest: IngestLimits,
}

impl RunArgs {
    fn options(&self) -> Result<LocalOptions, SecurityArgsError> {
        let security = self.security.security()?;
        let listen = self.listen.map(|address| self.serving.listen(address, &security));
        Ok(LocalOptions { listen, security, ingest: self.ingest, ..LocalOptions::new(&self.store) })
    }
}

/// The arguments of `graph`.
#[derive(Clone, Debug, Args)]
pub struct GraphArgs {
    /// How to show it.
    #[arg(long, value_enum, default_value = "text")]
    pub format: GraphFormat,
}

/// How a graph is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// One computation a line.
    Text,
    /// A Mermaid flowchart.
    Mermaid,
}

#[derive(Debug, Parser)]
struct CommandLine<A: Args> {
    #[command(flatten)]
    own: A,
    #[command(subcommand)]
    command: Command,
}

/// Reads the command line, with what a file and the environment say below it ([`pelton_transport::config`]), builds the pipeline and does what was asked. Errors go to standard error, and so do
/// warnings, or what `RUST_LOG` asks for.
///
/// `A` are the program's own arguments; they stand before the command.
pub fn main<A, E>(build: impl FnOnce(&A) -> Result<Pipeline, E>) -> ExitCode
where
    A: Args + FromArgMatches,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let CommandLine { own, command } = match config::parse::<CommandLine<A>>() {
        Ok(line) => line,
        Err(error) => return error.report(),
    };
    log_to_stderr();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let pipeline = match build(&own) {
        Ok(pipeline) => pipeline,
        Err(error) => return failed(error.into().as_ref()),
    };
    match runtime.block_on(perform(pipeline, command)) {
        Ok(code) => code,
        Err(error) => failed(error.as_ref()),
    }
}

/// Does what `command` says with `pipeline`.
///
/// # Errors
/// What went wrong, in words for people.
pub async fn perform(pipeline: Pipeline, command: Command) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    match command {
        Command::Run(arguments) => {
            let summary = local::run(pipeline, arguments.options()?).await?;
            println!("{summary}");
            let finished = summary.outcome == Outcome::Finished;
            Ok(if finished { ExitCode::SUCCESS } else { ExitCode::from(EXIT_STOPPED) })
        }
        Command::Worker(arguments) => {
            worker(pipeline, &arguments).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Graph(arguments) => {
            let graph = pipeline.graph();
            match arguments.format {
                GraphFormat::Text => print!("{}", graph.to_text()),
                GraphFormat::Mermaid => print!("{}", graph.to_mermaid()),
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Verify(arguments) => Ok(verify(pipeline, &arguments).await),
        Command::Recordings(arguments) => {
            recordings(&pipeline, &arguments).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Replay(arguments) => {
            replay(&pipeline, &arguments).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn failed(error: &(dyn Error + 'static)) -> ExitCode {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = next.source();
    }
    eprintln!("error: {text}");
    ExitCode::FAILURE
}

/// Warnings and errors to standard error, or what `RUST_LOG` asks for.
pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    // Where a program has set a subscriber of its own, that one stays.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
