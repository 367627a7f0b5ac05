//! Kills the `flight_delays` example again and again over one run, and judges what is left in the end.
//!
//! ```text
//! cargo build --release -p pelton --example flight_delays
//! cargo run --release -p pelton-tests --bin kill_run -- \
//!     --binary target/release/examples/flight_delays --input FLIGHTS.csv.gz --output DIR --kills 50
//! ```
//!
//! With `--server-kills N` both runs keep their state in a FoundationDB cluster of this program's own, and its only server
//! is killed N times during the second, beside the engine. The binary must have FoundationDB built in.
//!
//! `DIR/undisturbed` gets a run that nothing disturbs, `DIR/killed` the one that is killed. The verdict is good
//! if both have the same lines, and if these are what an independent computation gives.

use anyhow::{Context, Result, anyhow, ensure};
use clap::Parser;
use pelton_tests::fdb::{Cluster, Shape};
use pelton_tests::flight_runs::{Kills, Run, judge, kill_repeatedly};
use pelton_tests::independent::{expected_hourly, flights_in};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Kills a run again and again, and judges what is left in the end.
#[derive(Debug, Parser)]
struct Arguments {
    /// The example's binary.
    #[arg(long)]
    binary: PathBuf,
    /// The gzipped CSV file of flights.
    #[arg(long)]
    input: PathBuf,
    /// An empty or new directory for the outputs.
    #[arg(long)]
    output: PathBuf,
    /// How often to kill.
    #[arg(long, default_value_t = 50)]
    kills: u32,
    /// The seed of the random moments; by default `PELTON_SEED`, or a new one.
    #[arg(long)]
    seed: Option<u64>,
    /// How often to kill the only server of a FoundationDB cluster, which then has the state of both runs.
    #[arg(long)]
    server_kills: Option<u32>,
    /// The rate of the killed run, records per second: it must not end before its last kill.
    #[arg(long, default_value_t = 10_000)]
    rate: u32,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => {
            println!("GOOD: the killed run has the same lines as the undisturbed one, and they are right");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("BAD: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let expected = expected_hourly(&arguments.input)?;
    let cluster = match arguments.server_kills {
        Some(_) => Some(Cluster::start(Shape::One)?.context("FoundationDB is not installed")?),
        None => None,
    };
    let make = |name: &str, more: &[String]| {
        let store = cluster.iter().flat_map(|cluster| ["--store".to_owned(), cluster.url(name, "")]);
        Run {
            binary: arguments.binary.clone(),
            input: arguments.input.clone(),
            output: arguments.output.join(name),
            more: more.iter().cloned().chain(store).collect(),
        }
    };
    fs::create_dir_all(&arguments.output)?;
    let undisturbed = make("undisturbed", &[]);
    ensure!(!undisturbed.output.exists(), "{} exists already", undisturbed.output.display());
    println!("{}", undisturbed.to_success().context("the undisturbed run")?.trim_end());

    let alerts = undisturbed.line_set("alerts.jsonl")?;

    let killed = make("killed", &["--rate".into(), arguments.rate.to_string()]);
    let kills = kills(arguments, expected.flights);
    println!("seed {}: {} kills over {:?}", kills.seed, kills.count, kills.over);
    let servers = cluster.map(|cluster| kill_server(cluster, arguments.server_kills.unwrap_or(0), kills));
    let said = kill_repeatedly(&killed, kills, &["hourly.jsonl", "alerts.jsonl"], |kill| {
        let (lines, all) = (kill.lines, expected.lines.len() + alerts.len());
        println!("kill {:3} after {:4} ms: {lines} of {all} lines", kill.number, kill.after.as_millis());
    });
    // It is kept until here, so that the run can end on it.
    let _cluster =
        servers.map(JoinHandle::join).transpose().map_err(|_| anyhow!("the killer panicked"))?.transpose()?;
    println!("{}", said.with_context(|| format!("seed {}", kills.seed))?.trim_end());

    judge(&killed, &expected.lines, &alerts).with_context(|| format!("seed {}", kills.seed))?;
    let hourly = killed.lines("hourly.jsonl")?;
    println!("{} lines for {} flights, {} alert lines", hourly.len(), flights_in(&hourly)?, alerts.len());
    Ok(())
}

/// Kills the only server again and again, spread over the time of the other kills; gives the cluster back.
fn kill_server(mut cluster: Cluster, count: u32, kills: Kills) -> JoinHandle<Result<Cluster>> {
    thread::spawn(move || {
        for number in 1..=count {
            thread::sleep(kills.over / count);
            cluster.server(0)?.kill()?;
            cluster.server(0)?.start()?;
            cluster.until_available()?;
            println!("server kill {number:3}: the cluster is back");
        }
        Ok(cluster)
    })
}

/// The kills go over two thirds of the time that the rate gives the run: after a restart the source makes up
/// for a little of the time it lost, and the run must not end before its last kill.
fn kills(arguments: &Arguments, flights: u64) -> Kills {
    let run_ms = flights.saturating_mul(1000) / u64::from(arguments.rate.max(1));
    Kills {
        count: arguments.kills,
        over: Duration::from_millis(run_ms * 2 / 3),
        seed: arguments.seed.unwrap_or_else(pelton_tests::seed),
    }
}
