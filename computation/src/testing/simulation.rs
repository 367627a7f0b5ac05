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
//! | `client` | somebody outside |
//! | `directory` | files |
//! | `process` | one process: a runtime of its own |
//! | `roles` | what the processes do |
//! | `network` | connections in virtual time |
//! | `store` | crashes in the middle of a commit |
//! | `time` | virtual time, and clocks that are wrong |
//! | `history` | what happened |
//! | `coverage` | which faults there were |
//! | `image` | what the pipeline has come to |

mod client;
mod cluster;
mod coverage;
mod directory;
mod history;
mod image;
mod network;
mod plan;
mod process;
mod roles;
mod store;
mod time;

pub use client::{ClientError, ClientMachine};
pub use coverage::Coverage;
pub use history::{Event, History};
pub use image::{CellAddress, Difference, Entry, Image};
pub use plan::FaultKind;

use crate::engine::interval::IntervalOptions;
use crate::pipeline::Pipeline;
use bytes::Bytes;
use client::Client;
use cluster::{Cluster, MakePipeline};
use directory::Directory;
use plan::Plan;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a cluster may take, in virtual time, once nothing is done to it any more.
const PATIENCE: Duration = Duration::from_secs(240);

/// A pipeline, and what is said to it, to be run in simulated clusters.
#[derive(Clone)]
pub struct Simulation {
    make: MakePipeline,
    clients: Vec<Client>,
    directory: Option<Directory>,
    judges: Vec<Judge>,
}

/// Says what is wrong with a run that has ended.
type Judge = Arc<dyn Fn(&Outcome) -> Result<(), String> + Send + Sync>;

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
    /// The files in its directory, by name.
    pub files: BTreeMap<String, Vec<u8>>,
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
        Self { make: Arc::new(make), clients: Vec::new(), directory: None, judges: Vec::new() }
    }

    /// Of a pipeline that has files: `make` is given a directory in `path`, which is empty when a run begins and removed
    /// when it has ended. At one time there is one run in it. What its files hold in the end is a part of the answer, line
    /// by line, in whatever order the lines are.
    ///
    /// Files are read and written as ever: a full disk, and power that fails, are not simulated.
    pub fn in_directory(
        path: impl Into<PathBuf>,
        make: impl Fn(&Path) -> Pipeline + Send + Sync + 'static,
    ) -> Self {
        let directory = Directory::new(&path.into());
        let within = directory.clone();
        Self { directory: Some(directory), ..Self::new(move || make(within.path())) }
    }

    /// Adds somebody outside of the cluster, who appends records to a stream, or subscribes to one, or whatever a client
    /// can: `client` is run in a process of its own, and again from its beginning after each crash. What it keeps on its
    /// machine is there again. The run has not ended before it has, and is broken where it fails.
    ///
    /// ```
    /// use pelton::client::{IngestClient, NewRecord};
    /// use pelton::testing::simulation::{ClientError, ClientMachine, Simulation};
    /// # use pelton::{Computation, Context, Declaration, EventTime, Failure, Ingest, Input, Pipeline, Step, Stream, Value};
    /// # static ORDERS: Stream<u64> = Stream::new("orders");
    /// # static SUM: Value<u64> = Value::new("sum");
    /// # #[derive(Clone)]
    /// # struct Sum;
    /// # impl Computation for Sum {
    /// #     type Input = u64;
    /// #     fn declare(&self, declaration: &mut Declaration) { declaration.cell(&SUM); }
    /// #     async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
    /// #         let sum = SUM.get(cx).await?.unwrap_or(0) + input.value;
    /// #         SUM.set(cx, &sum)
    /// #     }
    /// # }
    /// # fn my_pipeline() -> Pipeline {
    /// #     Pipeline::builder("orders")
    /// #         .with(Ingest::new(&ORDERS))
    /// #         .with(Step::new("sum", Sum).reads(&ORDERS))
    /// #         .build()
    /// #         .unwrap()
    /// # }
    ///
    /// async fn ten_orders(machine: ClientMachine) -> Result<(), ClientError> {
    ///     let mut client = IngestClient::connect(machine.workers(), "orders", "ann")?;
    ///     let appended = machine.kept("appended").map_or(0, |kept| kept[0]);
    ///     for order in appended..10 {
    ///         let (id, value) = (order.to_string().into(), vec![order].into());
    ///         let event_time = Some(EventTime::from_secs(2_000_000_000));
    ///         client.append(vec![NewRecord { id, key: "key".into(), value, event_time }]).await?;
    ///         machine.keep("appended", vec![order + 1]);
    ///     }
    ///     Ok(client.finish().await?)
    /// }
    ///
    /// Simulation::new(my_pipeline).client(ten_orders).check(0..5).unwrap();
    /// ```
    #[must_use]
    pub fn client<F>(mut self, client: impl Fn(ClientMachine) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), ClientError>> + Send + 'static,
    {
        self.clients.push(Arc::new(move |machine| Box::pin(client(machine))));
        self
    }

    /// Has `judge` look at each run that has ended, beside the comparison with an undisturbed one. What it finds wrong
    /// breaks the run.
    #[must_use]
    pub fn judge(mut self, judge: impl Fn(&Outcome) -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.judges.push(Arc::new(judge));
        self
    }

    /// Runs it in the cluster, and through the trouble, that `seed` stands for.
    ///
    /// # Errors
    /// [`Broken`], where it does not end.
    pub fn run(&self, seed: u64) -> Result<Outcome, Box<Broken>> {
        self.run_plan(seed, Plan::of(seed, !self.clients.is_empty()))
    }

    /// The limits of intervals under `seed`.
    #[must_use]
    pub fn limits(seed: u64) -> IntervalOptions {
        Plan::of(seed, false).interval
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
        let ended = self.end(&mut cluster);
        let (took, history) = (cluster.now, cluster.history.clone());
        let broken = |reason| Box::new(Broken { seed, reason, took, history: history.clone() });
        let files = ended.map_err(&broken)?;
        let rows = cluster.memory.dump();
        let mut image = Image::read(&(self.make)(), &rows).map_err(&broken)?;
        image.add_files(&files);
        let (history, faults) = (history.clone(), cluster.counted());
        let outcome = Outcome { image, rows, files, history, faults, took };
        self.judges.iter().try_for_each(|judge| judge(&outcome)).map_err(broken)?;
        Ok(outcome)
    }

    /// Runs it to its end: the files that it has then.
    fn end(&self, cluster: &mut Cluster) -> Result<BTreeMap<String, Vec<u8>>, String> {
        let held = self.directory.as_ref().map(Directory::hold).transpose();
        let held = held.map_err(|error| format!("there is no directory for its files: {error}"))?;
        go(cluster)?;
        cluster.end();
        if let Some(broken) = cluster.broken.take() {
            return Err(broken);
        }
        match held {
            Some(held) => held.files().map_err(|error| format!("its files cannot be read: {error}")),
            None => Ok(BTreeMap::new()),
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
