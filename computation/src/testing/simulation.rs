//! A whole cluster in one thread and in virtual time: injectors, workers, store, clients, and everything that can
//! happen to them, from one seed.
//!
//! Everything that runs is what runs in production: the services over gRPC, the engine, the store's client. Handed in
//! are only the runtime, whose time stands still until it is given some, the network, the clocks and the dice. So
//! one seed gives one history, twice the same; and hours of trouble take seconds.
//!
//! ```
//! use pelton::testing::simulation::Simulation;
//! # use pelton::{Computation, Context, Declaration, EventTime, Failure, Fired, Input, Pipeline, Step, Stream, Value};
//! # static NUMBERS: Stream<u64> = Stream::new("numbers");
//! # static SUM: Value<u64> = Value::new("sum");
//! # #[derive(Clone)]
//! # struct Numbers;
//! # impl Computation for Numbers {
//! #     type Input = ();
//! #     fn declare(&self, declaration: &mut Declaration) { declaration.output(&NUMBERS); }
//! #     async fn process(&mut self, _: &mut Context<'_>, _: Input<()>) -> Result<(), Failure> { Ok(()) }
//! #     async fn on_timer(&mut self, cx: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
//! #         (0..100).try_for_each(|n| cx.emit(&NUMBERS, n % 7, EventTime::from_secs(n as i64), &n))
//! #     }
//! # }
//! # #[derive(Clone)]
//! # struct Sum;
//! # impl Computation for Sum {
//! #     type Input = u64;
//! #     fn declare(&self, declaration: &mut Declaration) { declaration.cell(&SUM); }
//! #     async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
//! #         let sum = SUM.get(cx).await?.unwrap_or(0) + input.value;
//! #         SUM.set(cx, &sum)
//! #     }
//! # }
//! # fn my_pipeline() -> Pipeline {
//! #     Pipeline::builder("sums")
//! #         .with(Step::new("numbers", Numbers).starts_with_key("numbers"))
//! #         .with(Step::new("sum", Sum).reads(&NUMBERS))
//! #         .build()
//! #         .unwrap()
//! # }
//! Simulation::new(my_pipeline).check(0..20).unwrap();
//! ```
//!
//! A seed that fails is in the message; `.check([that])` shows it again. For a replay to the letter, build with
//! `--cfg tokio_unstable`: without it tokio draws a few decisions of its own.
//!
//! | module | noun |
//! |---|---|
//! | `plan` | what one seed does |
//! | `cluster` | the processes, and what is done to them |
//! | `process` | one process: a runtime of its own |
//! | `roles` | what the processes do |
//! | `network` | connections in virtual time |
//! | `store` | crashes in the middle of a commit |
//! | `time` | virtual time, and clocks that are wrong |
//! | `history` | what happened |
//! | `coverage` | which faults there were |
//! | `image` | what the pipeline has come to |

mod cluster;
mod coverage;
mod history;
mod image;
mod network;
mod plan;
mod process;
mod roles;
mod store;
mod time;

pub use coverage::Coverage;
pub use history::{Event, History};
pub use image::{CellAddress, Difference, Entry, Image};
pub use plan::FaultKind;

use crate::engine::interval::IntervalOptions;
use crate::pipeline::Pipeline;
use bytes::Bytes;
use cluster::{Client, Cluster, MakePipeline};
use plan::Plan;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How long a cluster may take, in virtual time, once nothing is done to it any more.
const PATIENCE: Duration = Duration::from_secs(240);

/// A pipeline, and what is said to it, to be run in simulated clusters.
#[derive(Clone)]
pub struct Simulation {
    make: MakePipeline,
    clients: Vec<Client>,
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Simulation of {}", (self.make)().name())
    }
}

/// A run that ended well.
#[derive(Debug)]
pub struct Outcome {
    /// What the pipeline has come to.
    pub image: Image,
    /// All that the store holds, by key.
    pub rows: Vec<(Bytes, Bytes)>,
    /// What happened.
    pub history: History,
    /// Which faults there were, and how often.
    pub faults: BTreeMap<FaultKind, u64>,
    /// How long it took in virtual time.
    pub took: Duration,
}

