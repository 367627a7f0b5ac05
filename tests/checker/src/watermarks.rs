//! I7: what is announced never goes back, and never passes what is still to come.

use crate::Invariant::I7;
use crate::delivery::Deliveries;
use crate::event::{Announced, Commit, Parked, Row};
use crate::graph::Graph;
use crate::journal::{Cause, Entry, Node};
use crate::timers::Timers;
use crate::{Verdict, require};
use std::collections::HashMap;

/// What has been announced, and what holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watermarks {
    announced_us: HashMap<u16, i64>,
    seen: Seen,
    parked: HashMap<Row, Parked>,
}

/// The watermark that each key saw last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(HashMap<Node, i64>);

impl Seen {
    /// It does not go back for a key, and has not passed the record that the key is given.
    pub(crate) fn entry(&mut self, node: Node, entry: &Entry) -> Verdict {
        let seen = self.0.entry(node).or_insert(i64::MIN);
        require(entry.watermark_us >= *seen, I7, || {
            format!(
                "{node}, step {}: the input watermark goes back from {seen} us to {} us",
                entry.step, entry.watermark_us
            )
        })?;
        *seen = entry.watermark_us;
        if let Cause::Record { packet, event_time_us } = &entry.cause {
            require(*event_time_us >= entry.watermark_us, I7, || {
                format!(
                    "{node}, step {}: {} is of {event_time_us} us, and the input watermark is at {} us",
                    entry.step, packet.origin, entry.watermark_us
                )
            })?;
        }
        Ok(())
    }
}

impl Watermarks {
    /// The least that is announced of those who send to the computation.
    fn input_us(&self, graph: &Graph, computation: u16) -> i64 {
        let announced = |producer| self.announced_us.get(&producer).copied().unwrap_or(i64::MIN);
        graph.producers(computation).map(announced).min().unwrap_or(i64::MAX)
    }

    /// A step, before the deliveries have taken its commit up.
    pub(crate) fn entry(
        &mut self,
        graph: &Graph,
        deliveries: &Deliveries,
        node: Node,
        entry: &Entry,
    ) -> Verdict {
        self.seen.entry(node, entry)?;
        let input_us = self.input_us(graph, node.computation);
        require(entry.watermark_us <= input_us, I7, || {
            format!(
                "{node}, step {}: it saw the input watermark {} us, and {input_us} us is announced",
                entry.step, entry.watermark_us
            )
        })?;
        if let Cause::Record { packet, event_time_us } = &entry.cause {
            // What is parked is acknowledged, and holds the output watermark only.
            let parked = deliveries.was_parked(node.computation, packet.origin);
            require(parked || *event_time_us >= input_us, I7, || {
                format!(
                    "{node}, step {}: {} is of {event_time_us} us, and before its commit {input_us} us was announced",
                    entry.step, packet.origin
                )
            })?;
        }
        Ok(())
    }

    /// A commit, after everything else has taken it up.
    pub(crate) fn commit(
        &mut self,
        graph: &Graph,
        commit: &Commit,
        timers: &Timers,
        deliveries: &Deliveries,
    ) -> Verdict {
        for row in &commit.parked_removed {
            self.parked.remove(row);
        }
        self.parked.extend(commit.parked.iter().cloned());
        for fence in commit.fences.iter().filter(|fence| !graph.is_source(fence.computation)) {
            let input_us = self.input_us(graph, fence.computation);
            require(fence.input_watermark_us <= input_us, I7, || {
                format!(
                    "an interval of computation {} has applied the input watermark {} us, and {input_us} us is announced",
                    fence.computation, fence.input_watermark_us
                )
            })?;
        }
        commit.announced.iter().try_for_each(|announced| self.announce(graph, announced, timers, deliveries))
    }

    fn announce(
        &mut self,
        graph: &Graph,
        announced: &Announced,
        timers: &Timers,
        deliveries: &Deliveries,
    ) -> Verdict {
        let Announced { computation, low_watermark_us: to, .. } = *announced;
        let from = self.announced_us.entry(computation).or_insert(i64::MIN);
        require(to >= *from, I7, || {
            format!("the low watermark of computation {computation} goes back from {from} us to {to} us")
        })?;
        *from = to;
        let production = deliveries.unsettled(graph, computation).find(|pending| pending.event_time_us < to);
        let timer = timers.stored(computation).find(|(_, _, output)| *output < to);
        let parked =
            self.parked.values().find(|it| it.node.computation == computation && it.event_time_us < to);
        let passed = production
            .map(|it| format!("{} of {} us, which waits in an outbox", it.packet.origin, it.event_time_us))
            .or_else(|| {
                timer.map(|(node, name, output)| format!("{name:?} of {node}, which holds at {output} us"))
            })
            .or_else(|| {
                parked.map(|it| format!("{} of {} us, which is parked", it.packet.origin, it.event_time_us))
            });
        require(passed.is_none(), I7, || {
            let passed = passed.unwrap_or_default();
            format!(
                "the low watermark of computation {computation} is announced as {to} us, and passes {passed}"
            )
        })
    }
}
