//! Random graphs of computations that journal what they do, so that the checker can judge a run of them, whatever
//! happened to it: in the simulation, and with real processes.
//!
//! One seed gives one graph: sources, chains, fan-in and fan-out, event and processing timers that are set, replaced
//! and cleared, weak computations, records that fail for a while and records that fail for good. Results depend on the
//! order in which a key gets its records, on purpose: what is right is decided from the journals, not by comparison.
//!
//! | module | noun |
//! |---|---|
//! | `node` | the computations |
//! | `witness` | what was recorded of a run, in the checker's words |

mod node;
mod witness;

pub use witness::{Unreadable, end, events};

use crate::workload::parks_soon;
use node::{Inner, Source};
use pelton::testing::simulation::{Outcome, Simulation};
use pelton::{Pipeline, Step, Stream};
use pelton_checker::journal::Packet;
use pelton_checker::{Checker, Violation, graph};
use pelton_domain::Name;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

/// The stream that the computation at this place produces.
fn stream(place: u16) -> Stream<Packet> {
    Stream::named(format!("s{place}"))
}

/// How a computation of the graph is made. Its place is its name, and that of its stream.
#[derive(Clone, Debug)]
enum Part {
    Source(Source),
    Inner { reads: Vec<u16>, weak: bool, intervals: u32, inner: Inner },
}

/// A graph.
#[derive(Clone, Debug)]
pub struct RandomGraph {
    parts: Vec<Part>,
}

impl RandomGraph {
    /// The graph of this seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x9a9_4a9);
        let sources: u16 = rng.random_range(1..=2);
        let inner: u16 = rng.random_range(3..=6);
        let total = rng.random_range(60..=140);
        let mut parts = Vec::new();
        for at in 0..sources {
            let chunk = rng.random_range(3..=9);
            let pause = Duration::from_millis(rng.random_range(30..=90));
            parts.push(Part::Source(Source { at, total, chunk, pause, salt: rng.random() }));
        }
        for at in sources..sources + inner {
            let mut reads: Vec<u16> = (0..at).filter(|_| rng.random::<f64>() < 0.25).collect();
            // Mostly a chain: what is far from its source goes through many hands.
            if reads.is_empty() || rng.random::<f64>() < 0.6 {
                reads.push(at - 1);
            }
            reads.sort_unstable();
            reads.dedup();
            let weak = rng.random::<f64>() < 0.2;
            let timers = !weak && rng.random::<f64>() < 0.7;
            let inner = Inner { at, weak, timers, flaky: rng.random::<f64>() < 0.35 };
            parts.push(Part::Inner { reads, weak, intervals: rng.random_range(1..=3), inner });
        }
        Self { parts }
    }

    /// The pipeline's name.
    pub const NAME: &str = "graph";

    /// The name, as keys have it.
    ///
    /// # Panics
    /// Never: it is one.
    #[must_use]
    #[expect(clippy::expect_used, reason = "it is a constant")]
    pub fn name() -> Name {
        Self::NAME.parse().expect("a name")
    }

    /// The same graph with so many times the records.
    #[must_use]
    pub fn longer(mut self, times: u64) -> Self {
        for part in &mut self.parts {
            if let Part::Source(source) = part {
                source.total *= times;
            }
        }
        self
    }

    /// As a pipeline.
    ///
    /// # Panics
    /// Never: every graph that [`Self::of`] makes is sound.
    #[must_use]
    #[expect(clippy::expect_used, reason = "every graph that is made here is sound")]
    pub fn pipeline(&self) -> Pipeline {
        let mut builder = Pipeline::builder(Self::NAME);
        for (at, part) in (0_u16..).zip(&self.parts) {
            let name = format!("n{at}");
            builder = match part {
                Part::Source(source) => builder
                    .with(Step::new(name, source.clone()).starts_with_key(node::SOURCE_KEY).intervals(1)),
                Part::Inner { reads, weak, intervals, inner } => {
                    let mut step = Step::new(name, inner.clone()).intervals(*intervals).retry(parks_soon());
                    for from in reads {
                        step = step.reads(&stream(*from));
                    }
                    builder.with(if *weak { step.weak() } else { step })
                }
            };
        }
        builder.build().expect("a sound graph")
    }

    /// As the checker takes it, where so many records may be on their way over a channel.
    #[must_use]
    pub fn checked(&self, channel_records_max: usize) -> graph::Graph {
        let computation = |(at, part): (u16, &Part)| match part {
            Part::Source(source) => graph::Computation {
                source: Some(graph::Source { key: node::SOURCE_KEY, total: source.total }),
                produces: vec![at],
                ..graph::Computation::default()
            },
            Part::Inner { reads, weak, .. } => {
                graph::Computation { source: None, reads: reads.clone(), produces: vec![at], weak: *weak }
            }
        };
        graph::Graph { computations: (0..).zip(&self.parts).map(computation).collect(), channel_records_max }
    }
}

/// Why a run of a random graph is not right.
#[derive(Debug, thiserror::Error)]
#[error("graph of seed {seed}: {wrong}")]
pub struct Wrong {
    /// The seed that shows it again.
    pub seed: u64,
    /// What is wrong.
    pub wrong: What,
}

/// What is wrong with a run.
#[derive(Debug, thiserror::Error)]
pub enum What {
    /// An invariant did not hold.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// It did not end, or a process said that it has a bug; everything up to there was right.
    #[error("{0}")]
    Broken(String),
    /// It cannot be judged.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// Runs the graph of `seed` in the simulated cluster of `seed`, and judges it from its history and from what it left.
///
/// # Errors
/// [`Wrong`], with the first invariant that did not hold.
pub fn run(seed: u64) -> Result<Outcome, Wrong> {
    run_and_judge(seed).map_err(|wrong| Wrong { seed, wrong })
}

fn run_and_judge(seed: u64) -> Result<Outcome, What> {
    let graph = RandomGraph::of(seed);
    let checked = graph.checked(Simulation::limits(seed).channel_records_max);
    let run = Simulation::new(move || graph.pipeline()).run(seed);
    let history = run.as_ref().map_or_else(|broken| &broken.history, |outcome| &outcome.history);
    let mut checker = Checker::new(checked.clone());
    for (at_us, event) in events(history)? {
        checker.see(at_us, &event)?;
    }
    let outcome = run.map_err(|broken| What::Broken(broken.to_string()))?;
    end(&outcome.rows)?.check(&checked)?;
    Ok(outcome)
}
