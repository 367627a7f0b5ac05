//! The pipeline's graph as watermarks see it: who produces what whom consumes. And what a consumer makes of
//! its producers' announced values.
//!
//! Not here: streams, versions of the graph, user code. A computation is a number of the store's catalogue.
//!
//! I7: the authority announces only what intervals reported of themselves. What follows from it for a
//! consumer, its input watermark and its dedup horizon, the consumer works out from announced values with
//! [`Graph::input_watermark`] and [`Graph::horizon`]; so the authority never leads a worker.

use crate::announced::AnnouncedTable;
use pelton_domain::{EventTime, Name, SystemTime};
use std::collections::{BTreeMap, BTreeSet};

/// One computation of a pipeline and the computations whose streams it consumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its number in the store's catalogue; 0 is the pipeline itself and no computation.
    pub computation: u32,
    /// Its name, for people.
    pub name: Name,
    /// Whose streams it consumes; empty for a source and for an ingest.
    pub producers: Vec<u32>,
}

/// A directed acyclic graph of computations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    nodes: BTreeMap<u32, Node>,
}

/// Why nodes are no graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// The number 0, or a number used twice.
    #[error("{name} has the number {computation}, which is 0 or used twice")]
    Number {
        /// Which number.
        computation: u32,
        /// Whose.
        name: Name,
    },
    /// It consumes from a computation that is not there.
    #[error("{name} consumes from computation {producer}, which is not in the graph")]
    NoSuchProducer {
        /// Who consumes.
        name: Name,
        /// From which.
        producer: u32,
    },
    /// It would wait for its own output.
    #[error("{name} consumes, in the end, what it produces itself")]
    Cycle {
        /// One computation of the cycle, or behind it.
        name: Name,
    },
}

impl Graph {
    /// Checks `nodes`: every producer is there, and none waits for itself.
    ///
    /// # Errors
    /// [`GraphError`] with the computation that is at fault.
    pub fn new(nodes: impl IntoIterator<Item = Node>) -> Result<Self, GraphError> {
        let mut graph = Self::default();
        for mut node in nodes {
            node.producers.sort_unstable();
            node.producers.dedup();
            let (computation, name) = (node.computation, node.name.clone());
            if computation == 0 || graph.nodes.insert(computation, node).is_some() {
                return Err(GraphError::Number { computation, name });
            }
        }
        for node in graph.nodes.values() {
            if let Some(&producer) =
                node.producers.iter().find(|producer| !graph.nodes.contains_key(producer))
            {
                return Err(GraphError::NoSuchProducer { name: node.name.clone(), producer });
            }
        }
        match graph.first_waiting_for_itself() {
            Some(node) => Err(GraphError::Cycle { name: node.name.clone() }),
            None => Ok(graph),
        }
    }

    /// Takes away, again and again, the computations whose producers are all taken away; what is left waits.
    fn first_waiting_for_itself(&self) -> Option<&Node> {
        let mut left: Vec<&Node> = self.nodes.values().collect();
        let mut done = BTreeSet::new();
        loop {
            let before = left.len();
            left.retain(|node| {
                let ready = node.producers.iter().all(|producer| done.contains(producer));
                if ready {
                    done.insert(node.computation);
                }
                !ready
            });
            if left.len() == before {
                return left.first().copied();
            }
        }
    }

    /// The computations, by number.
    pub fn computations(&self) -> impl Iterator<Item = u32> {
        self.nodes.keys().copied()
    }

    /// One computation.
    #[must_use]
    pub fn node(&self, computation: u32) -> Option<&Node> {
        self.nodes.get(&computation)
    }

    /// Whose streams `computation` consumes, ascending; empty for one that is not there.
    #[must_use]
    pub fn producers(&self, computation: u32) -> &[u32] {
        self.node(computation).map_or(&[], |node| &node.producers)
    }

