//! The calls, turned into events of the authority's task; an injector that stands by says who leads.

use super::events::{Event, Joined};
use super::role::Role;
use super::{MAILBOX_MAX, REQUEST_BYTES_MAX};
use futures_util::Stream;
use pelton_proto::injector::injector_server::{Injector, InjectorServer};
use pelton_proto::injector::{self as proto, InjectorMessage, worker_message::Kind};
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

/// How long a worker may take for its first message.
const HELLO_WAIT_MAX: Duration = Duration::from_secs(10);
/// The metadata entry that names the leader.
const LEADER: &str = "pelton-leader";

/// The calls of one injector, whether it leads or not. Clones are the same.
#[derive(Clone, Debug)]
pub struct InjectorService {
    roles: watch::Receiver<Role>,
    tasks: TaskTracker,
}

/// Where the events of the present leadership go.
#[derive(Clone, Debug)]
pub struct Mailbox(pub(super) mpsc::Sender<Event>);

pub(super) fn mailbox() -> (Mailbox, mpsc::Receiver<Event>) {
    let (sender, receiver) = mpsc::channel(MAILBOX_MAX);
    (Mailbox(sender), receiver)
}

impl InjectorService {
    /// The calls of an injector whose role `roles` shows.
    #[must_use]
    pub fn new(roles: watch::Receiver<Role>) -> Self {
        Self { roles, tasks: TaskTracker::new() }
    }

    /// The service, with its messages bounded, for a server.
    #[must_use]
    pub fn server(self) -> InjectorServer<Self> {
        InjectorServer::new(self)
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(pelton_transport::MESSAGE_BYTES_MAX)
    }

    fn leading(&self) -> Result<mpsc::Sender<Event>, Status> {
        match &*self.roles.borrow() {
            Role::Leading { mailbox, .. } => Ok(mailbox.0.clone()),
            Role::StandingBy { leader } => Err(elsewhere(leader.as_deref())),
        }
    }

    async fn ask<T>(
        &self,
        event: impl FnOnce(oneshot::Sender<Result<T, Status>>) -> Event,
    ) -> Result<T, Status> {
        let mailbox = self.leading()?;
        let (reply, answer) = oneshot::channel();
        mailbox.send(event(reply)).await.map_err(|_| elsewhere(None))?;
        answer.await.unwrap_or_else(|_| Err(elsewhere(None)))
    }

    /// Reads a worker's stream until it or the session ends.
    async fn listen(
        mailbox: mpsc::Sender<Event>,
        mut incoming: Streaming<proto::WorkerMessage>,
        joined: (crate::membership::SessionId, tokio_util::sync::CancellationToken),
    ) {
        let (session, over) = joined;
        let why = loop {
            let message = tokio::select! {
                biased;
                () = over.cancelled() => return,
                message = incoming.message() => message,
            };
            match message {
                Ok(Some(message)) => {
                    if mailbox.send(Event::Message(session, message)).await.is_err() {
                        return;
                    }
                }
                Ok(None) => break None,
                Err(status) => break Some(status),
            }
        };
        let _ = mailbox.send(Event::Broken(session, why)).await;
    }
}

/// The answer of an injector that does not lead.
fn elsewhere(leader: Option<&str>) -> Status {
    let words = match leader {
        Some(address) => format!("this injector stands by; {address} leads"),
        None => "this injector stands by, and knows no leader yet; try again, or another".to_owned(),
    };
    let mut status = Status::unavailable(words);
    if let Some(address) = leader.and_then(|address| MetadataValue::try_from(address).ok()) {
        status.metadata_mut().insert(LEADER, address);
    }
    status
}

#[tonic::async_trait]
impl Injector for InjectorService {
    type JoinStream = Pin<Box<dyn Stream<Item = Result<InjectorMessage, Status>> + Send>>;

    async fn join(
        &self,
        request: Request<Streaming<proto::WorkerMessage>>,
    ) -> Result<Response<Self::JoinStream>, Status> {
        // Before it waits for the Hello: who asks the wrong one is to know at once.
        let mailbox = self.leading()?;
        let mut incoming = request.into_inner();
        let first = tokio::select! {
            first = tokio::time::timeout(HELLO_WAIT_MAX, incoming.message()) => first,
            () = mailbox.closed() => return Err(elsewhere(None)),
        };
        let first = first.map_err(|_| Status::deadline_exceeded("no Hello came; send it first"))??;
        let Some(Kind::Hello(hello)) = first.and_then(|message| message.kind) else {
            return Err(Status::invalid_argument("the first message must be a Hello"));
        };
        let Joined { session, outgoing, over } =
            self.ask(|reply| Event::Join(Box::new(hello), reply)).await?;
        self.tasks.spawn(Self::listen(mailbox, incoming, (session, over)));
        Ok(Response::new(Box::pin(outgoing.stream())))
    }

    async fn status(
        &self,
        request: Request<proto::StatusRequest>,
    ) -> Result<Response<proto::StatusResponse>, Status> {
        self.ask(|reply| Event::Status(request.into_inner(), reply)).await.map(Response::new)
    }

    async fn explain(
        &self,
        request: Request<proto::ExplainRequest>,
    ) -> Result<Response<proto::ExplainResponse>, Status> {
        self.ask(|reply| Event::Explain(request.into_inner(), reply)).await.map(Response::new)
    }

    async fn drain(
        &self,
        request: Request<proto::DrainRequest>,
    ) -> Result<Response<proto::DrainResponse>, Status> {
        self.ask(|reply| Event::Drain(request.into_inner(), reply)).await.map(Response::new)
    }
}
