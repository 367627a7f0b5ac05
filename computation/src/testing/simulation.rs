//! A whole cluster in one thread and in virtual time: injectors, workers, store, clients, and everything that can
//! happen to them, from one seed.
//!
//! Everything that runs is what runs in production: the services over gRPC, the engine, the store's client. Handed in
//! are only the runtime, whose time stands still until it is given some, the network, the clocks and the dice. So
//! one seed gives one history, twice the same; and hours of trouble take seconds.
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
//! | `image` | what the pipeline has come to |

mod cluster;
mod history;
mod image;
mod network;
mod plan;
mod process;
mod roles;
mod store;
mod time;

pub use history::{Event, History};
pub use image::{CellAddress, Difference, Entry, Image};
pub use plan::FaultKind;

use crate::pipeline::Pipeline;
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
    /// [`Broken`].
    pub fn run(&self, seed: u64) -> Result<Outcome, Broken> {
        self.run_plan(seed, Plan::of(seed))
    }

    /// Runs it in a cluster of one worker to which nothing happens.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn sequential(&self) -> Result<Outcome, Broken> {
        self.run_plan(0, Plan::calm())
    }

    fn run_plan(&self, seed: u64, plan: Plan) -> Result<Outcome, Broken> {
        let mut cluster = Cluster::new(seed, plan, self.make.clone(), self.clients.clone());
        let ended = go(&mut cluster);
        let (took, history) = (cluster.now, cluster.history.clone());
        let image = ended.and_then(|()| Image::read((self.make)().name(), &cluster.memory.dump()));
        match image {
            Ok(image) => Ok(Outcome { image, history, faults: cluster.counted(), took }),
            Err(reason) => Err(Broken { seed, reason, took, history }),
        }
    }
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
