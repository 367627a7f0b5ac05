//! The service that takes deliveries from other processes.
//!
//! Each goes into the mailbox of the reign that it is for; where that is not here, its sender is told who owns the
//! interval, as far as is known. Nothing is acknowledged here: that is done by the interval, once the effects are
//! durable (I4).

use super::returns::{ReturnPath, Returns};
use super::{Identity, wire};
use crate::engine::channel::Party;
use crate::engine::gateway::OUTSIDE;
use crate::engine::router::{Mail, RouteTable, Router};
use pelton_proto::worker::delivery_server::{Delivery, DeliveryServer};
use pelton_proto::worker::{self, answer, deliver_request, deliver_response};
use std::collections::HashSet;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

/// Answers in one message.
const ANSWERS_MAX: usize = 1024;

/// Takes deliveries from other processes of the pipeline.
#[derive(Clone, Debug)]
pub(crate) struct DeliveryService {
    identity: Identity,
    router: Router,
}

impl DeliveryService {
    pub(crate) fn server(identity: Identity, router: Router) -> DeliveryServer<Self> {
        DeliveryServer::new(Self { identity, router })
            .max_decoding_message_size(pelton_transport::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(pelton_transport::MESSAGE_BYTES_MAX)
    }

    fn check(&self, hello: &worker::Hello) -> Result<(), Status> {
        if hello.protocol != pelton_proto::PROTOCOL {
            let (theirs, ours) = (hello.protocol, pelton_proto::PROTOCOL);
            return Err(Status::failed_precondition(format!(
                "worker {:?} speaks protocol {theirs}, and this one {ours}: run versions that speak the same",
                hello.worker
            )));
        }
        if hello.pipeline != self.identity.pipeline.as_str() {
            return Err(Status::failed_precondition(format!(
                "worker {:?} is of pipeline {:?}, and this one of {:?}: check the addresses",
                hello.worker,
                hello.pipeline,
                self.identity.pipeline.as_str()
            )));
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl Delivery for DeliveryService {
    type DeliverStream = Answers;

    async fn deliver(
        &self,
        request: Request<Streaming<worker::DeliverRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let mut requests = request.into_inner();
        let first = requests.message().await?.and_then(|message| message.kind);
        let Some(deliver_request::Kind::Hello(hello)) = first else {
            return Err(Status::invalid_argument("the first message is no hello"));
        };
        self.check(&hello)?;
        let (answers, waiting) = mpsc::unbounded_channel();
        let returns = self.router.returns();
        let path = returns.open(answers);
        let (ended, end) = tokio::sync::oneshot::channel();
        let (router, worker) = (self.router.clone(), hello.worker);
        tokio::spawn(async move {
            let status = receive(&router, &returns, &path, requests).await;
            returns.close(&path);
            if let Some(status) = status {
                tracing::debug!(worker, %status, "a delivery stream ended");
                // The other side has gone already.
                let _ = ended.send(status);
            }
        });
        Ok(Response::new(Answers { hello: Some(self.identity.hello()), waiting, end: Some(end) }))
    }
}

/// Takes deliveries until the stream ends; the reason, where it was not its sender's.
async fn receive(
    router: &Router,
    returns: &Returns,
    path: &ReturnPath,
    mut requests: Streaming<worker::DeliverRequest>,
) -> Option<Status> {
    let mut unknown = HashSet::new();
    loop {
        let message = match requests.message().await {
            Ok(Some(message)) => message,
            Ok(None) => return None,
            Err(status) => return Some(status),
        };
        let Some(deliver_request::Kind::Batch(batch)) = message.kind else {
            return Some(Status::invalid_argument("a message that is no batch"));
        };
        let table = router.table();
        for message in &batch.deliveries {
            match wire::read_delivery(message) {
                Ok(received) => {
                    returns.heard(received.from, path);
                    if is_unknown(&table, &mut unknown, &received) {
                        continue;
                    }
                    hand_over(&table, path, received);
                }
                Err(malformed) => return Some(Status::invalid_argument(malformed.to_string())),
            }
        }
    }
}

/// Whether it is of a newer graph than this program's: then it waits until the interval has moved. What comes after it on
/// the same channel waits too, for nothing must overtake it (I9).
fn is_unknown(table: &RouteTable, unknown: &mut HashSet<(Party, Party)>, received: &wire::Received) -> bool {
    let wire::Received { from, to, mail } = received;
    let Mail::Deliver { delivery, .. } = mail else { return false };
    if !unknown.contains(&(*from, *to)) {
        if table.streams.knows(*from, *to, &delivery.items, OUTSIDE) {
            return false;
        }
        let (from, to) = (from.address.computation, to.address.computation);
        tracing::info!(from, to, "left records of a newer graph for a newer program");
    }
    unknown.insert((*from, *to));
    true
}

fn hand_over(table: &RouteTable, path: &ReturnPath, received: wire::Received) {
    let wire::Received { from, to, mail } = received;
    let Mail::Deliver { epoch, .. } = &mail else { return };
    let epoch = *epoch;
    if let Some(mailbox) = table.here(to)
        && mailbox.send(mail).is_ok()
    {
        return;
    }
    let owner = table.away(to.address.computation, to.address.first).map(|(interval, party, outbound)| {
        worker::Route {
            computation: party.address.computation,
            first_position: interval.first().0,
            last_position: interval.last().0,
            sequencer: party.sequencer.get(),
            worker: outbound.worker.to_string(),
            process: outbound.process.clone(),
            address: outbound.address.clone(),
        }
    });
    let kind = Some(answer::Kind::NotHere(worker::NotHere { owner }));
    let (from, to) = (Some(wire::party(from)), Some(wire::party(to)));
    let answer = worker::Answer { from, to, epoch, at_end: false, kind };
    let _ = path.answers.send(answer);
}

/// The answers of one stream, as many in a message as there are: a hello first, at the end the reason.
#[derive(Debug)]
pub(crate) struct Answers {
    hello: Option<worker::Hello>,
    waiting: mpsc::UnboundedReceiver<worker::Answer>,
    end: Option<tokio::sync::oneshot::Receiver<Status>>,
}

impl Stream for Answers {
    type Item = Result<worker::DeliverResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(hello) = self.hello.take() {
            let kind = Some(deliver_response::Kind::Hello(hello));
            return Poll::Ready(Some(Ok(worker::DeliverResponse { kind })));
        }
        let mut answers = Vec::new();
        if let Poll::Ready(count) = self.waiting.poll_recv_many(cx, &mut answers, ANSWERS_MAX)
            && count > 0
        {
            let kind = Some(deliver_response::Kind::Answers(worker::Answers { answers }));
            return Poll::Ready(Some(Ok(worker::DeliverResponse { kind })));
        }
        let Some(end) = self.end.as_mut() else { return Poll::Ready(None) };
        match Pin::new(end).poll(cx) {
            Poll::Ready(status) => {
                self.end = None;
                Poll::Ready(status.ok().map(Err))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