/// A run that did not.
#[derive(Debug, thiserror::Error)]
#[error("seed {seed}, after {took:?} of virtual time: {reason}")]
pub struct Broken {
    /// The seed that shows it again.
    pub seed: u64,
    /// What is wrong.
    pub reason: String,
    /// Until when it went.
    pub took: Duration,
    /// What had happened.
    pub history: History,
}

impl Simulation {
    /// Of the pipeline that `make` makes, each time the same.
    pub fn new(make: impl Fn() -> Pipeline + Send + Sync + 'static) -> Self {
        Self { make: Arc::new(make), clients: Vec::new() }
    }

    /// Runs it in the cluster, and through the trouble, that `seed` stands for.
    ///
    /// # Errors
    /// [`Broken`], where it does not end.
    pub fn run(&self, seed: u64) -> Result<Outcome, Box<Broken>> {
        self.run_plan(seed, Plan::of(seed))
    }

    /// The limits of intervals under `seed`.
    #[must_use]
    pub fn limits(seed: u64) -> IntervalOptions {
        Plan::of(seed).interval
    }

    /// Runs it in a cluster of one worker to which nothing happens.
    ///
    /// # Errors
    /// [`Broken`], where it does not end.
    pub fn sequential(&self) -> Result<Outcome, Box<Broken>> {
        self.run_plan(0, Plan::calm())
    }

    /// Runs it under every seed, and compares what it comes to with a run to which nothing happens (I12).
    ///
    /// # Errors
    /// [`Broken`], for the first seed that fails: where it does not end, or ends otherwise. The message names the
    /// computation, the key and the cell, and what to look for in its code.
    pub fn check(&self, seeds: impl IntoIterator<Item = u64>) -> Result<Coverage, Box<Broken>> {
        let expected = self.sequential()?.image;
        let mut coverage = Coverage::default();
        for seed in seeds {
            let outcome = self.run(seed)?;
            let differences = expected.differences(&outcome.image);
            if !differences.is_empty() {
                let Outcome { history, took, .. } = outcome;
                return Err(Box::new(Broken { seed, reason: in_words(&differences), took, history }));
            }
            coverage.add(&outcome.faults);
        }
        Ok(coverage)
    }

    fn run_plan(&self, seed: u64, plan: Plan) -> Result<Outcome, Box<Broken>> {
        let mut cluster = Cluster::new(seed, plan, self.make.clone(), self.clients.clone());
        let ended = go(&mut cluster);
        let (took, history) = (cluster.now, cluster.history.clone());
        let rows = cluster.memory.dump();
        let image = ended.and_then(|()| Image::read((self.make)().name(), &rows));
        match image {
            Ok(image) => Ok(Outcome { image, rows, history, faults: cluster.counted(), took }),
            Err(reason) => Err(Box::new(Broken { seed, reason, took, history })),
        }
    }
}

/// Differences that a message names.
const NAMED_MAX: usize = 5;

fn in_words(differences: &[Difference]) -> String {
    let named: Vec<String> = differences.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let more = match differences.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!("\nand {more} more"),
    };
    format!(
        "the answer is not that of an undisturbed run (I12):\n{}{more}\nWhere the code is deterministic this is a bug \
         of the engine. Look first in these computations, and in those before them, for a result that depends on \
         something else than the record, the state and the timers: a clock, random numbers, the order of a HashMap, a \
         field of the computation that is no cache, the order in which records of different keys come",
        named.join("\n"),
    )
}

/// Until all is done.
fn go(cluster: &mut Cluster) -> Result<(), String> {
    let trouble = cluster.plan().trouble;
    let (mut next, mut peace) = (cluster.next_act(), false);
    while !cluster.is_done() {
        cluster.turn().map_err(|error| error.to_string())?;
        if let Some(broken) = cluster.broken.take() {
            return Err(broken);
        }
        if !peace && cluster.now >= trouble {
            peace = true;
            cluster.peace();
        }
        if !peace && cluster.now >= next {
            cluster.act();
            next = cluster.next_act();
        }
        if cluster.now > trouble + PATIENCE {
            return Err(format!("it does not end (I11): {}", cluster.words()));
        }
    }
    Ok(())
}
