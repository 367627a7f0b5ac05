//! What workers write into the store before they join: the catalogue and the fences.

use super::name;
use pelton_domain::KeyInterval;
use pelton_proto::{Message, store};
use pelton_statestore::fence::{create_fences, random_tokens};
use pelton_statestore::memory::Memory;
use pelton_statestore::{Commit, PipelineKeys, StateStore, StoreHandle, Write};
use std::sync::Arc;

/// Writes a version of the graph: each computation consumes from the one before it.
pub(crate) async fn catalogue(store: &Memory, version: u32, computations: u32) {
    let node = |computation: u32| store::GraphNode {
        computation,
        name: format!("c{computation}"),
        producers: if computation > 1 { vec![computation - 1] } else { Vec::new() },
        ..Default::default()
    };
    let catalogue = store::Catalogue {
        pipeline: name().to_string(),
        graph_version: version,
        graph: (1..=computations).map(node).collect(),
        ..Default::default()
    };
    let key = PipelineKeys::new(&name()).catalogue();
    let write = Write::Put { key, value: catalogue.encode_to_vec().into() };
    let commit = Commit { preconditions: vec![], writes: vec![write] };
    // The same again is no harm, whatever became of it.
    while store.commit(commit.clone()).await.is_err() {}
}

/// Version 1 of the graph, and fences for each computation.
pub(crate) async fn prepare(store: &Memory, computations: u32, intervals: u32) {
    catalogue(store, 1, computations).await;
    fences(store, 1..=computations, intervals).await;
}

pub(crate) async fn fences(store: &Memory, computations: impl Iterator<Item = u32>, intervals: u32) {
    let handle: StoreHandle = Arc::new(store.clone());
    for computation in computations {
        let keys = PipelineKeys::new(&name()).computation(computation);
        let parts = KeyInterval::partition(intervals);
        create_fences(&handle, &keys, &parts, vec![], &random_tokens()).await.unwrap();
    }
}
