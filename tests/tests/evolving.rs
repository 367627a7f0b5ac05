//! A pipeline whose code changes while it runs, and whose intervals are split and moved by their load.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test: a panic is its failure")]

use anyhow::{Result, ensure};
use pelton_tests::evolving::{Counted, Evolving};
use pelton_tests::services::{Layout, Services};
use std::collections::BTreeSet;
use std::time::Duration;

/// Keys of all sources.
const KEYS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(240);

/// Waits until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..1200 {
        if is_so()? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    anyhow::bail!("waited in vain until {what}")
}

fn graph_version(services: &Services) -> u64 {
    // While no injector leads, nobody knows.
    services.json(&["status"]).map_or(0, |status| status["graph_version"].as_u64().unwrap_or(0))
}

/// A worker with the program in version `code` does not start, and says why.
fn refused(services: &mut Services, run: &Evolving, code: &str, why: &str) -> Result<()> {
    let worker = services.set_program(0, &run.program(code))?;
    worker.start()?;
    let said = worker.until_failed(Duration::from_secs(60))?;
    ensure!(said.contains(why), "{code}: {said}");
    Ok(())
}

/// How many productions all starts of all workers have said that they released.
fn released(run: &Evolving) -> Result<u64> {
    let mut released = 0;
    for file in std::fs::read_dir(run.output.join("processes"))? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "err") {
            continue;
        }
        for line in
            std::fs::read_to_string(path)?.lines().filter(|line| line.contains("released what waited"))
        {
            let number = line.rsplit_once("released=").map(|(_, rest)| rest).unwrap_or_default();
            let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
            released += digits.parse::<u64>()?;
        }
    }
    Ok(released)
}

#[test]
fn a_pipeline_goes_from_one_version_of_its_code_to_the_next_under_load_and_loses_and_doubles_nothing()
-> Result<()> {
    let directory = tempfile::tempdir()?;
    let run = Evolving::new(directory.path(), 600, &["--every-ms", "25"])?;
    let mut services = Services::start(run.layout(3)?)?;
    for worker in &mut services.workers {
        worker.set_environment(vec![("RUST_LOG".to_owned(), "warn,pelton=info".to_owned())]);
    }
    until("all workers have counted", || Ok(run.lines::<Counted>("counts.jsonl")?.len() > 800))?;
    // Programs with mistakes change nothing.
    services.workers[0].terminate()?;
    refused(&mut services, &run, "forgetful", "the store has state of computation \"audit\"")?;
    refused(&mut services, &run, "onto", "but the store has state of both")?;
    refused(&mut services, &run, "of-nothing", "the store knows neither")?;
    refused(&mut services, &run, "contradicting", "is there, and declared as removed")?;
    ensure!(graph_version(&services) == 1, "nothing has changed yet");
    // The workers are replaced one by one: one in order, one in a crash. Between them the injector in charge dies.
    services.set_program(0, &run.program("second"))?.start()?;
    until("the graph has grown", || Ok(graph_version(&services) == 2))?;
    services.set_program(1, &run.program("second"))?;
    services.workers[1].terminate()?;
    services.workers[1].start()?;
    let leader = services.leader().expect("an injector leads");
    services.injectors[leader].kill()?;
    services.injectors[leader].start()?;
    services.workers[2].kill()?;
    // What watches over worker 2 starts the old program again.
    services.workers[2].start()?;
    let said = services.workers[2].until_failed(Duration::from_secs(60))?;
    ensure!(said.contains("this program's graph was replaced, and the store has version 2"), "{said}");
    services.set_program(2, &run.program("second"))?.start()?;
    services.until_done(PATIENCE)?;
    ensure!(graph_version(&services) == 2, "no old program has taken it back");
    // Going back on purpose is one more change.
    services.workers[0].terminate()?;
    services.set_program(0, &run.program("back"))?.start()?;
    until("the graph has gone back", || Ok(graph_version(&services) == 3))?;
    services.stop()?;
    run.judge_counts(KEYS)?;
    let begins = run.judge_mirrored(KEYS)?;
    println!("the new consumer begins at {begins:?}");
    ensure!(begins.iter().all(|from| *from > 0), "it has records of before it was there: {begins:?}");
    ensure!(begins.iter().all(|from| *from < run.numbers), "it has nothing of some keys: {begins:?}");
    let released = released(&run)?;
    println!("{released} productions were released that waited for what is removed");
    ensure!(released > 0, "audit was slow, so something waited for it");
    Ok(())
}

