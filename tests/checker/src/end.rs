//! What is left in the store when a run has ended, and whether it can be right: of any run, of which nothing else need
//! be known.

use crate::Invariant::{I2, I5, I8, I10, I12};
use crate::delivery::Received;
use crate::graph::Graph;
use crate::journal::{Cause, Emission, Entry, Node, Origin, Packet, TimerName};
use crate::steps::Steps;
use crate::timers::Timers;
use crate::watermarks::Seen;
use crate::{Verdict, Violation, require};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the intervals of a computation have counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records dropped for being late.
    pub late_dropped: u64,
    /// Records given up.
    pub dead_lettered: u64,
    /// Timers that fired.
    pub timers_fired: u64,
}

/// What a run has left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The steps of each key, in order.
    pub journals: BTreeMap<Node, Vec<Entry>>,
    /// The state of each key: how many steps it counted, and what they came to.
    pub states: BTreeMap<Node, (u64, u64)>,
    /// What was given up.
    pub dead: Vec<(Node, Packet)>,
    /// Timers that are still set.
    pub timers: Vec<(Node, TimerName)>,
    /// Records that are still parked.
    pub parked: Vec<(Node, Packet)>,
    /// By computation.
    pub counters: BTreeMap<u16, Counters>,
}

impl End {
    /// Decides whether this can be the end of a run of `graph`.
    ///
    /// # Errors
    /// The first invariant that did not hold.
    pub fn check(&self, graph: &Graph) -> Result<(), Violation> {
        self.decide(graph).map_err(|(invariant, words)| Violation { invariant, at_us: None, words })
    }

    fn decide(&self, graph: &Graph) -> Verdict {
        let (mut steps, mut timers) = (Steps::default(), Timers::default());
        let (mut received, mut seen) = (Received::default(), Seen::default());
        for (node, entries) in &self.journals {
            for entry in entries {
                steps.entry(*node, entry)?;
                seen.entry(*node, entry)?;
                received.entry(graph, *node, entry)?;
                if !graph.is_source(node.computation) {
                    timers.entry(*node, entry)?;
                }
            }
        }
        for (node, state) in &self.states {
            let (counted, by_steps) = (*state, steps.of(*node));
            require(counted == by_steps, I2, || {
                format!("{node}: its state is {counted:?}, and by its steps it is {by_steps:?}")
            })?;
        }
        if let Some((node, name, setting)) = timers.left().next() {
            return Err((I8, format!("{node}: {name:?}, set as {setting:?}, never fired")));
        }
        if let Some((node, name)) = self.timers.first() {
            return Err((I8, format!("{node}: {name:?} is still in the store")));
        }
        if let Some((node, packet)) = self.parked.first() {
            return Err((I10, format!("{node}: {} is still parked", packet.origin)));
        }
        self.sources(graph)?;
        self.productions(graph, &received)?;
        self.counters(graph)
    }

    /// Every source has said everything, once.
    fn sources(&self, graph: &Graph) -> Verdict {
        for (computation, source) in graph.all().filter_map(|(at, it)| it.source.map(|source| (at, source))) {
            let node = Node { computation, key: source.key };
            let entries = self.journals.get(&node).map(Vec::as_slice).unwrap_or_default();
            let payloads: Vec<u64> =
                entries.iter().flat_map(|entry| &entry.emitted).map(|it| it.packet.payload).collect();
            let all = payloads.iter().collect::<BTreeSet<_>>().len();
            require(all == payloads.len(), I12, || {
                format!("{node} said {} records and only {all} different ones", payloads.len())
            })?;
            require(payloads.len() as u64 == source.total, I12, || {
                format!("{node} said {} records, and has {}", payloads.len(), source.total)
            })?;
        }
        Ok(())
    }

    /// What was produced is processed or given up by every subscriber, once, as it was produced; and nothing else is.
    fn productions(&self, graph: &Graph, received: &Received) -> Verdict {
        let mut dead: HashMap<(u16, Origin), u32> = HashMap::new();
        for (node, packet) in &self.dead {
            *dead.entry((node.computation, packet.origin)).or_default() += 1;
        }
        let emitted: HashMap<Origin, Emission> = (self.journals.values().flatten())
            .flat_map(|entry| &entry.emitted)
            .map(|emission| (emission.packet.origin, *emission))
            .collect();
        for Emission { stream, packet, .. } in emitted.values() {
            for to in graph.subscribers(*stream) {
                let times = dead.get(&(to, packet.origin)).copied().unwrap_or(0)
                    + u32::from(received.has(to, packet.origin));
                require(times >= 1, I5, || format!("computation {to} never got {}", packet.origin))?;
                require(times <= 1, I10, || {
                    format!(
                        "computation {to} has {} as a record and as a dead letter, {times} times",
                        packet.origin
                    )
                })?;
            }
        }
        for (node, entry) in
            self.journals.iter().flat_map(|(node, it)| it.iter().map(move |entry| (node, entry)))
        {
            let Cause::Record { packet, event_time_us } = &entry.cause else { continue };
            let as_produced = emitted.get(&packet.origin).is_some_and(|it| {
                it.packet == *packet
                    && it.event_time_us == *event_time_us
                    && it.key == node.key
                    && graph.subscribers(it.stream).any(|to| to == node.computation)
            });
            require(as_produced, I2, || {
                format!("{node}, step {}: nobody produced this for it: {:?}", entry.step, entry.cause)
            })?;
        }
        Ok(())
    }

    fn counters(&self, graph: &Graph) -> Verdict {
        for (computation, counted) in &self.counters {
            let dead = self.dead.iter().filter(|(node, _)| node.computation == *computation).count() as u64;
            require((counted.dead_lettered, counted.late_dropped) == (dead, 0), I10, || {
                format!(
                    "computation {computation} counts {counted:?}, and has {dead} dead letters and nothing late"
                )
            })?;
            if graph.is_source(*computation) {
                continue;
            }
            let of = self.journals.iter().filter(|(node, _)| node.computation == *computation);
            let entries = of.flat_map(|(_, entries)| entries);
            let fired = entries.filter(|entry| matches!(entry.cause, Cause::Timer { .. })).count() as u64;
            require(counted.timers_fired == fired, I8, || {
                format!("computation {computation} counts {counted:?}, and its steps have {fired} timers")
            })?;
        }
        Ok(())
    }
}
