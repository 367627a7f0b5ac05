//! What the authority has under way in the store: the task itself never waits for it.

use super::catalogue::{self, Catalogue, CatalogueError};
use crate::assign::Worker;
use crate::injector::{AssignError, Assigned, Injector};
use crate::membership::SessionId;
use futures_util::stream::FuturesUnordered;
use pelton_domain::KeyInterval;
use pelton_statestore::fence::read_fences;
use pelton_statestore::{PipelineKeys, StoreHandle, TakeOverError};
use std::pin::Pin;

/// Something that has come to its end.
pub(super) enum Done {
    Assigned {
        computation: u32,
        intervals: Vec<(KeyInterval, Worker)>,
        result: Result<Vec<Assigned>, AssignError>,
    },
    Changed {
        request: Request,
        result: Result<Vec<Assigned>, AssignError>,
    },
    Fences {
        computation: u32,
        result: Result<Vec<KeyInterval>, TakeOverError>,
    },
    Catalogue(Result<Option<Catalogue>, CatalogueError>),
}

/// A worker's request for new reigns.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) session: SessionId,
    pub(super) number: u64,
    pub(super) computation: u32,
    pub(super) old: Vec<KeyInterval>,
    pub(super) new: Vec<KeyInterval>,
}

/// All jobs; their number is bounded by that of the intervals, since each interval is in one at most.
pub(super) type Jobs = FuturesUnordered<Pin<Box<dyn Future<Output = Done> + Send>>>;

pub(super) fn assign(
    injector: Injector,
    computation: u32,
    intervals: Vec<(KeyInterval, Worker)>,
) -> BoxedJob {
    Box::pin(async move {
        let result = injector.assign(computation, intervals.clone()).await;
        Done::Assigned { computation, intervals, result }
    })
}

pub(super) fn change(injector: Injector, worker: Worker, request: Request) -> BoxedJob {
    Box::pin(async move {
        let new = request.new.iter().map(|interval| (*interval, worker.clone())).collect();
        let result = injector.reassign(request.computation, request.old.clone(), new).await;
        Done::Changed { request, result }
    })
}

pub(super) fn fences(store: StoreHandle, keys: &PipelineKeys, computation: u32) -> BoxedJob {
    let keys = keys.computation(computation);
    Box::pin(async move {
        let result = read_fences(&store, &keys).await;
        let bounds =
            |fences: Vec<pelton_statestore::Fence>| fences.iter().map(|fence| fence.interval).collect();
        Done::Fences { computation, result: result.map(bounds) }
    })
}

pub(super) fn catalogue(store: StoreHandle, keys: PipelineKeys) -> BoxedJob {
    Box::pin(async move { Done::Catalogue(catalogue::read(&store, &keys).await) })
}

/// A job.
pub(super) type BoxedJob = Pin<Box<dyn Future<Output = Done> + Send>>;
