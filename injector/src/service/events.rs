//! What the authority's task is told.

use super::session::Outgoing;
use crate::membership::SessionId;
use pelton_proto::injector as proto;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// An answer to one call.
pub(super) type Reply<T> = oneshot::Sender<Result<T, Status>>;

/// What a worker that joins is given.
pub(super) struct Joined {
    pub(super) session: SessionId,
    pub(super) outgoing: Outgoing,
    /// Cancelled when the session is over.
    pub(super) over: CancellationToken,
}

/// One event.
pub(super) enum Event {
    Join(Box<proto::Hello>, Reply<Joined>),
    Message(SessionId, proto::WorkerMessage),
    /// A stream ended; why, where the worker is to be told.
    Broken(SessionId, Option<Status>),
    Status(proto::StatusRequest, Reply<proto::StatusResponse>),
    Explain(proto::ExplainRequest, Reply<proto::ExplainResponse>),
    Drain(proto::DrainRequest, Reply<proto::DrainResponse>),
}
