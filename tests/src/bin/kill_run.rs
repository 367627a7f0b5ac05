//! Kills the `flight_delays` example again and again over one run, and judges what is left in the end.
//!
//! ```text
//! cargo build --release -p pelton --example flight_delays
//! cargo run --release -p pelton-tests --bin kill_run -- \
//!     --binary target/release/examples/flight_delays --input FLIGHTS.csv.gz --output DIR --kills 50
//! ```
//!
//! `DIR/undisturbed` gets a run that nothing disturbs, `DIR/killed` the one that is killed. The verdict is good
//! if both have the same lines, and if these are what an independent computation gives.
//!
//! With `--store fdb:CLUSTER_FILE` each of the two keeps its state there, under a prefix of its own. `--server COMMAND`
//! starts the store's server, and `--server-kills N` kills it as well, and starts it again:
//!
//! ```text
//! --store fdb:fdb.cluster --server "fdbserver -p 127.0.0.1:4500 -C fdb.cluster -d data -L logs" --server-kills 10
//! ```

use anyhow::{Context, Result, ensure};
use clap::Parser;
use pelton_tests::flight_runs::{Kills, Run, kill_repeatedly};
use pelton_tests::independent::{differences, expected_hourly, flights_in};
use pelton_tests::server::Server;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
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
    /// The rate of the killed run, records per second: it must not end before its last kill.
    #[arg(long, default_value_t = 10_000)]
    rate: u32,
    /// A store that both runs share, under a prefix each; by default each has an embedded one.
    #[arg(long)]
    store: Option<String>,
    /// The command that starts the store's server, split at spaces.
    #[arg(long, requires = "store")]
    server: Option<String>,
    /// How often to kill the server during the killed run.
    #[arg(long, default_value_t = 0, requires = "server")]
    server_kills: u32,
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
    let kills = kills(arguments, expected.flights);
    let server = arguments.server.as_deref().map(Server::start).transpose()?;
    let make = |name: &str, more: &[String]| Run {
        binary: arguments.binary.clone(),
        input: arguments.input.clone(),
        output: arguments.output.join(name),
        more: more.iter().cloned().chain(store(arguments, name, kills.seed)).collect(),
    };
    fs::create_dir_all(&arguments.output)?;
    let undisturbed = make("undisturbed", &[]);
    ensure!(!undisturbed.output.exists(), "{} exists already", undisturbed.output.display());
    println!("{}", undisturbed.to_success().context("the undisturbed run")?.trim_end());

    let alerts = undisturbed.line_set("alerts.jsonl")?;

    let killed = make("killed", &["--rate".into(), arguments.rate.to_string()]);
    println!("seed {}: {} kills over {:?}", kills.seed, kills.count, kills.over);
    let killing = server.as_ref().map(|server| {
        let told = |number| println!("the server's kill {number:3}");
        server.kill_repeatedly(arguments.server_kills, kills.over, kills.seed, told)
    });
    let said = kill_repeatedly(&killed, kills, |kill| {
        let (lines, all) = (kill.lines, expected.lines.len() + alerts.len());
        println!("kill {:3} after {:4} ms: {lines} of {all} lines", kill.number, kill.after.as_millis());
    });
    println!("{}", said.with_context(|| format!("seed {}", kills.seed))?.trim_end());
    if let Some(killing) = killing {
        println!("the server was killed {} times", killing.end()?);
    }

    let hourly = killed.lines("hourly.jsonl")?;
    let wrong = differences(&expected.lines, &hourly);
    ensure!(wrong.is_empty(), "{} differences, seed {}:\n{}", wrong.len(), kills.seed, wrong.join("\n"));
    let wrong = differences(&alerts, &killed.lines("alerts.jsonl")?);
    ensure!(
        wrong.is_empty(),
        "alerts: {} differences, seed {}:\n{}",
        wrong.len(),
        kills.seed,
        wrong.join("\n")
    );
    println!("{} lines for {} flights, {} alert lines", hourly.len(), flights_in(&hourly)?, alerts.len());
    Ok(())
}

/// What tells the example where its state is: on a shared store a prefix that no other run has had.
fn store(arguments: &Arguments, name: &str, seed: u64) -> Vec<String> {
    let Some(url) = &arguments.store else { return Vec::new() };
    let separator = if url.contains('?') { '&' } else { '?' };
    vec!["--store".into(), format!("{url}{separator}prefix=kill-run-{seed}-{name}")]
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
