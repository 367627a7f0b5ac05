//! Opening a pipeline on a store: the catalogue, the injector's graph, the first entries.

use super::Hosted;
use crate::engine::timers::TimerEntry;
use crate::pipeline::{Bound, CatalogueError, Changes, ErasedStep, replaced};
use pelton_domain::{EventTime, Name, ProcessingTime};
use pelton_injector::{Graph, Node};
use pelton_proto::{Malformed, Message, convert, store};
use pelton_statestore::{
    Commit, CommitError, PipelineKeys, Precondition, ReadError, Scan, StoreFault, StoreHandle, Write,
};
use std::time::Duration;

/// Why a pipeline could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What the store has does not fit the code.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The store holds something that cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The store is broken or closed.
    #[error("the store failed: {0}")]
    Store(StoreFault),
    /// A key of the store belongs to no pipeline.
    #[error(transparent)]
    Key(#[from] pelton_statestore::keys::MalformedKey),
    /// The store holds other pipelines.
    #[error(
        "the store belongs to pipeline {found}, not to {wanted}: use another store, or say that it is to be shared"
    )]
    OtherPipeline {
        /// The pipeline that was to be started.
        wanted: String,
        /// Those that are there.
        found: String,
    },
    /// The injector could not take the lead.
    #[error(transparent)]
    Injector(#[from] pelton_injector::StartError),
    /// The injector did not accept the graph.
    #[error(transparent)]
    Graph(#[from] pelton_injector::GraphError),
    /// The intervals could not be assigned.
    #[error(transparent)]
    Assign(#[from] pelton_injector::AssignError),
    /// The fences could not be made or read.
    #[error(transparent)]
    TakeOver(#[from] pelton_statestore::TakeOverError),
}

/// Refuses a store that holds other pipelines and not this one: it was most likely given by mistake.
pub(crate) async fn refuse_other_pipelines(handle: &StoreHandle, name: &Name) -> Result<(), StartError> {
    let mut range = pelton_statestore::keys::all_pipelines();
    let mut others: Vec<String> = Vec::new();
    loop {
        let page = match handle.scan(Scan { entries_max: 1, ..Scan::page_of(range.clone()) }).await {
            Ok(page) => page,
            Err(ReadError::Unavailable(_)) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            Err(ReadError::Fatal(fault)) => return Err(StartError::Store(fault)),
        };
        let Some((key, _)) = page.entries.first() else { break };
        let found = pelton_statestore::keys::pipeline_of(key)?;
        if found == *name {
            return Ok(());
        }
        range.start = PipelineKeys::new(&found).range().end;
        others.push(found.to_string());
    }
    if others.is_empty() {
        return Ok(());
    }
    Err(StartError::OtherPipeline { wanted: name.to_string(), found: others.join(", ") })
}

/// Whether other programs run the pipeline at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// This process is all there is: whatever graph it has is the one that is wanted.
    Nobody,
    /// Others may have a newer graph.
    Others,
}

/// Reads the pipeline's catalogue, brings it up to date, and writes it back.
pub(super) async fn bind(
    handle: &StoreHandle,
    name: &Name,
    steps: &[ErasedStep],
    changes: &Changes,
    beside: Beside,
) -> Result<Bound, StartError> {
    let key = PipelineKeys::new(name).catalogue();
    loop {
        let stored = match handle.read(vec![key.clone()]).await {
            Ok(values) => values.into_iter().next().flatten(),
            Err(ReadError::Unavailable(_)) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            Err(ReadError::Fatal(fault)) => return Err(StartError::Store(fault)),
        };
        let known: Option<store::Catalogue> =
            stored.as_ref().map(|bytes| convert::decode("catalogue", bytes)).transpose()?;
        if let (Beside::Others, Some(known)) = (beside, &known) {
            replaced::check(known, replaced::fingerprint(steps, changes.revision))?;
        }
        let bound = Bound::new(name, steps, changes, known.as_ref())?;
        let encoded: bytes::Bytes = bound.catalogue.encode_to_vec().into();
        if stored.as_ref() == Some(&encoded) {
            return Ok(bound);
        }
        let commit = Commit {
            preconditions: vec![Precondition::Value { key: key.clone(), expected: stored }],
            writes: vec![Write::Put { key: key.clone(), value: encoded }],
        };
        match handle.commit(commit).await {
            Ok(()) => return Ok(bound),
            // Whatever became of it, the next reading tells.
            Err(CommitError::Refused { .. } | CommitError::Conflict | CommitError::Unknown(_)) => {}
            Err(CommitError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(error @ (CommitError::TooLarge { .. } | CommitError::Fatal(_))) => {
                return Err(StartError::Store(StoreFault(error.to_string())));
            }
        }
    }
}

/// The pipeline as the injector sees it.
pub(super) fn injector_graph(bound: &Bound) -> Result<Graph, StartError> {
    let node = |spec: &crate::pipeline::ComputationSpec| Node {
        computation: spec.number,
        name: spec.name.clone(),
        producers: spec.producers.clone(),
    };
    Ok(Graph::new(bound.specs.iter().map(node))?)
}

/// The timers of the start keys: written with the first fences, so that they are set exactly once.
pub(super) fn start_timers(hosted: &Hosted, now: ProcessingTime) -> Vec<Write> {
    let timer =
        TimerEntry { fire_at_us: now.as_micros(), output_time: EventTime::MIN, payload: bytes::Bytes::new() };
    let keys = &hosted.spec.options.start_keys;
    keys.iter()
        .map(|key| Write::Put { key: hosted.keys.timer(&super::start_timer(key)), value: timer.encode() })
        .collect()
}
