//! Every deliberate bug of the engine is caught by the simulation: a suite that catches nothing proves nothing.
//!
//! The table, with the words: `cargo run --release -p pelton-tests --features mutants --bin mutants`.

use pelton_domain::mutants::Mutant;
use pelton_tests::mutants::{grounds, hunt_all};

/// Seeds for each.
const SEEDS_MAX: u64 = 100;

#[test]
fn every_deliberate_bug_is_caught() {
    let found = hunt_all(&Mutant::ALL, &grounds(), 0..SEEDS_MAX);
    for (mutant, caught) in &found {
        match caught {
            Some(caught) => println!("{mutant:?}: {caught:?}"),
            None => println!("{mutant:?}: NOT CAUGHT"),
        }
    }
    let missed: Vec<Mutant> =
        found.into_iter().filter(|(_, caught)| caught.is_none()).map(|(m, _)| m).collect();
    assert!(missed.is_empty(), "not caught within {SEEDS_MAX} seeds: {missed:?}");
}
