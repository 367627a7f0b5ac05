//! I4, I5, I6 and I9, and I2 for productions: what becomes of each record, from the commit that journals it to the one
//! that forgets it.

use crate::Invariant::{I2, I4, I5, I6, I9};
use crate::event::{Commit, Content, Letter, Party, Pending, Row};
use crate::graph::Graph;
use crate::journal::{Cause, Emission, Entry, Node, Origin};
use crate::{Verdict, require};
use std::collections::{HashMap, HashSet};

/// Which records each key has had, and how far it is with each key that sends to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    /// By consumer and record: who took it.
    processed: HashMap<(u16, Origin), (Node, u64)>,
    newest: HashMap<(Node, Node), (u64, u16)>,
}

impl Received {
    pub(crate) fn entry(&mut self, graph: &Graph, node: Node, entry: &Entry) -> Verdict {
        let Cause::Record { packet, .. } = &entry.cause else { return Ok(()) };
        let origin = packet.origin;
        let before = self.processed.insert((node.computation, origin), (node, entry.step));
        require(before.is_none(), I6, || {
            let words = before.map(|(node, step)| format!("step {step} of {node}")).unwrap_or_default();
            format!("{node}, step {}: {origin} was processed before, in {words}", entry.step)
        })?;
        // The steps of a weak computation are not in the order of what it sends: a step may be run again as another.
        if graph.is_weak(origin.node.computation) {
            return Ok(());
        }
        let (this, newest) =
            ((origin.step, origin.place), self.newest.entry((origin.node, node)).or_insert((0, 0)));
        require(this >= *newest, I9, || {
            format!(
                "{node}, step {}: {origin} comes after one of step {} as number {}",
                entry.step, newest.0, newest.1
            )
        })?;
        *newest = this;
        Ok(())
    }

    /// Whether the consumer has processed it.
    pub(crate) fn has(&self, consumer: u16, origin: Origin) -> bool {
        self.processed.contains_key(&(consumer, origin))
    }
}

/// What becomes of every record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deliveries {
    received: Received,
    /// Given up, by consumer.
    dead: HashSet<(u16, Origin)>,
    /// Ever parked, by consumer.
    parked: HashSet<(u16, Origin)>,
    /// What each committed step produced.
    emitted: HashMap<Origin, Emission>,
    /// The productions of weak steps, by what caused them.
    weak: HashMap<(u16, Origin), Vec<Emission>>,
    outbox: HashMap<Row, (u16, Vec<Pending>)>,
    journaled: HashSet<Origin>,
    waiting: HashMap<u128, Pending>,
    sent: HashMap<(Party, Party, u64, u64), Vec<Origin>>,
}

impl Deliveries {
    pub(crate) fn commit(&mut self, graph: &Graph, commit: &Commit) -> Verdict {
        for (node, entry) in &commit.entries {
            self.received.entry(graph, *node, entry)?;
            for emission in &entry.emitted {
                self.emitted.insert(emission.packet.origin, *emission);
            }
            if let Cause::Record { packet, .. } = &entry.cause
                && graph.is_weak(node.computation)
            {
                self.weak.insert((node.computation, packet.origin), entry.emitted.clone());
            }
        }
        for (node, packet) in &commit.dead {
            let first = self.dead.insert((node.computation, packet.origin));
            let processed = self.received.has(node.computation, packet.origin);
            require(first && !processed, I6, || {
                format!("{node}: {} is given up, and was processed or given up before", packet.origin)
            })?;
        }
        for (_, parked) in &commit.parked {
            self.parked.insert((parked.node.computation, parked.packet.origin));
        }
        self.outbox(graph, commit)?;
        self.journals_what_it_produces(graph, commit)
    }

    fn outbox(&mut self, graph: &Graph, commit: &Commit) -> Verdict {
        let written = commit.outbox.iter().map(|(row, ..)| row);
        let gone: Vec<Pending> = (commit.outbox_removed.iter().chain(written))
            .filter_map(|row| self.outbox.remove(row))
            .flat_map(|(_, pending)| pending)
            .collect();
        for production in &gone {
            self.waiting.remove(&production.id);
        }
        for (row, producer, pending) in &commit.outbox {
            for production in pending {
                let origin = production.packet.origin;
                let known = self.emitted.contains_key(&origin) || graph.is_weak(*producer);
                require(known, I2, || {
                    format!("{origin} is journaled, and no step that has committed produced it")
                })?;
                self.journaled.insert(origin);
                self.waiting.insert(production.id, production.clone());
            }
            self.outbox.insert(row.clone(), (*producer, pending.clone()));
        }
        for production in gone.iter().filter(|production| !self.waiting.contains_key(&production.id)) {
            let without = graph
                .subscribers(production.stream)
                .find(|to| !self.is_settled(*to, production.packet.origin));
            require(without.is_none(), I5, || {
                format!(
                    "{} leaves the outbox, and computation {} has not got it",
                    production.packet.origin,
                    without.unwrap_or_default()
                )
            })?;
        }
        Ok(())
    }

