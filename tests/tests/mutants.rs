//! Every deliberate bug of the engine is caught by the simulation: a suite that catches nothing proves nothing.
//!
//! The table, with the words: `cargo run --release -p pelton-tests --features mutants --bin mutants`.

use pelton_domain::mutants::Mutant;
use pelton_tests::mutants::{grounds, hunt_all};

/// Seeds for each: the slowest to be caught needed 28.
const SEEDS_MAX: u64 = 40;

/// What the suite does not catch: a new owner hears what is announced before it makes its first call, so what it took
/// from the fence shows in few runs.
const NOT_CAUGHT_YET: [Mutant; 1] = [Mutant::WatermarkOfFenceIgnored];

#[test]
fn every_deliberate_bug_but_those_known_to_be_missed_is_caught() {
    let hunted: Vec<Mutant> = Mutant::ALL.into_iter().filter(|m| !NOT_CAUGHT_YET.contains(m)).collect();
    let found = hunt_all(&hunted, &grounds(), 0..SEEDS_MAX);
    assert_eq!(found.len(), hunted.len());
    let missed: Vec<Mutant> =
        found.into_iter().filter(|(_, caught)| caught.is_none()).map(|(m, _)| m).collect();
    assert!(missed.is_empty(), "not caught within {SEEDS_MAX} seeds: {missed:?}");
}
