//! Whole clusters in virtual time: every workload ends, and with the answer of an undisturbed run (all invariants,
//! I12 above all).
//!
//! `PELTON_SEED=N` runs that seed only. Many more: `cargo run --release -p pelton-tests --bin simulate 0 10000`.

use pelton::testing::simulation::Simulation;
use pelton::{Computation, Context, Declaration, Failure, Input, Pipeline, Step, Value};
use pelton_tests::graphs;
use pelton_tests::simulated::workloads;
use pelton_tests::workload::{NUMBERS, Numbers};
use std::collections::HashMap;
use std::time::Duration;

/// Seeds of each workload.
const SEEDS: u64 = 40;

#[test]
fn every_workload_has_the_answer_of_an_undisturbed_run() {
    let seed = std::env::var("PELTON_SEED").ok().map(|seed| seed.parse().unwrap());
    let mut kinds = std::collections::BTreeSet::new();
    for (name, simulation) in workloads() {
        let seeds = seed.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
        let coverage = simulation.check(seeds).unwrap_or_else(|broken| panic!("{name}: {broken}"));
        kinds.extend(coverage.kinds.into_keys());
    }
    if seed.is_none() {
        assert_eq!(kinds.len(), pelton::testing::simulation::FaultKind::ALL.len(), "only {kinds:?} came up");
    }
}

/// What found a bug once: the workload and the seed.
const FOUND: [(&str, u64); 1] = [("timers", 95)];

#[test]
fn what_found_a_bug_once_finds_none() {
    for (name, simulation) in workloads() {
        for (_, seed) in FOUND.iter().filter(|(found, _)| *found == name) {
            simulation.check([*seed]).unwrap_or_else(|broken| panic!("{name}: {broken}"));
        }
    }
}

/// Without the flag tokio draws some decisions of its own.
#[cfg(tokio_unstable)]
#[test]
fn a_seed_gives_one_history_bit_for_bit() {
    for (name, simulation) in workloads() {
        for seed in 100..106 {
            let [first, second] = [0, 1].map(|_| simulation.run(seed).unwrap().history);
            assert_eq!(first.digest(), second.digest(), "{name}, seed {seed}");
        }
    }
    for seed in 100..106 {
        let [first, second] = [0, 1].map(|_| graphs::run(seed).unwrap().history);
        assert_eq!(first.digest(), second.digest(), "graph, seed {seed}");
    }
}

static KEPT: Value<u64> = Value::new("kept");

/// What is wrong with a computation.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Clock,
    Field,
    Unordered,
}

/// A computation whose results depend on more than they may.
#[derive(Clone)]
struct Careless {
    wrong: Wrong,
    calls: u64,
}

impl Computation for Careless {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&KEPT);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        self.calls += 1;
        let kept = match self.wrong {
            Wrong::Clock => cx.now().as_micros().unsigned_abs() / 1_000_000,
            Wrong::Field => self.calls,
            Wrong::Unordered => {
                let map: HashMap<u64, ()> = (0..50).map(|n| (n + input.value, ())).collect();
                map.into_keys().next().unwrap_or_default()
            }
        };
        KEPT.set(cx, &kept)
    }
}

#[expect(clippy::unwrap_used, reason = "the graph is fixed")]
fn careless(wrong: Wrong) -> Pipeline {
    let numbers = Numbers { total: 60, chunk: 5, keys: 3, pause: Duration::from_millis(100) };
    Pipeline::builder("careless")
        .with(Step::new("numbers", numbers).starts_with_key("numbers"))
        .with(Step::new("careless", Careless { wrong, calls: 0 }).reads(&NUMBERS))
        .build()
        .unwrap()
}

#[test]
fn code_that_depends_on_a_clock_a_field_or_the_order_of_a_map_is_caught_and_told_what_to_look_at() {
    for wrong in [Wrong::Clock, Wrong::Field, Wrong::Unordered] {
        let broken =
            Simulation::new(move || careless(wrong)).check(0..30).expect_err("it is caught").to_string();
        for words in
            ["seed ", "careless, key", "cell b\"kept\"", "a clock", "HashMap", "field of the computation"]
        {
            assert!(broken.contains(words), "{wrong:?}: no {words:?} in {broken}");
        }
    }
}