    /// A step of a strong computation and its productions are one commit.
    fn journals_what_it_produces(&self, graph: &Graph, commit: &Commit) -> Verdict {
        for (node, entry) in commit.entries.iter().filter(|(node, _)| !graph.is_weak(node.computation)) {
            let read = entry.emitted.iter().filter(|it| graph.subscribers(it.stream).next().is_some());
            for emission in read {
                require(self.journaled.contains(&emission.packet.origin), I2, || {
                    format!(
                        "{node}, step {}: its commit does not journal {}",
                        entry.step, emission.packet.origin
                    )
                })?;
            }
        }
        Ok(())
    }

    /// Whether the consumer has it for good: processed, parked or given up.
    pub(crate) fn is_settled(&self, consumer: u16, origin: Origin) -> bool {
        let at = (consumer, origin);
        self.received.has(consumer, origin) || self.parked.contains(&at) || self.dead.contains(&at)
    }

    /// Whether the consumer has ever parked it.
    pub(crate) fn was_parked(&self, consumer: u16, origin: Origin) -> bool {
        self.parked.contains(&(consumer, origin))
    }

    /// The production with this id, where it waits in an outbox for the consumer.
    pub(crate) fn waits_for(&self, graph: &Graph, id: u128, consumer: u16) -> Option<Origin> {
        let pending = self.waiting.get(&id)?;
        graph.subscribers(pending.stream).any(|to| to == consumer).then_some(pending.packet.origin)
    }

    /// What waits in the outboxes of a computation and is not settled everywhere.
    pub(crate) fn unsettled(&self, graph: &Graph, producer: u16) -> impl Iterator<Item = &Pending> {
        let of = self.outbox.values().filter(move |(of, _)| *of == producer);
        of.flat_map(|(_, pending)| pending).filter(move |pending| {
            graph.subscribers(pending.stream).any(|to| !self.is_settled(to, pending.packet.origin))
        })
    }

    pub(crate) fn letter(&mut self, graph: &Graph, letter: &Letter) -> Verdict {
        match &letter.content {
            Content::Delivery(records) => {
                for record in records.iter().filter(|_| !graph.is_weak(letter.from.computation)) {
                    let origin = record.packet.origin;
                    require(self.journaled.contains(&origin), I2, || {
                        format!("{origin} is sent, and no commit that has happened journals it")
                    })?;
                }
                let origins = records.iter().map(|record| record.packet.origin).collect();
                self.sent.insert((letter.from, letter.to, letter.epoch, letter.number), origins);
                Ok(())
            }
            Content::Acknowledgement => self.acknowledged(graph, letter),
            Content::Refusal => Ok(()),
        }
    }

    fn acknowledged(&self, graph: &Graph, letter: &Letter) -> Verdict {
        let consumer = letter.from.computation;
        let Some(sent) = self.sent.get(&(letter.to, letter.from, letter.epoch, letter.number)) else {
            return Err((
                I4,
                format!("{:?} acknowledges what was never sent to it: {letter:?}", letter.from),
            ));
        };
        for origin in sent {
            require(self.is_settled(consumer, *origin), I4, || {
                format!(
                    "{:?} acknowledges {origin}, and no commit that has happened holds its effects",
                    letter.from
                )
            })?;
            let caused = self.weak.get(&(consumer, *origin)).map(Vec::as_slice).unwrap_or_default();
            for Emission { stream, packet, .. } in caused {
                let got = |to| self.is_settled(to, packet.origin) || self.journaled.contains(&packet.origin);
                require(graph.subscribers(*stream).all(got), I4, || {
                    format!(
                        "the weak {:?} acknowledges {origin}, and what it caused is neither settled nor journaled: {}",
                        letter.from, packet.origin
                    )
                })?;
            }
        }
        Ok(())
    }
}
