//! The services of one measurement, and what the stages have noted.

use anyhow::{Context, Result};
use pelton::{Clock, WallClock};
use pelton_tests::process::Process;
use pelton_tests::services::{Layout, Programs, Services};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Milliseconds between two records of a key.
pub(crate) const EVERY_MS: u64 = 20;
const KEYS: usize = 16;

/// One record at one stage; times in microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    pub(crate) key: String,
    pub(crate) sent: i64,
    pub(crate) now: i64,
    pub(crate) watermark: i64,
}

/// The services; they end with this value.
pub(crate) struct Bench {
    services: Services,
    directory: TempDir,
}

impl Bench {
    /// Starts a chain of `stages` on workers that host one computation each, or all.
    pub(crate) fn start(programs: &Path, stages: usize, hosted: &[Option<&str>]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let program = words(&[
            &programs.join("chain").display().to_string(),
            "--stages",
            &stages.to_string(),
            "--keys",
            &KEYS.to_string(),
            "--every-ms",
            &EVERY_MS.to_string(),
            "--log",
            &directory.path().join("log").display().to_string(),
        ]);
        let own =
            |hosted: &Option<&str>| hosted.map_or_else(Vec::new, |name| words(&["--computations", name]));
        let place = directory.path().to_owned();
        let services = Services::start(Layout {
            injectors: 1,
            workers: hosted.iter().map(own).collect(),
            ..Layout::new(Programs::of(programs), "chain", program, place, 0)
        })?;
        Ok(Self { services, directory })
    }

    pub(crate) fn store(&self) -> &str {
        self.services.store_address()
    }

    pub(crate) fn now(&self) -> i64 {
        WallClock.now().as_micros()
    }

    /// Waits until every interval runs, `workers` of the workers have some, and all keys pass.
    pub(crate) fn settle(&mut self, workers: usize) -> Result<()> {
        for _ in 0..600 {
            let status = self.services.json(&["status"])?;
            let busy = self.services.json(&["workers"])?;
            let has_some = |worker: &&serde_json::Value| worker.get("intervals") != Some(&0.into());
            let busy = busy.as_array().map_or(0, |all| all.iter().filter(has_some).count());
            let (running, intervals) = (status.get("running"), status.get("intervals"));
            if running == intervals && intervals != Some(&0.into()) && busy >= workers {
                std::thread::sleep(Duration::from_secs(2));
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        anyhow::bail!("the pipeline does not settle: {}", self.services.json(&["intervals"])?)
    }

    /// What a stage has noted so far.
    pub(crate) fn passed(&self, stage: usize) -> Result<Vec<Passed>> {
        let text = std::fs::read_to_string(self.directory.path().join(format!("log.{stage}")))?;
        let read = |line: &str| {
            let mut words = line.split(' ');
            let key = words.next()?.to_owned();
            let mut number = || words.next()?.parse().ok();
            Some(Passed { key, sent: number()?, now: number()?, watermark: number()? })
        };
        // A call may run again after a crash, and notes its record once more.
        Ok(text.lines().filter_map(read).collect())
    }

    fn worker(&mut self, at: usize) -> Result<&mut Process> {
        self.services.workers.get_mut(at).context("there is such a worker")
    }

    pub(crate) fn kill(&mut self, at: usize) -> Result<()> {
        self.worker(at)?.kill()
    }

    pub(crate) fn start_worker(&mut self, at: usize) -> Result<()> {
        self.worker(at)?.start()
    }

    /// Drains a worker, which then ends.
    pub(crate) fn drain(&mut self, at: usize) -> Result<()> {
        self.services.json(&["drain", &format!("worker-{at}")])?;
        self.worker(at)?.until_ended(Duration::from_secs(60))
    }

    /// For each key the longest time between two of its records, at `at` or soon after.
    pub(crate) fn gaps_around(&self, at: i64) -> Result<Vec<i64>> {
        let mut keys: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for passed in self.passed(1)? {
            keys.entry(passed.key).or_default().push(passed.now);
        }
        let gap = |mut times: Vec<i64>| {
            times.sort_unstable();
            let gaps = times.windows(2).filter_map(|pair| match pair {
                [before, after] if *after >= at && *before <= at + 3_000_000 => Some(after - before),
                _ => None,
            });
            gaps.max()
        };
        Ok(keys.into_values().filter_map(gap).collect())
    }
}

/// The `percent`th percentile; 0 where there is nothing.
pub(crate) fn percentile(values: &mut [i64], percent: usize) -> i64 {
    values.sort_unstable();
    let at = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(at).copied().unwrap_or(0)
}
