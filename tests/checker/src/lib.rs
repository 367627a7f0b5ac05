//! Decides from what was recorded of a run whether each of the invariants I1 to I12 held, and says which record, key
//! and step broke which.
//!
//! It shares no code with the engine, nor with any crate of Pelton: what judges them must not share their mistakes.
//! Its own words for what a run consists of are in [`journal`] (what computations write of their calls into their own
//! state) and [`event`] (what the store applied, and what the processes sent each other).
//!
//! | invariant | decided from | in |
//! |---|---|---|
//! | I1 single writer | every fence that a commit writes, and the rows beside it | `fences` |
//! | I2 atomicity | steps, state, timers and outbox of one commit | `steps`, `timers`, `delivery` |
//! | I3 unknown outcomes | no attempt's token is applied twice; what only a lost commit had is not acknowledged | `fences`, `delivery` |
//! | I4 acknowledgement | each acknowledgement, against what is durable at that moment | `delivery` |
//! | I5 redelivery | each removal from an outbox, and the end | `delivery`, `end` |
//! | I6 dedup | a record in two steps; ids below a promise; ids forgotten too early | `delivery`, `ids` |
//! | I7 watermark | what is announced, against all that is still to come | `watermarks` |
//! | I8 timers | each firing against the timer that was set | `timers`, `end` |
//! | I9 order | steps of one key, by the steps of each producer key | `delivery` |
//! | I10 nothing silent | each production is processed, parked or a dead letter; the counters agree | `end` |
//! | I11 bounded | what is on its way over a channel; that a run ends is for whoever ran it | `channels` |
//! | I12 results | each step follows from the state before it; the source said all its numbers | `steps`, `end` |

mod channels;
mod delivery;
pub mod end;
pub mod event;
mod fences;
pub mod graph;
mod ids;
pub mod journal;
mod steps;
mod timers;
mod watermarks;

pub use end::End;
pub use event::Event;
pub use graph::Graph;

use std::fmt;

/// The invariants of the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "their names are their definition; the table above says how each is decided")]
pub enum Invariant {
    I1,
    I2,
    I3,
    I4,
    I5,
    I6,
    I7,
    I8,
    I9,
    I10,
    I11,
    I12,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When, in microseconds since the run began; `None` where it shows in what is left at the end.
    pub at_us: Option<u64>,
    /// Which record, key and step, in words.
    pub words: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at_us {
            Some(at_us) => write!(f, "{}, {at_us} us into the run: {}", self.invariant, self.words),
            None => write!(f, "{}, at the end: {}", self.invariant, self.words),
        }
    }
}

impl std::error::Error for Violation {}

/// What a single check says of one event.
type Verdict = Result<(), (Invariant, String)>;

/// `Err` with the words, unless `holds`.
fn require(holds: bool, invariant: Invariant, words: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err((invariant, words())) }
}

/// Follows a run, event by event.
#[derive(Clone, Debug)]
pub struct Checker {
    graph: Graph,
    fences: fences::Fences,
    steps: steps::Steps,
    timers: timers::Timers,
    delivery: delivery::Deliveries,
    ids: ids::Ids,
    watermarks: watermarks::Watermarks,
    channels: channels::Channels,
}

impl Checker {
    /// For a run of this graph.
    #[must_use]
    pub fn new(graph: Graph) -> Self {
        Self {
            graph,
            fences: fences::Fences::default(),
            steps: steps::Steps::default(),
            timers: timers::Timers::default(),
            delivery: delivery::Deliveries::default(),
            ids: ids::Ids::default(),
            watermarks: watermarks::Watermarks::default(),
            channels: channels::Channels::default(),
        }
    }

    /// Takes up what happened next.
    ///
    /// # Errors
    /// The first invariant that this shows not to hold.
    pub fn see(&mut self, at_us: u64, event: &Event) -> Result<(), Violation> {
        let verdict = match event {
            Event::Commit(commit) => self.commit(commit),
            Event::Letter(letter) => self.letter(letter),
        };
        verdict.map_err(|(invariant, words)| Violation { invariant, at_us: Some(at_us), words })
    }

    fn commit(&mut self, commit: &event::Commit) -> Verdict {
        self.fences.commit(commit)?;
        for (node, entry) in &commit.entries {
            self.steps.entry(*node, entry)?;
            if !self.graph.is_source(node.computation) {
                self.timers.entry(*node, entry)?;
            }
            self.watermarks.entry(&self.graph, &self.delivery, *node, entry)?;
        }
        self.timers.rows(&self.graph, commit)?;
        self.delivery.commit(&self.graph, commit)?;
        self.ids.commit(&self.graph, commit, &self.delivery)?;
        self.watermarks.commit(&self.graph, commit, &self.timers, &self.delivery)
    }

    fn letter(&mut self, letter: &event::Letter) -> Verdict {
        self.channels.letter(&self.graph, letter)?;
        self.delivery.letter(&self.graph, letter)
    }
}
