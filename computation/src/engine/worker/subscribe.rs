//! The service that gives records to the outside, for any client at any worker.
//!
//! | module | what |
//! |---|---|
//! | [`logs`] | the logs of a published stream, read from the store |
//! | [`call`] | one subscription: where it is, and its next answer |
//! | [`tail`] | how far the logs have come, for all subscriptions of a stream here |
//! | [`news`] | the same between workers: the service, and its client |
//!
//! What is committed is in the store, and what is in the store is committed: so a subscription needs no owner of anything,
//! and no owner can show what then does not exist (I1, I2). Only that there is something new to read comes from owners.
//!
//! I11: a subscription is asked for its next answer when the transport has room for it, so one whose client reads slowly
//! holds one answer there and makes no other.

mod call;
mod logs;
mod news;
mod tail;

pub(super) use news::NewsService;

use super::Shared;
use crate::engine::peers::Identity;
use crate::publish::{log_name, published_name, token};
use call::Subscription;
use futures_util::stream::BoxStream;
use logs::Logs;
use pelton_proto::subscribe::subscribe_server::{Subscribe, SubscribeServer};
use pelton_proto::subscribe::{SubscribeRequest, SubscribeResponse};
use pelton_transport::Security;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tail::Tail;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

/// Subscriptions at once. Each has at most two answers in memory.
const SUBSCRIPTIONS_MAX: usize = 256;
/// What a request has beside its token, at most.
const REQUEST_BYTES_MAX: usize = token::TOKEN_BYTES_MAX + 1024;

/// The service.
#[derive(Clone)]
pub(super) struct SubscribeService {
    shared: Arc<Shared>,
    /// Who asks other workers for news, and how.
    asking: (Identity, Security),
    /// What somebody reads here.
    tails: Arc<Mutex<BTreeMap<u32, Weak<Tail>>>>,
    room: Arc<Semaphore>,
    stop: CancellationToken,
}

impl SubscribeService {
    pub(super) fn server(
        shared: Arc<Shared>,
        asking: (Identity, Security),
        stop: CancellationToken,
    ) -> SubscribeServer<Self> {
        let room = Arc::new(Semaphore::new(SUBSCRIPTIONS_MAX));
        let service = Self { shared, asking, tails: Arc::default(), room, stop };
        SubscribeServer::new(service).max_decoding_message_size(REQUEST_BYTES_MAX)
    }

    fn logs(&self, stream: &str) -> Result<Logs, Status> {
        let published = || self.shared.computations.values().filter(|hosted| hosted.grown.is_some());
        let name = log_name(stream);
        let found = published().find(|hosted| hosted.spec.name.as_str() == name);
        found.and_then(|hosted| Logs::of(&self.shared, hosted)).ok_or_else(|| {
            let known: Vec<_> = published().map(|hosted| published_name(hosted.spec.name.as_str())).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Status::not_found(format!("no stream {stream:?} is published; those that are: {known}"))
        })
    }

    /// What all subscriptions of a stream here have together; it lasts as long as one of them.
    fn tail(&self, logs: &Logs) -> Arc<Tail> {
        let mut tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        tails.retain(|_, tail| tail.strong_count() > 0);
        if let Some(tail) = tails.get(&logs.computation()).and_then(Weak::upgrade) {
            return tail;
        }
        let tail = Arc::new(Tail::start(self.shared.clone(), logs.clone(), self.asking.clone()));
        tails.insert(logs.computation(), Arc::downgrade(&tail));
        tail
    }
}

#[tonic::async_trait]
impl Subscribe for SubscribeService {
    type SubscribeStream = BoxStream<'static, Result<SubscribeResponse, Status>>;

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        if self.stop.is_cancelled() {
            return Err(call::stopping());
        }
        let SubscribeRequest { stream, from } = request.into_inner();
        let room = self.room.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "this worker serves {SUBSCRIPTIONS_MAX} subscriptions, which is the most: try another"
            ))
        })?;
        let from = from.ok_or_else(|| {
            Status::invalid_argument("it does not say where to begin: give earliest, latest or a token")
        })?;
        let logs = self.logs(&stream)?;
        let next = logs.place(from).await?;
        let tail = self.tail(&logs);
        let subscription = Subscription::new(logs, tail, next, self.stop.clone(), room);
        Ok(Response::new(subscription.answers()))
    }
}
