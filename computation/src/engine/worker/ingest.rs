//! The service that takes records from outside, for any client at any worker.
//!
//! * I4: a request is answered only when every record of it is committed.
//! * I10: a record that comes after the end of its stream is refused, and its client told. Only the interval of the
//!   client knows which came in time; so where it says that its input is at its end, the ids that it keeps are looked
//!   up before anything is answered. A retry of what came in time is found there, and answered as before.
//! * I11: a call has a bounded number of requests under way, and the next is not read before there is room for its
//!   answer; so a client that floods is slowed down, and one that does not read its answers is held. What one client
//!   may send has limits of its own ([`rates`]).

mod rates;

pub use rates::IngestLimits;

use super::{Hosted, Shared};
use crate::engine::gateway::{Closed, Gateway, Taken};
use crate::ingest::check::{Names, REQUEST_BYTES_MAX, Refused, check};
use crate::ingest::{IDS, append_name, clock, clock_name};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt};
use pelton_domain::Key;
use pelton_proto::Message;
use pelton_proto::ingest::ingest_server::{Ingest, IngestServer};
use pelton_proto::ingest::{AppendRequest, AppendResponse, FinishRequest, FinishResponse};
use pelton_transport::Peer;
use rates::{Admitted, Rates};
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// Requests of one call that are not answered.
const REQUESTS_UNDER_WAY_MAX: usize = 8;
/// A message: a request at its bound, and what encoding adds.
const MESSAGE_BYTES_MAX: usize = REQUEST_BYTES_MAX + (128 << 10);

/// The service.
#[derive(Clone)]
pub(super) struct IngestService {
    shared: Arc<Shared>,
    gateway: Gateway,
    rates: Rates,
    stop: CancellationToken,
}

/// One call: from whom, under which names, and its client's share.
struct Call {
    peer: Option<Peer>,
    names: Names,
    admitted: Option<Admitted>,
}

/// One request's answer, when it is known.
type Answer = BoxFuture<'static, Result<AppendResponse, Status>>;

