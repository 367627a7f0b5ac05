//! Hunts for the deliberate bugs of the engine, and prints the table of them: caught after how many seeds, where, by
//! which check.
//!
//! `mutants [SEEDS] [BUG]`: each under at most so many seeds, 2,000 where it is not said; one bug only where it is
//! named. Ends with 1 where one is not caught. Needs `--features mutants`.

#![allow(clippy::print_stdout, reason = "a program")]

use anyhow::{Context, Result, bail};
use pelton_domain::mutants::{Mutant, THERE_ARE};
use pelton_tests::mutants::{grounds, hunt_all};

/// Characters of the words of a check.
const WORDS_MAX: usize = 140;

fn main() -> Result<()> {
    if !THERE_ARE {
        bail!(
            "this program is built without the bugs: cargo run -p pelton-tests --features mutants --bin mutants"
        );
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let seeds = match words.first() {
        Some(word) => {
            word.parse().with_context(|| format!("{word:?} is no number of seeds: mutants [SEEDS] [BUG]"))?
        }
        None => 2_000,
    };
    let named = |mutant: &Mutant| words.get(1).is_none_or(|word| *word == format!("{mutant:?}"));
    let mutants: Vec<Mutant> = Mutant::ALL.into_iter().filter(named).collect();
    if mutants.is_empty() {
        bail!("there is no bug {:?}", words.get(1));
    }
    println!("| bug | seeds | workload | caught by | in words |\n|---|---|---|---|---|");
    let mut missed = Vec::new();
    for (mutant, caught) in hunt_all(&mutants, &grounds(), 0..seeds) {
        let Some(caught) = caught else {
            println!("| {mutant:?} | - | - | nothing within {seeds} seeds | |");
            missed.push(mutant);
            continue;
        };
        let words: String = caught.words.chars().take(WORDS_MAX).collect();
        let words = words.replace('|', "\\|");
        println!("| {mutant:?} | {} | {} | {} | {words} |", caught.seeds, caught.workload, caught.check);
    }
    if !missed.is_empty() {
        bail!("not caught: {missed:?}");
    }
    Ok(())
}
