//! How far the logs have come, told by those who append to those who serve subscribers.

use super::super::Shared;
use crate::engine::peers::Identity;
use crate::engine::published::{Grown, Reached};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use pelton_proto::worker::published_client::PublishedClient;
use pelton_proto::worker::published_server::{Published, PublishedServer};
use pelton_proto::worker::{GrownRequest, GrownResponse};
use pelton_transport::{Security, connect};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

const RETRY_DELAY_MIN: Duration = Duration::from_millis(20);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(1);
/// How long a worker may take for its first answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);

/// The service.
#[derive(Clone)]
pub(in super::super) struct NewsService {
    shared: Arc<Shared>,
    identity: Identity,
    stop: CancellationToken,
}

impl NewsService {
    pub(in super::super) fn server(
        shared: Arc<Shared>,
        identity: Identity,
        stop: CancellationToken,
    ) -> PublishedServer<Self> {
        PublishedServer::new(Self { shared, identity, stop })
    }
}

#[tonic::async_trait]
impl Published for NewsService {
    type GrownStream = BoxStream<'static, Result<GrownResponse, Status>>;

    async fn grown(&self, request: Request<GrownRequest>) -> Result<Response<Self::GrownStream>, Status> {
        let GrownRequest { pipeline, process, computation } = request.into_inner();
        if pipeline != self.identity.pipeline.as_str() {
            let ours = self.identity.pipeline.as_str();
            return Err(Status::failed_precondition(format!("this is pipeline {ours:?}, not {pipeline:?}")));
        }
        if process != self.identity.process {
            return Err(Status::unavailable("another process is at its address"));
        }
        let grown = self.shared.hosted(computation).and_then(|hosted| hosted.grown.as_ref());
        let grown = grown.ok_or_else(|| Status::not_found("the computation keeps no published stream"))?;
        let news = News { reached: grown.subscribe(), begun: false, stop: self.stop.clone() };
        Ok(Response::new(stream::unfold(news, News::next).boxed()))
    }
}

/// One listener. It holds nothing but the place where the newest is (I11).
struct News {
    reached: watch::Receiver<Reached>,
    begun: bool,
    stop: CancellationToken,
}

impl News {
    async fn next(mut self) -> Option<(Result<GrownResponse, Status>, Self)> {
        if self.begun {
            tokio::select! {
                changed = self.reached.changed() => changed.ok()?,
                () = self.stop.cancelled() => return None,
            }
        }
        self.begun = true;
        let next_offsets = self.reached.borrow_and_update().next.to_vec();
        Some((Ok(GrownResponse { next_offsets }), self))
    }
}

/// Whether a worker is heard; whoever waits is told when that changes.
#[derive(Clone, Debug)]
pub(super) struct Hearing {
    heard: Arc<AtomicBool>,
    changed: Arc<Notify>,
}

impl Hearing {
    pub(super) fn new(changed: Arc<Notify>) -> Self {
        Self { heard: Arc::default(), changed }
    }

    pub(super) fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Acquire)
    }

    fn set(&self, heard: bool) {
        if self.heard.swap(heard, Ordering::AcqRel) != heard {
            self.changed.notify_one();
        }
    }
}

/// Listens to a worker, again and again, and takes up what it says.
pub(super) async fn listen(to: (String, Security), request: GrownRequest, grown: Grown, hearing: Hearing) {
    let mut delay = RETRY_DELAY_MIN;
    loop {
        let status = match hear(&to, &request, &grown, &hearing).await {
            Ok(()) => Status::unavailable("it has ended its news"),
            Err(status) => status,
        };
        tracing::debug!(address = to.0, %status, "no news of a published stream");
        if hearing.is_heard() {
            delay = RETRY_DELAY_MIN;
        }
        hearing.set(false);
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(RETRY_DELAY_MAX);
    }
}

async fn hear(
    (address, security): &(String, Security),
    request: &GrownRequest,
    grown: &Grown,
    hearing: &Hearing,
) -> Result<(), Status> {
    let channel =
        connect(address, security).map_err(|error| Status::failed_precondition(error.to_string()))?;
    let mut client = PublishedClient::new(channel);
    let begin = async {
        let mut news = client.grown(request.clone()).await?.into_inner();
        let first = news.message().await?;
        Ok::<_, Status>((news, first))
    };
    let begun = tokio::time::timeout(ANSWER_WAIT_MAX, begin).await;
    let (mut news, mut next) = begun.map_err(|_| Status::deadline_exceeded("it does not answer"))??;
    while let Some(said) = next {
        grown.grow(said.next_offsets.into_iter().enumerate());
        hearing.set(true);
        next = news.message().await?;
    }
    Ok(())
}
