//! Runs the `flight_delays` example as services in a network that is cut again and again, and judges what is left in
//! the end.
//!
//! ```text
//! cargo build --release --bins --example flight_delays
//! cargo run --release -p pelton-tests --bin partition_run -- --programs target/release \
//!     --input FLIGHTS.csv.gz --output DIR --rate 7000
//! ```
//!
//! Each process runs in a network namespace of its own, and a bridge joins them; so it takes Linux, root and iproute2.
//! Where these are not there, it says so and ends with 77. Workers and the leading injector are cut off for longer
//! than their leases: from all, or from the store, the injectors or each other only, and one way only. The verdict is
//! good if the lines are what an independent computation gives, and the alerts those of a run in one process.
//! Ctrl-C leaves namespaces behind; `ip netns list` shows them, and `ip netns delete` removes one.

use anyhow::Result;
use clap::Parser;
use pelton_tests::network::{Network, Unavailable};
use pelton_tests::services::flights::FlightArguments;
use pelton_tests::services::partitions::{Nodes, Partitions};
use pelton_tests::services::{Layout, Services};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What test runners take for "could not be run here".
const EXIT_UNAVAILABLE: u8 = 77;

/// Runs the flights as services in a network that is cut, and judges what is left in the end.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    flights: FlightArguments,
    /// Of all packets so many thousandths are lost, for which it takes nftables.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=500))]
    loss_permille: u32,
    /// How long a cut lasts, in milliseconds: longer than the leases, 2 s and 3 s.
    #[arg(long, default_value_t = 6000)]
    cut_ms: u64,
    /// How long the network is whole between two cuts, in milliseconds.
    #[arg(long, default_value_t = 2000)]
    whole_ms: u64,
    /// How many workers.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=32))]
    workers: u8,
    /// The seed of the random choices; by default `PELTON_SEED`, or a new one.
    #[arg(long)]
    seed: Option<u64>,
    /// After so many seconds nothing more is cut.
    #[arg(long, default_value_t = 900)]
    disturbed: u64,
    /// It must be done after so many seconds.
    #[arg(long, default_value_t = 1800)]
    within: u64,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => {
            println!("GOOD: the lines are those of one process, and they are right");
            ExitCode::SUCCESS
        }
        Err(error) if error.is::<Unavailable>() => {
            eprintln!("SKIPPED: {error}");
            ExitCode::from(EXIT_UNAVAILABLE)
        }
        Err(error) => {
            eprintln!("BAD: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it says how long it took")]
fn run(arguments: &Arguments) -> Result<()> {
    // First, since without it there is nothing to run.
    let mut network = Network::new(arguments.loss_permille)?;
    let nodes = Nodes::make(&mut network, 2, usize::from(arguments.workers))?;
    let reference = arguments.flights.reference()?;
    let layout = Layout {
        places: Some(nodes.places()),
        ..Layout::flights(arguments.flights.programs(), &reference.run, usize::from(arguments.workers))
    };
    let partitions = Partitions {
        seed: arguments.seed.unwrap_or_else(pelton_tests::seed),
        cut: Duration::from_millis(arguments.cut_ms),
        whole: Duration::from_millis(arguments.whole_ms),
        disturbed: Duration::from_secs(arguments.disturbed),
        within: Duration::from_secs(arguments.within),
    };
    let began = Instant::now();
    let mut services = Services::start(layout)?;
    let made = partitions.run(&mut services, &network, &nodes, |what| {
        println!("{:6.1} s  {what}", began.elapsed().as_secs_f64());
    })?;
    println!("{made}");
    println!("done after {:.1} s", began.elapsed().as_secs_f64());
    services.stop()?;
    reference.judge()
}
