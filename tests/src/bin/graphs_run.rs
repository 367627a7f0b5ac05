//! Runs random graphs as services, disturbs them, and has the checker judge what is left in their store.
//!
//! ```text
//! cargo build --release --bins
//! cargo run --release -p pelton-tests --bin graphs_run -- --programs target/release --directory DIR 0 20
//! ```
//!
//! For each seed one `pelton-statestore` (or the store that `--store` names, where `SEED` stands for the seed), two
//! injectors and three workers on loopback. Workers are killed and started again, the leading injector too, and a
//! worker is paused for twice its lease. With `--cuts` each process has a network of its own instead (it takes root
//! and `ip netns`), and the networks are cut.

use anyhow::{Context, Result};
use clap::Parser;
use pelton_tests::network::Network;
use pelton_tests::services::graphs::{GraphRun, WORKERS};
use pelton_tests::services::partitions::{Nodes, Partitions};
use pelton_tests::services::{Layout, Programs, Services};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Runs random graphs as services and judges what is left in the end.
#[derive(Debug, Parser)]
struct Arguments {
    /// The first seed.
    from: u64,
    /// The seed after the last.
    to: u64,
    /// The directory of the programs.
    #[arg(long)]
    programs: PathBuf,
    /// An empty or new directory, for stores and output.
    #[arg(long)]
    directory: PathBuf,
    /// A store for the services, instead of a pelton-statestore of their own; `SEED` in it is replaced by the seed.
    #[arg(long)]
    store: Option<String>,
    /// So many times the records of the simulated graphs.
    #[arg(long, default_value_t = 10)]
    longer: u64,
    /// Cut networks instead of killing processes.
    #[arg(long)]
    cuts: bool,
    /// Nothing is disturbed after so many seconds.
    #[arg(long, default_value_t = 12)]
    disturbed: u64,
    /// Each must be done after so many seconds.
    #[arg(long, default_value_t = 180)]
    within: u64,
}

#[expect(clippy::disallowed_methods, reason = "it says how long it took")]
fn main() -> ExitCode {
    let (arguments, began) = (Arguments::parse(), Instant::now());
    for seed in arguments.from..arguments.to {
        match run(&arguments, seed) {
            Ok(words) => println!("{:7.1} s  graph {seed}: {words}", began.elapsed().as_secs_f64()),
            Err(error) => {
                eprintln!("BAD: graph {seed}: {error:#}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("GOOD: every invariant that shows in what is left held");
    ExitCode::SUCCESS
}

fn run(arguments: &Arguments, seed: u64) -> Result<String> {
    let graph = GraphRun {
        seed,
        longer: arguments.longer,
        program: arguments.programs.join("graph"),
        store: arguments.store.as_ref().map(|url| url.replace("SEED", &seed.to_string())),
        directory: arguments.directory.join(seed.to_string()),
    };
    let layout = graph.layout(Programs::of(&arguments.programs));
    let (disturbed, within) =
        (Duration::from_secs(arguments.disturbed), Duration::from_secs(arguments.within));
    let done = if arguments.cuts {
        let mut network = Network::new(0)?;
        let nodes = Nodes::make(&mut network, layout.injectors, WORKERS)?;
        let places = Some(nodes.places());
        let mut services = Services::start(Layout { places, ..layout.clone() })?;
        let (cut, whole) = (Duration::from_secs(3), Duration::from_secs(1));
        let partitions = Partitions { seed, cut, whole, disturbed, within };
        let made = partitions.run(&mut services, &network, &nodes, |_| {})?;
        services.stop()?;
        made.to_string()
    } else {
        let mut services = Services::start(layout.clone())?;
        let done = graph.chaos(disturbed, within).run(&mut services, |_| {})?;
        services.stop()?;
        done.to_string()
    };
    let steps = graph.judge(&layout).context("what is left is not right")?;
    Ok(format!("{steps} steps, {done}"))
}