impl IngestService {
    pub(super) fn server(
        shared: Arc<Shared>,
        gateway: Gateway,
        limits: IngestLimits,
        stop: CancellationToken,
    ) -> IngestServer<Self> {
        let rates = Rates::new(limits);
        IngestServer::new(Self { shared, gateway, rates, stop }).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn named(&self, name: &str) -> Option<(u32, &Hosted)> {
        let mut all = self.shared.computations.iter();
        let found = all.find(|(_, hosted)| hosted.spec.options.ingests && hosted.spec.name.as_str() == name);
        found.map(|(number, hosted)| (*number, hosted))
    }

    /// The numbers of the computations that append to `stream`, and follow the clock for it.
    fn ingested(&self, stream: &str) -> Result<(u32, u32), Status> {
        let found = self.named(&append_name(stream)).zip(self.named(&clock_name(stream)));
        found.map(|((append, _), (clock, _))| (append, clock)).ok_or_else(|| {
            let ingests = self.shared.computations.values().filter(|hosted| hosted.spec.options.ingests);
            let known: Vec<_> = ingests
                .flat_map(|hosted| &hosted.spec.outputs)
                .filter(|output| self.named(&append_name(&output.name)).is_some())
                .map(|output| output.name.as_str())
                .collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Status::not_found(format!("no stream {stream:?} is ingested; those that are: {known}"))
        })
    }

    /// Sends the records of a request on their way, once the client may send so much.
    async fn take(&self, call: &mut Call, request: AppendRequest) -> Result<Answer, Status> {
        let refused = |refused: Refused| Status::invalid_argument(refused.to_string());
        let names = &mut call.names;
        names.learn(&request).map_err(refused)?;
        let bytes = check(&request.records).map_err(refused)?;
        let (append, _) = self.ingested(&names.stream)?;
        let admitted = match &mut call.admitted {
            Some(admitted) => admitted,
            none => {
                let client = rates::identity(call.peer.as_ref(), &names.client);
                none.insert(self.rates.admit(client)?)
            }
        };
        admitted.wait(request.records.len(), bytes).await;
        let records = u32::try_from(request.records.len()).unwrap_or(u32::MAX);
        let key = Key::from(names.client.as_str());
        let values: Vec<Bytes> = request.records.iter().map(|record| record.encode_to_vec().into()).collect();
        let ids = request.records.into_iter().map(|record| record.id).collect();
        let told = self.gateway.send(append, key.clone(), values).await.map_err(stopping)?;
        let (shared, stream) = (self.shared.clone(), names.stream.clone());
        let answer = async move {
            match told.await.map_err(|_| stopping(Closed))? {
                Taken::InTime => {}
                Taken::PerhapsLate => shared.all_appended(append, &stream, &key, ids).await?,
            }
            Ok(AppendResponse { records })
        };
        Ok(answer.boxed())
    }

    /// Reads a call's requests until it ends, or one is refused.
    async fn read(
        self,
        peer: Option<Peer>,
        mut requests: Streaming<AppendRequest>,
        answers: mpsc::Sender<Result<Answer, Status>>,
    ) {
        let mut call = Call { peer, names: Names::default(), admitted: None };
        // First the room for an answer, then the request.
        while let Ok(place) = answers.reserve().await {
            let next = async {
                match requests.message().await? {
                    Some(request) => self.take(&mut call, request).await.map(Some),
                    None => Ok(None),
                }
            };
            let taken = tokio::select! {
                biased;
                () = self.stop.cancelled() => Err(stopping(Closed)),
                () = answers.closed() => return,
                taken = next => taken,
            };
            match taken.transpose() {
                None => return,
                Some(Ok(answer)) => place.send(Ok(answer)),
                Some(Err(status)) => return place.send(Err(status)),
            }
        }
    }
}

impl Shared {
    /// Looks whether all records of a request are in a stream that has ended; an error names the first that is not.
    async fn all_appended(
        &self,
        computation: u32,
        stream: &str,
        client: &Key,
        ids: Vec<Bytes>,
    ) -> Result<(), Status> {
        let Some(hosted) = self.hosted(computation) else { return Err(stopping(Closed)) };
        let places = ids.iter().map(|id| hosted.keys.state(client, &[], IDS.as_bytes(), id)).collect();
        let found = self.store.read(places).await.map_err(|error| Status::unavailable(error.to_string()))?;
        let Some(at) = found.iter().position(Option::is_none) else { return Ok(()) };
        metrics::counter!("pelton_ingest_records_too_late_total")
            .increment(found.iter().filter(|found| found.is_none()).count() as u64);
        Err(Status::failed_precondition(format!(
            "the stream {stream:?} is finished: record {at} of this request came after its end and is not in it; \
             records that came before are, and may be sent again"
        )))
    }
}

fn stopping(_: Closed) -> Status {
    Status::unavailable("this worker stops: send what is not answered again, to another worker")
}

#[tonic::async_trait]
impl Ingest for IngestService {
    type AppendStream = Pin<Box<dyn Stream<Item = Result<AppendResponse, Status>> + Send>>;

    async fn append(
        &self,
        request: Request<Streaming<AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let (answers, waiting) = mpsc::channel(REQUESTS_UNDER_WAY_MAX);
        let peer = Peer::of(&request).cloned();
        tokio::spawn(self.clone().read(peer, request.into_inner(), answers));
        let answers = ReceiverStream::new(waiting).then(|answer| async {
            match answer {
                Ok(answer) => answer.await,
                Err(status) => Err(status),
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn finish(&self, request: Request<FinishRequest>) -> Result<Response<FinishResponse>, Status> {
        let request = request.into_inner();
        let (_, clock) = self.ingested(&request.stream)?;
        let value = request.encode_to_vec().into();
        let told = self.gateway.send(clock, Key::from(clock::KEY), vec![value]).await.map_err(stopping)?;
        told.await.map_err(|_| stopping(Closed))?;
        Ok(Response::new(FinishResponse {}))
    }
}
