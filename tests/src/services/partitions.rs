//! Cuts in the network between running services, one after the other, until the pipeline is done.

use super::Services;
use crate::network::{Network, Node};
use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The services in the network, by what they are.
#[derive(Clone, Debug)]
pub struct Nodes {
    /// The state store.
    pub statestore: Node,
    /// The injectors.
    pub injectors: Vec<Node>,
    /// The workers.
    pub workers: Vec<Node>,
}

/// What a cut does. The worker, and the other one, are random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// A worker reaches nobody, and nobody it.
    Off,
    /// A worker reaches all but the store.
    NoStore,
    /// A worker reaches all but the injectors.
    NoInjector,
    /// A worker reaches all but the other workers.
    NoPeers,
    /// What is sent to a worker is lost; what it sends arrives.
    Deaf,
    /// What a worker sends is lost; what is sent to it arrives.
    Mute,
    /// What one worker sends to another is lost; the way back is good.
    OneWay,
    /// The injector that leads reaches nobody.
    Leader,
    /// The injector that leads reaches all but the store.
    LeaderNoStore,
}

impl Cut {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Off,
        Self::NoStore,
        Self::NoInjector,
        Self::NoPeers,
        Self::Deaf,
        Self::Mute,
        Self::OneWay,
        Self::Leader,
        Self::LeaderNoStore,
    ];
}

/// How the network is disturbed.
#[derive(Clone, Copy, Debug)]
pub struct Partitions {
    /// Where the random choices come from.
    pub seed: u64,
    /// How long a cut lasts: longer than every lease.
    pub cut: Duration,
    /// How long the network is whole after it.
    pub whole: Duration,
    /// After so long nothing more is cut.
    pub disturbed: Duration,
    /// It must be done after so long.
    pub within: Duration,
}

/// How often each cut was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made(BTreeMap<Cut, u32>);

impl Made {
    /// How many in all.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.values().sum()
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cuts:", self.count())?;
        self.0.iter().try_for_each(|(cut, count)| write!(f, " {cut:?} {count}"))
    }
}

/// How finely its moments are chosen.
const STEP: Duration = Duration::from_millis(100);

impl Partitions {
    /// Cuts the network of `services` again and again, and mends it, until the pipeline is done. Every kind comes before
    /// any comes again. `progress` hears of what is done.
    ///
    /// # Errors
    /// Where a process ends by itself, the network cannot be changed, or it is not done in time.
    pub fn run(
        self,
        services: &mut Services,
        network: &Network,
        nodes: &Nodes,
        mut progress: impl FnMut(&str),
    ) -> Result<Made> {
        let mut random = StdRng::seed_from_u64(self.seed);
        let (mut made, mut elapsed, mut left) = (Made::default(), Duration::ZERO, Vec::new());
        while elapsed < self.within {
            elapsed += wait(self.whole);
            if services.is_done_now() {
                return Ok(made);
            }
            services.ensure_running()?;
            if elapsed >= self.disturbed {
                elapsed += wait(Duration::from_secs(1));
                continue;
            }
            if left.is_empty() {
                left = Cut::ALL.to_vec();
            }
            let cut = left.swap_remove(random.random_range(0..left.len()));
            let Some((what, ways)) = ways(cut, nodes, services.leader(), &mut random) else { continue };
            progress(&what);
            network.cut(&ways)?;
            elapsed += wait(self.cut);
            network.mend()?;
            *made.0.entry(cut).or_default() += 1;
        }
        ensure!(services.is_done_now(), "it is not done after {:?}; {made}", self.within);
        Ok(made)
    }
}

fn wait(time: Duration) -> Duration {
    std::thread::sleep(time.max(STEP));
    time.max(STEP)
}

/// A direction in which everything is lost.
pub type Way = (Node, Node);

/// What a cut is in words, and the ways that it takes; `None` where no injector leads that it could take.
fn ways(cut: Cut, nodes: &Nodes, leader: Option<usize>, random: &mut StdRng) -> Option<(String, Vec<Way>)> {
    let worker = nodes.workers.choose(random)?.clone();
    let peers: Vec<Node> = nodes.workers.iter().filter(|other| **other != worker).cloned().collect();
    let services = || std::iter::once(&nodes.statestore).chain(&nodes.injectors).cloned();
    let everybody = || services().chain(nodes.workers.iter().cloned());
    let to = |from: &Node, all: Vec<Node>| -> Vec<Way> {
        all.into_iter().filter(|to| to != from).map(|to| (from.clone(), to)).collect()
    };
    let both = |one: &Node, all: Vec<Node>| -> Vec<Way> {
        let there = to(one, all);
        let back: Vec<Way> = there.iter().map(|(from, to)| (to.clone(), from.clone())).collect();
        [there, back].concat()
    };
    let back = |ways: Vec<Way>| ways.into_iter().map(|(from, to)| (to, from)).collect::<Vec<Way>>();
    let leads = || leader.and_then(|at| nodes.injectors.get(at)).cloned();
    let (who, ways) = match cut {
        Cut::Off => (worker.clone(), both(&worker, everybody().collect())),
        Cut::NoStore => (worker.clone(), both(&worker, vec![nodes.statestore.clone()])),
        Cut::NoInjector => (worker.clone(), both(&worker, nodes.injectors.clone())),
        Cut::NoPeers => (worker.clone(), both(&worker, peers)),
        Cut::Deaf => (worker.clone(), back(to(&worker, everybody().collect()))),
        Cut::Mute => (worker.clone(), to(&worker, everybody().collect())),
        Cut::OneWay => (worker.clone(), to(&worker, vec![peers.choose(random)?.clone()])),
        Cut::Leader => {
            let leader = leads()?;
            (leader.clone(), both(&leader, everybody().collect()))
        }
        Cut::LeaderNoStore => {
            let leader = leads()?;
            (leader.clone(), both(&leader, vec![nodes.statestore.clone()]))
        }
    };
    Some((format!("{cut:?}: {who}"), ways))
}

impl Nodes {
    /// A node for each service, in `network`.
    ///
    /// # Errors
    /// Where the network cannot be made.
    pub fn make(network: &mut Network, injectors: usize, workers: usize) -> Result<Self> {
        let mut many = |name: &str, count: usize| -> Result<Vec<Node>> {
            (0..count).map(|at| network.add(&format!("{name}-{at}"))).collect()
        };
        let (injectors, workers) = (many("injector", injectors)?, many("worker", workers)?);
        Ok(Self { statestore: network.add("statestore").context("the store's place")?, injectors, workers })
    }

    /// Where the services run.
    #[must_use]
    pub fn places(&self) -> super::place::Places {
        let all = |nodes: &[Node]| nodes.iter().map(Node::place).collect();
        super::place::Places {
            statestore: self.statestore.place(),
            injectors: all(&self.injectors),
            workers: all(&self.workers),
        }
    }
}
