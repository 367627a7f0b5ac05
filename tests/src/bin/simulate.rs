//! Runs the workloads of the simulation under many seeds, and says which faults there were.
//!
//! `simulate [FROM] [TO] [WORKLOAD]`: every workload under the seeds from FROM to TO, TO left out; one workload only
//! where it is named. `graphs` is a random graph for each seed, judged by the checker from its history; the others are
//! compared with an undisturbed run. Ends with 1 where one fails, and its message names the seed.

#![allow(clippy::print_stdout, reason = "a program")]

use anyhow::{Context, Result, bail};
use pelton::testing::simulation::Coverage;
use pelton_tests::graphs;
use pelton_tests::simulated::workloads;
use std::time::Instant;

/// Seeds between two lines of progress.
const PART: u64 = 100;

#[expect(clippy::disallowed_methods, reason = "how long it took, for people")]
fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, otherwise: u64| match words.get(at) {
        Some(word) => {
            word.parse().with_context(|| format!("{word:?} is no seed: simulate [FROM] [TO] [WORKLOAD]"))
        }
        None => Ok(otherwise),
    };
    let (from, to) = (number(0, 0)?, number(1, 200)?);
    let is_chosen = |name: &str| words.get(2).is_none_or(|word| word == name);
    let chosen: Vec<_> = workloads().into_iter().filter(|(name, _)| is_chosen(name)).collect();
    if chosen.is_empty() && !is_chosen("graphs") {
        bail!("there is no workload {:?}", words.get(2));
    }
    let (began, mut all) = (Instant::now(), Coverage::default());
    for first in (from..to).step_by(usize::try_from(PART)?) {
        for seed in (first..(first + PART).min(to)).filter(|_| is_chosen("graphs")) {
            all.add(&graphs::run(seed)?.faults);
        }
        for (name, simulation) in &chosen {
            let seeds = first..(first + PART).min(to);
            let coverage = simulation.check(seeds).map_err(|broken| anyhow::anyhow!("{name}: {broken}"))?;
            all.merge(&coverage);
        }
        println!("{} runs, {:?}", all.runs, began.elapsed());
    }
    println!(
        "{all}\nno invariant was broken, and every answer is that of an undisturbed run, in {:?}",
        began.elapsed()
    );
    Ok(())
}
