//! A state store, served over gRPC to the workers and injectors of other processes.
//!
//! Any [`StoreHandle`] can stand behind it; usually it is an [`Embedded`](crate::embedded::Embedded) one. The contract is
//! `proto/pelton/statestore/v1/statestore.proto`, the client is [`Remote`](crate::remote::Remote), and the program is the
//! binary `pelton-statestore`.
//!
//! | file | what |
//! |---|---|
//! | `service` | the calls |
//! | `request` | what was asked, checked: bytes that mean nothing are an error in words |
//! | `answer` | what the store said, in the words of the contract |
//! | `budget` | the memory that connections may take |
//! | `admission` | weighing what comes in and what goes out |
//! | `broken` | a store that failed ends the service |
//!
//! Invariants kept here: I1 (preconditions go to the store as they came; nothing is answered from memory), I3 (whatever
//! leaves an outcome open is answered as unknown; a status that stands for "nothing was written" is only given before
//! the store is asked), I11 (requests and unread answers have a budget for each connection and for all together; what
//! is over it is refused, not queued).
//!
//! Not here: how connections are made and secured (`pelton-transport`), and who may write what: a client that may
//! connect may write everything.

mod admission;
mod answer;
mod broken;
mod budget;
mod request;
mod service;
#[cfg(test)]
mod tests;

use crate::store::{StoreFault, StoreHandle};
use broken::Broken;
use budget::{Budgets, ByteLimits};
use pelton_proto::statestore::state_store_server::StateStoreServer;
use pelton_transport::Server;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// The most keys of one Read.
pub const READ_KEYS_MAX: usize = 4096;

/// The most bytes of keys and values in one answer. One entry is always answered.
pub const ANSWER_BYTES_MAX: usize = 1_000_000;

/// Why a service ended that was not told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store failed. What is durable is known only after reopening it: end the process and start it again.
    #[error(
        "the store failed, and what is durable is known only after reopening it: start the server again ({0})"
    )]
    Store(StoreFault),
    /// Connections cannot be served.
    #[error("connections cannot be served: {0}")]
    Connections(#[from] tonic::transport::Error),
}

/// Serves `store` until `stop`, then lets calls that have begun end, for as long as the server's limits say.
///
/// When it returns, connections that were cut may hold a handle on the store until their tasks have ended.
///
/// # Errors
/// [`ServeError`]: with [`ServeError::Store`] once a call to the store ended in
/// [`Fatal`](crate::CommitError::Fatal). A process must then end, and its supervisor start it again, since no call
/// can succeed any more.
pub async fn serve(server: Server, store: StoreHandle, stop: CancellationToken) -> Result<(), ServeError> {
    let broken = Arc::new(Broken::default());
    let ending = CancellationToken::new();
    let server = server.naming::<StateStoreServer<service::Service>>();
    let serving = server.serve(routes(store, Arc::clone(&broken), ByteLimits::default()), ending.clone());
    tokio::pin!(serving);
    tokio::select! {
        biased;
        ended = &mut serving => return Ok(ended?),
        () = broken.noticed() => {}
        () = stop.cancelled() => {}
    }
    ending.cancel();
    serving.await?;
    broken.fault().map_or(Ok(()), |fault| Err(ServeError::Store(fault)))
}

fn routes(store: StoreHandle, broken: Arc<Broken>, limits: ByteLimits) -> Routes {
    let service = service::Service::new(store, broken).into_server();
    Routes::new(admission::Admission::new(service, Budgets::new(limits)))
}

/// The server's side of the wire, for tests of the client's.
#[cfg(test)]
pub(crate) mod testing {
    pub(crate) use super::answer::outcome;
    pub(crate) use super::request::commit;
}