#[test]
fn a_new_producer_of_a_stream_loses_nothing_to_consumers_that_do_not_know_it_yet() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let run = Evolving::new(directory.path(), 400, &["--every-ms", "25", "--audit-ms", "1"])?;
    let mut services = Services::start(run.layout(3)?)?;
    until("all workers have counted", || Ok(run.lines::<Counted>("counts.jsonl")?.len() > 800))?;
    services.set_program(0, &run.program("joined"))?;
    services.workers[0].terminate()?;
    services.workers[0].start()?;
    // Two workers of the old program go on, and send what their sources have.
    until("the new source is counted", || {
        let counted = run.lines::<Counted>("counts.jsonl")?;
        Ok(counted.iter().filter(|counted| counted.key.starts_with("extra")).count() > 400)
    })?;
    for at in [1, 2] {
        services.set_program(at, &run.program("joined"))?;
        services.workers[at].terminate()?;
        services.workers[at].start()?;
    }
    services.until_done(PATIENCE)?;
    ensure!(graph_version(&services) == 2);
    services.stop()?;
    // The new source has four keys.
    run.judge_counts(KEYS + 4)
}

/// How many intervals counting has, and how many workers have some of them.
fn spread(services: &Services) -> (usize, usize) {
    let Ok(intervals) = services.json(&["intervals", "count"]) else { return (0, 0) };
    let intervals = intervals.as_array().cloned().unwrap_or_default();
    let running = intervals.iter().filter(|interval| interval["running"] == true);
    let workers: BTreeSet<_> = running.map(|interval| interval["worker"].to_string()).collect();
    (intervals.len(), workers.len())
}

#[test]
fn hot_intervals_are_split_and_moved_and_cold_ones_merged_while_records_flow_and_processes_die() -> Result<()>
{
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("log");
    let slow = ["--every-ms", "20", "--slow-from", "500", "--count-us", "1000", "--audit-ms", "0", "--log"];
    let run =
        Evolving::new(directory.path(), 620, &[slow.as_slice(), &[&log.display().to_string()]].concat())?;
    let options = "--hot-busy-permille 300 --reshape-rounds 2 --reshape-every-s 1 --intervals-min 2";
    let layout = run.layout(3)?;
    let injector_options = options.split(' ').map(str::to_owned).collect();
    let mut services = Services::start(Layout { injector_options, ..layout })?;
    let mut most = 0;
    until("hot intervals are split and moved", || {
        let (intervals, workers) = spread(&services);
        most = most.max(intervals);
        Ok(intervals >= 4 && workers == 3)
    })?;
    let pauses = run.longest_pauses_ms(&log)?;
    println!("each key's longest pause until all was spread, of {most} intervals, in ms: {pauses:?}");
    services.workers[1].kill()?;
    services.workers[1].start()?;
    let leader = services.leader().expect("an injector leads");
    services.injectors[leader].kill()?;
    services.injectors[leader].start()?;
    until("cold intervals are merged", || {
        let (intervals, _) = spread(&services);
        most = most.max(intervals);
        Ok((1..most).contains(&intervals) && intervals <= 3)
    })?;
    services.until_done(PATIENCE)?;
    services.stop()?;
    println!("each key's longest pause in all, in ms: {:?}", run.longest_pauses_ms(&log)?);
    run.judge_counts(KEYS)
}
