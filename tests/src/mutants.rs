//! The hunt for the deliberate bugs of the engine ([`pelton_domain::mutants`]): each must be caught by the simulation.
//!
//! A bug is caught where the checker finds an invariant broken in the run of a random graph, or where a run of another
//! workload does not end, ends with another answer than the engine without it, or panics. It is no test of the engine,
//! but one of the suite: a bug that nothing catches means a workload or a fault that is missing.

use crate::graphs::{self, What};
use crate::simulated;
use pelton::testing::simulation::{Image, Simulation};
use pelton_checker::Invariant;
use pelton_domain::mutants::{Mutant, with_mutant};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

/// A workload.
#[derive(Debug)]
pub struct Ground {
    name: &'static str,
    judge: Judge,
}

/// How a run of a workload is judged.
#[derive(Debug)]
enum Judge {
    /// By what it comes to without bugs and troubles, which is looked at when it is first needed.
    Answer { simulation: Box<Simulation>, expected: OnceLock<Image> },
    /// A random graph, by its history.
    History,
}

/// How a bug was caught.
#[derive(Clone, Debug)]
pub struct Caught {
    /// How many seeds were tried, this one included.
    pub seeds: u64,
    /// Under which seed.
    pub seed: u64,
    /// In which workload.
    pub workload: &'static str,
    /// By what.
    pub check: Check,
    /// In which words.
    pub words: String,
}

/// What catches a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The checker says that this invariant does not hold.
    Checker(Invariant),
    /// The answer is another than without the bug (I12).
    Answer,
    /// The run does not end (I11).
    End,
    /// A process says that it has a bug.
    Panic,
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Checker(invariant) => write!(f, "checker ({invariant})"),
            Self::Answer => f.write_str("answer (I12)"),
            Self::End => f.write_str("end (I11)"),
            Self::Panic => f.write_str("panic"),
        }
    }
}

/// Random graphs, and every other workload of the simulation.
#[must_use]
pub fn grounds() -> Vec<Ground> {
    let others = simulated::workloads().into_iter().map(|(name, simulation)| {
        let (simulation, expected) = (Box::new(simulation), OnceLock::new());
        Ground { name, judge: Judge::Answer { simulation, expected } }
    });
    std::iter::once(Ground { name: "graphs", judge: Judge::History }).chain(others).collect()
}

impl Ground {
    /// Has the right answer at hand, if it takes one: to be called before there is a bug.
    ///
    /// # Panics
    /// Where it does not end without bugs and troubles.
    fn prepare(&self) {
        if let Judge::Answer { simulation, expected } = &self.judge {
            expected.get_or_init(|| match simulation.sequential() {
                Ok(outcome) => outcome.image,
                Err(broken) => panic!("{}: {broken}", self.name),
            });
        }
    }
}

/// Looks for a run under one of `seeds` that shows the bug, and ends well without it.
///
/// # Panics
/// Where a run fails without it too: that would say nothing. And where a workload does not end without troubles.
#[must_use]
pub fn hunt(mutant: Mutant, grounds: &[Ground], seeds: Range<u64>) -> Option<Caught> {
    // Random graphs come first, and show almost everything: the others are looked at for what they do not.
    let runs = grounds.iter().flat_map(|ground| seeds.clone().map(move |seed| (seed, ground)));
    runs.into_iter().find_map(|(seed, ground)| {
        ground.prepare();
        let (check, words) = with_mutant(mutant, || symptom(ground, seed))?;
        if let Some((_, words)) = symptom(ground, seed) {
            panic!("{}, seed {seed}, fails without any bug: {words}", ground.name);
        }
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(Caught { seeds: seed - seeds.start + 1, seed, workload: ground.name, check, words })
    })
}

/// What is wrong with one run.
fn symptom(ground: &Ground, seed: u64) -> Option<(Check, String)> {
    let run = || match &ground.judge {
        Judge::Answer { simulation, expected } => match simulation.run(seed) {
            Ok(outcome) => {
                let difference = expected.get()?.differences(&outcome.image).into_iter().next()?;
                Some((Check::Answer, difference.to_string()))
            }
            Err(broken) => Some(broken_check(broken.reason)),
        },
        Judge::History => match graphs::run(seed).err()?.wrong {
            What::Violation(violation) => Some((Check::Checker(violation.invariant), violation.to_string())),
            What::Broken(reason) => Some(broken_check(reason)),
            What::Unreadable(error) => panic!("{error}"),
        },
    };
    let panicked = Some((Check::Panic, "the simulation panicked".to_owned()));
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(panicked)
}

fn broken_check(reason: String) -> (Check, String) {
    (if reason.contains("(I11)") { Check::End } else { Check::Panic }, reason)
}

/// Hunts for all of `mutants`, in as many threads as there are processors, and gives them back in their order.
///
/// # Panics
/// As [`hunt`].
#[must_use]
pub fn hunt_all(mutants: &[Mutant], grounds: &[Ground], seeds: Range<u64>) -> Vec<(Mutant, Option<Caught>)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut found = Vec::new();
        while let Some(mutant) = mutants.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            found.push((*mutant, hunt(*mutant, grounds, seeds.clone())));
        }
        found
    };
    let mut found: Vec<(Mutant, Option<Caught>)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    found.sort_by_key(|(mutant, _)| *mutant);
    found
}
