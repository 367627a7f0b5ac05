//! What a worker answers to those outside of the pipeline, the same for one that has joined and for an engine with its
//! injector in the same process: records from outside, and a look at what is kept.

use super::ingest::{IngestLimits, IngestService};
use super::inspect::InspectService;
use super::local_authority::LocalAuthority;
use super::{Engine, Shared};
use crate::engine::gateway::Gateway;
use pelton_proto::injector::injector_server::InjectorServer;
use pelton_transport::{ListenError, ListenOptions, Server};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// The services for those outside, until `stop`. `process` is unique to this process.
pub(super) fn for_outside(
    shared: &Arc<Shared>,
    process: u128,
    limits: IngestLimits,
    stop: &CancellationToken,
) -> Routes {
    let gateway = Gateway::start(
        shared.router.clone(),
        shared.options.clock.clone(),
        (shared.options.interval.credit(), shared.options.interval.resend_after),
        process,
        stop.clone(),
    );
    Routes::new(InspectService::server(shared.clone())).add_service(IngestService::server(
        shared.clone(),
        gateway,
        limits,
        stop.clone(),
    ))
}

/// An engine's services, while they are answered.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Engine {
    /// Answers at an address what a worker and its injector would: records from outside
    /// ([`Ingest`](crate::Ingest)), health and reflection, and all that the command `pelton` asks. It takes no
    /// workers: the whole pipeline runs here.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn listen(
        &self,
        options: &ListenOptions,
        limits: IngestLimits,
    ) -> Result<Listening, ListenError> {
        let server = Server::bind(options).await?;
        let (address, stop) = (server.address(), CancellationToken::new());
        let process = (self.shared.options.tokens)().0;
        let authority = LocalAuthority::new(self, address, process);
        let routes =
            for_outside(&self.shared, process, limits, &stop).add_service(InjectorServer::new(authority));
        let (serving, failed) = (server.serve(routes, stop.clone()), self.shared.clone());
        let serving = tokio::spawn(async move {
            if let Err(error) = serving.await {
                failed.fail(format!("nobody can reach this process any more: {error}"));
            }
        });
        Ok(Listening { address, stop, serving })
    }
}

impl Listening {
    /// Where.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it: calls that have begun may end first, within [`pelton_transport::Limits::drain_ms_max`].
    pub async fn stop(self) {
        self.stop.cancel();
        // Where its task was cancelled, the runtime is ending.
        let _ = self.serving.await;
    }
}
