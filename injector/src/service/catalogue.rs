//! The pipeline's graph, as the workers have written it into the store.

use crate::backoff::Backoff;
use crate::graph::{Graph, GraphError, Node};
use pelton_domain::{Name, NameError};
use pelton_proto::{Malformed, convert, store};
use pelton_statestore::{PipelineKeys, ReadError, StoreFault, StoreHandle};

/// A version of the graph.
#[derive(Clone, Debug)]
pub(super) struct Catalogue {
    pub(super) version: u32,
    pub(super) graph: Graph,
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
    for node in catalogue.graph {
        let name = Name::new(&node.name)?;
        nodes.push(Node { computation: node.computation, name, producers: node.producers });
    }
    Ok(Some(Catalogue { version: catalogue.graph_version, graph: Graph::new(nodes)? }))
}
