//! The pipeline's graph, as the workers have written it into the store.

use crate::backoff::Backoff;
use crate::graph::{Graph, GraphError, Node};
use pelton_domain::{Name, NameError};
use pelton_proto::{Malformed, convert, store};
use pelton_statestore::{PipelineKeys, ReadError, StoreFault, StoreHandle};
use std::collections::{BTreeMap, BTreeSet};

/// A version of the graph.
#[derive(Clone, Debug)]
pub(super) struct Catalogue {
    pub(super) version: u32,
    pub(super) graph: Graph,
    pub(super) inputs: InputsSince,
}

/// In which version each computation last got an input: a program of an older graph does not know all that it waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct InputsSince(BTreeMap<u32, (u32, Vec<u32>)>);

impl InputsSince {
    /// By computation.
    pub(super) fn versions(&self) -> BTreeMap<u32, u32> {
        self.0.iter().map(|(computation, (since, _))| (*computation, *since)).collect()
    }

    /// The computations whose announced values a worker of graph `version` must not follow: it would forget ids, and
    /// pass times, that another producer may still send, which it does not know of (I6, I7).
    pub(super) fn misleading(&self, version: u32) -> BTreeSet<u32> {
        let newer = self.0.values().filter(|(since, _)| *since > version);
        newer.flat_map(|(_, producers)| producers.iter().copied()).collect()
    }
}

/// Why there is no graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// It cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A computation's name is none.
    #[error("the catalogue is damaged: {0}")]
    Name(#[from] NameError),
    /// It is no graph.
    #[error("the catalogue is damaged: {0}")]
    Graph(#[from] GraphError),
    /// The store is broken or closed.
    #[error("the store failed: {0}")]
    Fatal(StoreFault),
}

/// Reads the catalogue; `None` where no worker has written one yet. Waits while the store is unavailable.
pub(super) async fn read(
    store: &StoreHandle,
    keys: &PipelineKeys,
) -> Result<Option<Catalogue>, CatalogueError> {
    let mut backoff = Backoff::new();
    let value = loop {
        match store.read(vec![keys.catalogue()]).await {
            Ok(values) => break values.into_iter().next().flatten(),
            Err(ReadError::Unavailable(_)) => backoff.pause().await,
            Err(ReadError::Fatal(fault)) => return Err(CatalogueError::Fatal(fault)),
        }
    };
    let Some(value) = value else { return Ok(None) };
    let catalogue: store::Catalogue = convert::decode("catalogue", &value)?;
    let mut nodes = Vec::with_capacity(catalogue.graph.len());
    let mut inputs = InputsSince::default();
    for node in catalogue.graph {
        inputs.0.insert(node.computation, (node.inputs_since, node.producers.clone()));
        let name = Name::new(&node.name)?;
        nodes.push(Node { computation: node.computation, name, producers: node.producers });
    }
    Ok(Some(Catalogue { version: catalogue.graph_version, graph: Graph::new(nodes)?, inputs }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_know_a_producer_does_not_follow_the_others_of_that_consumer() {
        let inputs = InputsSince([(3, (1, vec![1])), (4, (2, vec![1, 2])), (5, (3, vec![4]))].into());
        assert_eq!(inputs.misleading(1), BTreeSet::from([1, 2, 4]));
        assert_eq!(inputs.misleading(2), BTreeSet::from([4]));
        assert_eq!(inputs.misleading(3), BTreeSet::new());
    }
}
