//! Listening (I11: messages and streams are bounded).

use crate::security::Security;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// Where and how a service listens.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// The address; port 0 takes any free one.
    pub address: SocketAddr,
    /// Who may connect.
    pub security: Security,
    /// Whether an address that other machines can reach may be used without TLS.
    pub exposed_without_tls: bool,
}

impl ListenOptions {
    /// Listens at `address`, in plaintext.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, security: Security::none(), exposed_without_tls: false }
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
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes the address.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn bind(options: &ListenOptions) -> Result<Self, ListenError> {
        let address = options.address;
        let open = !address.ip().is_loopback();
        if open && !options.security.is_mutual_tls() && !options.exposed_without_tls {
            return Err(ListenError::Exposed { address });
        }
        let failed = |error| ListenError::Bind { address, error };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `routes` until `stop`, then lets calls that have begun end.
    ///
    /// # Errors
    /// Where the connection handling itself fails.
    pub async fn serve(self, routes: Routes, stop: CancellationToken) -> Result<(), tonic::transport::Error> {
        tonic::transport::Server::builder()
            .tcp_nodelay(true)
            .http2_keepalive_interval(Some(Duration::from_secs(10)))
            .add_routes(routes)
            .serve_with_incoming_shutdown(TcpListenerStream::new(self.listener), stop.cancelled_owned())
            .await
    }
}
