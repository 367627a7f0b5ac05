//! Whole clusters in virtual time (all invariants; I12 above all).
#![allow(clippy::unwrap_used, reason = "tests")]

use pelton::testing::simulation::Simulation;
use pelton_tests::workload::{Collect, counting};

fn counting_simulation() -> Simulation {
    Simulation::new(|| counting(300, 7, 5, Collect::default()))
}

#[test]
fn a_seed_gives_one_history() {
    let simulation = counting_simulation();
    let calm = simulation.sequential().unwrap();
    println!("calm: {:?} {:x} {}", calm.took, calm.history.digest(), calm.history.events().len());
    let from: u64 = std::env::var("FROM").ok().and_then(|v| v.parse().ok()).unwrap_or(1);
    let to: u64 = std::env::var("TO").ok().and_then(|v| v.parse().ok()).unwrap_or(10);
    for seed in from..=to {
        let began = std::time::Instant::now();
        let first = simulation.run(seed);
        let took = began.elapsed();
        match first {
            Ok(first) => {
                let second = simulation.run(seed).unwrap();
                let same = first.history.digest() == second.history.digest();
                println!(
                    "{seed}: {:?} virtual, {took:?} real, {} events, same {same}, image {} {:?}",
                    first.took,
                    first.history.events().len(),
                    calm.image == first.image,
                    first.faults
                );
                for d in calm.image.differences(&first.image).iter().take(5) {
                    println!("   {d}");
                }
            }
            Err(broken) => println!("{seed}: BROKEN {broken}"),
        }
    }
}
