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
const SEEDS: u64 = 16;

#[test]
fn every_workload_has_the_answer_of_an_undisturbed_run() {
    let seed = std::env::var("PELTON_SEED").ok().map(|seed| seed.parse().unwrap());
    let mut kinds = std::collections::BTreeSet::new();
    // Each has seeds of its own, so that together they see more.
    for (first, (name, simulation)) in (0..).step_by(1000).zip(workloads()) {
        let seeds = seed.map_or(first..first + SEEDS, |seed: u64| seed..seed + 1);
        let coverage = simulation.check(seeds).unwrap_or_else(|broken| panic!("{name}: {broken}"));
        kinds.extend(coverage.kinds.into_keys());
    }
    if seed.is_none() {
        assert_eq!(kinds.len(), pelton::testing::simulation::FaultKind::ALL.len(), "only {kinds:?} came up");
    }
}

/// What found a bug once: the workload and the seed.
const FOUND: [(&str, u64); 2] = [("timers", 95), ("ingested", 52)];

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

/// A computation that panics at the number 30.
#[derive(Clone)]
struct Panics {
    /// In a task of its own, not in the call.
    in_a_task: bool,
}

impl Computation for Panics {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&KEPT);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        let panics = async { panic!("thirty is too much") };
        match (input.value, self.in_a_task) {
            (30, true) => drop(tokio::spawn(panics)),
            (30, false) => panics.await,
            _ => {}
        }
        KEPT.set(cx, &input.value)
    }
}

#[expect(clippy::unwrap_used, reason = "the graph is fixed")]
fn panicking(in_a_task: bool) -> Simulation {
    Simulation::new(move || {
        let numbers = Numbers { total: 60, chunk: 5, keys: 3, pause: Duration::from_millis(50) };
        Pipeline::builder("panicking")
            .with(Step::new("numbers", numbers).starts_with_key("numbers"))
            .with(Step::new("panics", Panics { in_a_task }).reads(&NUMBERS))
            .build()
            .unwrap()
    })
}

#[test]
fn a_panic_that_only_ends_a_task_breaks_the_run_and_is_told_with_the_seed_its_process_and_its_place() {
    let broken = panicking(true).run(7).expect_err("it is seen").to_string();
    for words in ["seed 7,", "process 2", "(Worker) panicked at ", "simulation.rs:", "thirty is too much"] {
        assert!(broken.contains(words), "no {words:?} in {broken}");
    }
}

#[test]
fn i10_a_panic_of_user_code_in_a_call_is_a_failure_of_that_call_and_breaks_no_run() {
    let coverage = panicking(false).check(0..5).unwrap();
    assert_eq!(coverage.runs, 5);
    let image = panicking(false).sequential().unwrap().image;
    let letters: Vec<_> = image.0.iter().filter(|(at, _)| at.cell.is_empty()).collect();
    assert_eq!(letters.len(), 1, "the record is a dead letter: {letters:?}");
}

#[test]
fn a_client_that_gives_up_breaks_the_run() {
    let simulation = panicking(false).client(|_| async { Err("there is nothing to say".into()) });
    let broken = simulation.sequential().expect_err("it is seen").to_string();
    assert!(broken.contains("Client(0)") && broken.contains("there is nothing to say"), "{broken}");
}

#[test]
fn what_a_client_keeps_is_there_after_each_of_its_crashes() {
    let crashes = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = crashes.clone();
    let simulation = panicking(false).client(move |here| {
        let seen = seen.clone();
        async move {
            let kept = here.kept("steps").map_or(0, |kept| kept[0]);
            for step in kept..20 {
                if here.kept("steps").map_or(0, |kept| kept[0]) != step {
                    return Err("what was kept is gone".into());
                }
                here.keep("steps", vec![step + 1]);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            if kept == 0 && here.crashes() > 1 {
                return Err("it begins anew".into());
            }
            seen.fetch_add(here.crashes(), std::sync::atomic::Ordering::Relaxed);
            Ok(())
        }
    });
    simulation.check(0..10).unwrap();
    assert!(crashes.load(std::sync::atomic::Ordering::Relaxed) > 0, "none was ever killed");
}
