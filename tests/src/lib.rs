//! Crash, conformance and end-to-end suites of Pelton. The suites are in `tests/`; here is what they share.

pub mod evolving;
pub mod fdb;
pub mod flight_runs;
pub mod graphs;
pub mod independent;
pub mod mutants;
pub mod network;
pub mod process;
pub mod services;
pub mod simulated;
pub mod trigger_cases;
pub mod workload;

/// The seed of a random test: `PELTON_SEED` where it is set, else a new one. It is printed, so that a failure
/// can be run again.
///
/// # Panics
/// Where `PELTON_SEED` is no number.
#[must_use]
#[expect(clippy::expect_used, reason = "a wrong seed is the caller's mistake")]
pub fn seed() -> u64 {
    let seed = match std::env::var("PELTON_SEED") {
        Ok(text) => text.parse().expect("PELTON_SEED is a number"),
        Err(_) => std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0u8),
    };
    println!("PELTON_SEED={seed}");
    seed
}
