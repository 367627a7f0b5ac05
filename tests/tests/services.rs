//! The flights as services, each a process: a store, two injectors, workers. The same lines, whatever is killed.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test: a panic is its failure")]

use anyhow::{Result, ensure};
use pelton_tests::flight_runs::{Run, example_binary, january, judge};
use pelton_tests::independent::expected_hourly;
use pelton_tests::services::chaos::Chaos;
use pelton_tests::services::{Layout, Programs, Services};
use std::path::Path;
use std::time::Duration;

fn flights(directory: &Path, rate: u32) -> Result<Run> {
    let more = vec!["--rate".to_owned(), rate.to_string()];
    Ok(Run { binary: example_binary()?, input: january(), output: directory.join("services"), more })
}

fn layout(run: &Run) -> Result<Layout> {
    Ok(Layout::flights(Programs::built()?, run, 3).with_short_leases())
}

/// The hourly lines are those of an independent computation, the alerts those of a run in one process.
fn judge_beside_one_process(directory: &Path, run: &Run) -> Result<()> {
    let alone = Run { output: directory.join("alone"), more: Vec::new(), ..run.clone() };
    alone.to_success()?;
    judge(run, &expected_hourly(&run.input)?.lines, &alone.line_set("alerts.jsonl")?)
}

#[test]
fn services_give_the_lines_of_one_process_and_a_restart_of_each_loses_nothing() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let run = flights(directory.path(), 4000)?;
    let mut services = Services::start(layout(&run)?)?;
    // A rolling restart of every process, one by one, while records are read.
    for at in 0..services.workers.len() {
        services.workers[at].until_printed("listens at")?;
        services.workers[at].terminate()?;
        services.workers[at].start()?;
    }
    for at in 0..services.injectors.len() {
        services.injectors[at].terminate()?;
        services.injectors[at].start()?;
    }
    let store = services.statestore.as_mut().expect("the services have a store of their own");
    store.terminate()?;
    store.start()?;
    services.until_done(Duration::from_secs(300))?;
    let status = String::from_utf8(services.pelton(&["status", "--json"]).output()?.stdout)?;
    let status: serde_json::Value = serde_json::from_str(&status)?;
    ensure!(status["done"] == true && status["workers"] == 3, "{status}");
    services.stop()?;
    judge_beside_one_process(directory.path(), &run)
}

#[test]
fn killed_workers_killed_leaders_and_a_zombie_change_no_line() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let run = flights(directory.path(), 2500)?;
    let mut services = Services::start(layout(&run)?)?;
    let chaos = Chaos {
        seed: pelton_tests::seed(),
        worker_kill: Duration::from_millis(1500),
        leader_kill: Duration::from_secs(4),
        zombie: Duration::from_secs(3),
        disturbed: Duration::from_secs(20),
        within: Duration::from_secs(300),
    };
    let done = chaos.run(&mut services, |what| println!("{what}"))?;
    ensure!(
        done.workers_killed > 0 && done.leaders_killed > 0 && done.zombies > 0,
        "it ended too early: {done}"
    );
    services.stop()?;
    judge_beside_one_process(directory.path(), &run)
}
