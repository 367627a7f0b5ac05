//! Runs of the program `evolving`, a pipeline that changes while it runs, and their judgement.

use crate::flight_runs::program;
use crate::services::{Layout, Programs};
use anyhow::{Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A line of `counts.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Whose.
    pub key: String,
    /// The number that was counted.
    pub number: u64,
    /// How many there were with it.
    pub count: u64,
}

/// A line of `mirrored.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirrored {
    /// Whose.
    pub key: String,
    /// What it was sent.
    pub number: u64,
}

/// A run of the program.
#[derive(Clone, Debug)]
pub struct Evolving {
    binary: PathBuf,
    /// Where its files go.
    pub output: PathBuf,
    /// How many numbers each key gets.
    pub numbers: u64,
    /// More arguments.
    pub more: Vec<String>,
}

impl Evolving {
    /// A run in `directory` with `numbers` numbers for each key.
    ///
    /// # Errors
    /// Where the program cannot be built.
    pub fn new(directory: &Path, numbers: u64, more: &[&str]) -> Result<Self> {
        let binary = match std::env::var_os("PELTON_PROGRAMS") {
            Some(programs) => Path::new(&programs).join("evolving"),
            None => program("evolving", &["--bin", "evolving"])?,
        };
        let more = more.iter().map(|word| (*word).to_owned()).collect();
        Ok(Self { binary, output: directory.to_owned(), numbers, more })
    }

    /// The program in one version, with its arguments up to the command.
    #[must_use]
    pub fn program(&self, code: &str) -> Vec<String> {
        let path = |path: &Path| path.display().to_string();
        let numbers = self.numbers.to_string();
        let own =
            [&path(&self.binary), "--code", code, "--output", &path(&self.output), "--numbers", &numbers];
        own.into_iter().map(str::to_owned).chain(self.more.iter().cloned()).collect()
    }

    /// Its first version as services, with two injectors and so many workers.
    ///
    /// # Errors
    /// Where the services' programs cannot be built.
    pub fn layout(&self, workers: usize) -> Result<Layout> {
        let directory = self.output.join("processes");
        let layout = Layout::new(Programs::built()?, "evolving", self.program("first"), directory, workers);
        Ok(layout.with_short_leases())
    }

    /// The whole lines of one of its files by now, none where there is no such file.
    ///
    /// # Errors
    /// Where a line is none.
    pub fn lines<T: DeserializeOwned>(&self, file: &str) -> Result<Vec<T>> {
        let text = std::fs::read_to_string(self.output.join(file)).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// For each key the longest time between two of its counts, in milliseconds, as its log has it by now.
    ///
    /// # Errors
    /// Where there is no log.
    pub fn longest_pauses_ms(&self, log: &Path) -> Result<Vec<i64>> {
        let mut times: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for line in std::fs::read_to_string(log)?.lines() {
            let mut words = line.split(' ');
            let (key, at_us) = (words.next().unwrap_or_default(), words.nth(1));
            // The last line may be on its way.
            if let Some(at_us) = at_us.and_then(|at_us| at_us.parse().ok()) {
                times.entry(key.to_owned()).or_default().push(at_us);
            }
        }
        let longest = |mut times: Vec<i64>| {
            times.sort_unstable();
            let pauses = times.windows(2).filter_map(|pair| Some(pair.get(1)? - pair.first()?));
            pauses.max().unwrap_or(0) / 1000
        };
        let mut longest: Vec<i64> = times.into_values().map(longest).collect();
        longest.sort_unstable();
        Ok(longest)
    }

    /// Every key has counted every number once, in order, and its count has never begun anew.
    ///
    /// # Errors
    /// Where that is not so.
    pub fn judge_counts(&self, keys: usize) -> Result<()> {
        let mut of_keys: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
        for Counted { key, number, count } in self.lines("counts.jsonl")? {
            of_keys.entry(key).or_default().push((number, count));
        }
        ensure!(of_keys.len() == keys, "{} keys of {keys} were counted", of_keys.len());
        let expected: Vec<(u64, u64)> = (0..self.numbers).map(|number| (number, number + 1)).collect();
        for (key, counted) in of_keys {
            ensure!(counted == expected, "{key}: {counted:?}");
        }
        Ok(())
    }

    /// Every key has mirrored every number from some number on, once, in order. Returns where each begins.
    ///
    /// # Errors
    /// Where that is not so.
    pub fn judge_mirrored(&self, keys: usize) -> Result<Vec<u64>> {
        let mut of_keys: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for Mirrored { key, number } in self.lines("mirrored.jsonl")? {
            of_keys.entry(key).or_default().push(number);
        }
        ensure!(of_keys.len() == keys, "{} keys of {keys} were mirrored", of_keys.len());
        let mut begins = Vec::new();
        for (key, mirrored) in of_keys {
            let from = mirrored.first().copied().unwrap_or(self.numbers);
            ensure!(mirrored == (from..self.numbers).collect::<Vec<_>>(), "{key}: {mirrored:?}");
            begins.push(from);
        }
        Ok(begins)
    }
}
