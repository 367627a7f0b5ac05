//! Listening (I11: messages, streams and connections are bounded).

use crate::accepting::Accepting;
use crate::introspection::Introspection;
use crate::limits::Limits;
use crate::network::{self, Listen};
use crate::peer::Clients;
use crate::security::Security;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use tonic::service::Routes;

/// Connections whose handshake is done and that are not yet served.
const HANDED_OVER_MAX: usize = 16;

/// Where and how a service listens.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// The address; port 0 takes any free one.
    pub address: SocketAddr,
    /// Who may connect.
    pub security: Security,
    /// Whether an address that other machines can reach may be used without TLS.
    pub exposed_without_tls: bool,
    /// How much is taken on.
    pub limits: Limits,
}

impl ListenOptions {
    /// Listens at `address`, in plaintext.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, security: Security::none(), exposed_without_tls: false, limits: Limits::default() }
    }
}

/// Why a service does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Others could read and change everything.
    #[error(
        "{address} can be reached from other machines, and there is no TLS: give certificates, listen at 127.0.0.1, or say that it is to be exposed without TLS"
    )]
    Exposed {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be had.
    #[error("cannot listen at {address}: {error}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
}

/// A bound address whose service has not begun.
#[derive(Debug)]
pub struct Server {
    listener: Box<dyn Listen>,
    address: SocketAddr,
    security: Security,
    limits: Limits,
    services: Vec<&'static str>,
}

impl Server {
    /// Takes the address.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn bind(options: &ListenOptions) -> Result<Self, ListenError> {
        let address = options.address;
        let open = !address.ip().to_canonical().is_loopback();
        if open && !options.security.is_mutual_tls() && !options.exposed_without_tls {
            return Err(ListenError::Exposed { address });
        }
        let failed = |error| ListenError::Bind { address, error };
        let listener = network::listen(address).await.map_err(failed)?;
        let address = listener.address();
        let security = options.security.clone();
        Ok(Self { listener, address, security, limits: options.limits, services: Vec::new() })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has health answer for the service `S` by name, and reflection list it:
    /// `server.naming::<WorkerServer<()>>()`. The routes do not tell what is in them. Where nothing is named,
    /// health answers for the whole (the empty name) only, and reflection lists every contract of Pelton's.
    #[must_use]
    pub fn naming<S: NamedService>(mut self) -> Self {
        self.services.push(S::NAME);
        self
    }

    /// Serves `routes`, and gRPC health and reflection beside them, until `stop`; then health says NOT_SERVING, and
    /// calls that have begun may end within [`Limits::drain_ms_max`]. `routes` must not have health or reflection
    /// of their own.
    ///
    /// Dropping the future cuts all connections.
    ///
    /// # Errors
    /// Where the connection handling itself fails.
    pub async fn serve(self, routes: Routes, stop: CancellationToken) -> Result<(), tonic::transport::Error> {
        let limits = self.limits;
        let introspection = Introspection::new(&self.services).await;
        let routes = introspection.add_to(routes);
        let cut = CancellationToken::new();
        let _cut_when_dropped = cut.clone().drop_guard();
        let (out, connections) = mpsc::channel(HANDED_OVER_MAX);
        // tonic goes on without its signal where connections end first, and nobody would be told of the stop.
        let _until_the_end = out.clone();
        let accepting = Accepting {
            security: self.security,
            limits,
            clients: Clients::new(limits.connections_per_client_max),
            stop: stop.clone(),
            cut: cut.clone(),
            out,
        };
        let accepting = accepting.run(self.listener);
        let stopping = async {
            stop.cancelled().await;
            introspection.stop_serving().await;
        };
        let serving = builder(&limits).add_routes(routes).serve_with_incoming_shutdown(
            ReceiverStream::new(connections).map(Ok::<_, Infallible>),
            stopping,
        );
        let draining = async {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_millis(limits.drain_ms_max)).await;
            tracing::warn!(address = %self.address, drain_ms_max = limits.drain_ms_max, "cut the calls that went on after the stop");
            cut.cancel();
            std::future::pending::<()>().await;
        };
        let served = async { tokio::join!(serving, accepting).0 };
        tokio::select! {
            biased;
            served = served => served,
            () = draining => Ok(()),
        }
    }
}

fn builder(limits: &Limits) -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .max_concurrent_streams(limits.streams_per_connection_max)
        .concurrency_limit_per_connection(limits.calls_per_connection_max)
        .http2_max_header_list_size(limits.header_bytes_max)
        .http2_keepalive_interval(Some(Duration::from_millis(limits.keep_alive_ms)))
        .http2_keepalive_timeout(Some(Duration::from_millis(limits.keep_alive_answer_ms_max)))
}
