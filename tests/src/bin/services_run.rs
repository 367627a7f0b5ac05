//! Runs the `flight_delays` example as services, disturbs them, and judges what is left in the end.
//!
//! ```text
//! cargo build --release --bins --example flight_delays
//! cargo run --release -p pelton-tests --bin services_run -- --programs target/release \
//!     --input FLIGHTS.csv.gz --output DIR --chaos
//! ```
//!
//! One `pelton-statestore` (or the store that `--store` names), two injectors and four workers on loopback. With
//! `--chaos` workers are killed and started again every second or two, the leading injector every ten seconds, and now
//! and then a worker is paused for twice its lease. The verdict is good if the lines are what an independent
//! computation gives, and the alerts those of a run in one process.

use anyhow::Result;
use clap::Parser;
use pelton_tests::services::chaos::Chaos;
use pelton_tests::services::flights::FlightArguments;
use pelton_tests::services::{Layout, Services};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Runs the flights as services and judges what is left in the end.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    flights: FlightArguments,
    /// A store for the services, instead of a pelton-statestore of their own.
    #[arg(long)]
    store: Option<String>,
    /// Kill and pause processes.
    #[arg(long)]
    chaos: bool,
    /// How long a leading injector may be silent, in milliseconds.
    #[arg(long, default_value_t = 2000)]
    leader_lease_ms: u64,
    /// How long a worker may be silent, in milliseconds.
    #[arg(long, default_value_t = 3000)]
    worker_lease_ms: u64,
    /// How often the leading injector is killed, in milliseconds.
    #[arg(long, default_value_t = 10_000)]
    leader_kill_ms: u64,
    /// How often a worker is paused, in milliseconds.
    #[arg(long, default_value_t = 8000)]
    zombie_ms: u64,
    /// How many workers.
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// How many injectors.
    #[arg(long, default_value_t = 2)]
    injectors: usize,
    /// The seed of the random moments; by default `PELTON_SEED`, or a new one.
    #[arg(long)]
    seed: Option<u64>,
    /// After so many seconds nothing more is killed or paused.
    #[arg(long, default_value_t = 300)]
    disturbed: u64,
    /// It must be done after so many seconds.
    #[arg(long, default_value_t = 600)]
    within: u64,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => {
            println!("GOOD: the services' lines are those of one process, and they are right");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("BAD: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it says how long it took")]
fn run(arguments: &Arguments) -> Result<()> {
    let reference = arguments.flights.reference()?;
    let layout = Layout {
        store: arguments.store.clone(),
        injectors: arguments.injectors,
        leader_lease: Duration::from_millis(arguments.leader_lease_ms),
        worker_lease: Duration::from_millis(arguments.worker_lease_ms),
        ..Layout::flights(arguments.flights.programs(), &reference.run, arguments.workers)
    };
    let began = Instant::now();
    let mut services = Services::start(layout)?;
    let within = Duration::from_secs(arguments.within);
    if arguments.chaos {
        let seed = arguments.seed.unwrap_or_else(pelton_tests::seed);
        let chaos = Chaos {
            seed,
            worker_kill: Duration::from_millis(1500),
            leader_kill: Duration::from_millis(arguments.leader_kill_ms),
            zombie: Duration::from_millis(arguments.zombie_ms),
            disturbed: Duration::from_secs(arguments.disturbed),
            within,
        };
        let done =
            chaos.run(&mut services, |what| println!("{:6.1} s  {what}", began.elapsed().as_secs_f64()))?;
        println!("{done}");
    } else {
        services.until_done(within)?;
    }
    println!("done after {:.1} s", began.elapsed().as_secs_f64());
    services.stop()?;
    reference.judge()
}