    /// The input low watermark of `computation`: no record with an earlier event time is still to come to it
    /// from its producers, late ones apart.
    ///
    /// Where nobody produces for it, nothing is to come from inside, so it is plus infinity: what a source
    /// or an ingest waits for from outside is a hold of its own, in its own reports. Minus infinity for a
    /// computation that is not in the graph.
    #[must_use]
    pub fn input_watermark(&self, computation: u32, table: &AnnouncedTable) -> EventTime {
        let Some(node) = self.node(computation) else { return EventTime::MIN };
        let announced = |producer: &u32| table.of(*producer).low_watermark;
        node.producers.iter().map(announced).min().unwrap_or(EventTime::MAX)
    }

    /// The dedup horizon of `computation`: no producer sends it an id of an earlier system time any more, so
    /// those may be forgotten and are known to be duplicates (I6).
    ///
    /// Where nobody produces for it, it is zero: nothing may be forgotten on the authority's word. What comes
    /// to an ingest from outside has ids that no report covers, and a later horizon would make every one of
    /// them a known duplicate (I10); and a horizon once acted on is in the fences, so it could not be lowered
    /// when the computation is given a producer later. Zero for a computation that is not in the graph.
    #[must_use]
    pub fn horizon(&self, computation: u32, table: &AnnouncedTable) -> SystemTime {
        let announced = |producer: &u32| table.of(*producer).oldest_unacknowledged;
        self.producers(computation).iter().map(announced).min().unwrap_or(SystemTime::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announced::Announced;
    use pelton_domain::Sequencer;

    fn node(computation: u32, producers: &[u32]) -> Node {
        let name = Name::new(&format!("c{computation}")).unwrap();
        Node { computation, name, producers: producers.to_vec() }
    }

    #[test]
    fn what_is_no_graph_is_refused_by_name() {
        let error = |nodes: &[Node]| Graph::new(nodes.iter().cloned()).unwrap_err().to_string();
        assert!(error(&[node(0, &[])]).contains("c0 has the number 0"));
        assert!(error(&[node(1, &[]), node(1, &[])]).contains("used twice"));
        assert!(error(&[node(1, &[7])]).contains("consumes from computation 7"));
        assert!(error(&[node(1, &[1])]).contains("c1 consumes, in the end"));
        assert!(error(&[node(1, &[]), node(2, &[1, 3]), node(3, &[2])]).contains("c2 consumes, in the end"));
    }

    #[test]
    fn a_consumer_follows_the_least_of_its_producers() {
        let graph = Graph::new([node(3, &[2, 1]), node(1, &[]), node(2, &[])]).unwrap();
        let announced = |secs, ms| Announced {
            low_watermark: EventTime::from_secs(secs),
            oldest_unacknowledged: SystemTime::from_millis(ms),
        };
        let table = AnnouncedTable::new(
            Sequencer::new(1).unwrap(),
            [(1, announced(10, 90)), (2, announced(20, 80)), (3, announced(5, 5))],
        );
        assert_eq!(graph.input_watermark(3, &table), EventTime::from_secs(10));
        assert_eq!(graph.horizon(3, &table), SystemTime::from_millis(80));
    }

    #[test]
    fn a_producer_that_never_announced_holds_its_consumer_at_the_least() {
        let graph = Graph::new([node(1, &[]), node(2, &[1])]).unwrap();
        let table = AnnouncedTable::new(Sequencer::new(1).unwrap(), []);
        assert_eq!(graph.input_watermark(2, &table), EventTime::MIN);
        assert_eq!(graph.horizon(2, &table), SystemTime::ZERO);
    }

    #[test]
    fn where_nobody_produces_nothing_is_to_come_and_nothing_is_forgotten() {
        let graph = Graph::new([node(1, &[])]).unwrap();
        let table = AnnouncedTable::new(Sequencer::new(1).unwrap(), []);
        assert_eq!(graph.input_watermark(1, &table), EventTime::MAX);
        assert_eq!(graph.horizon(1, &table), SystemTime::ZERO);
        assert_eq!(graph.input_watermark(9, &table), EventTime::MIN, "not in the graph: nothing is known");
    }
}
