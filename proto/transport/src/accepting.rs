//! Accepting connections (I11): so many at once, each with a deadline for its handshake, none in another's way.

use crate::connection::Connection;
use crate::limits::Limits;
use crate::network::{Bytestream, Listen, accept};
use crate::peer::{ClientIdentity, Clients, Peer};
use crate::security::Security;
use crate::wire::{Wire, in_handshake, in_words};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How long accepting rests after it failed, so that a process without file descriptors does not spin.
const REST_MS: u64 = 100;

/// How much, and for how long, a client that was refused is heard out.
const LINGER_MS_MAX: u64 = 1_000;
const LINGER_BYTES_MAX: u64 = 64 << 10;

/// How often the TLS files are looked at while nobody connects.
const TLS_FILES_SECONDS: u64 = 5;

/// What every connection is made with.
#[derive(Clone)]
pub(crate) struct Accepting {
    pub(crate) security: Security,
    pub(crate) limits: Limits,
    /// How many connections each client has.
    pub(crate) clients: Clients,
    /// No more connections; those whose clients have not spoken end.
    pub(crate) stop: CancellationToken,
    /// Ends connections at once.
    pub(crate) cut: CancellationToken,
    /// Takes them.
    pub(crate) out: mpsc::Sender<Connection>,
}

impl Accepting {
    /// Accepts until it is to stop, or until nobody takes connections any more. Handshakes that are under way are then
    /// given up.
    pub(crate) async fn run(self, mut listener: Box<dyn Listen>) {
        let places = Arc::new(Semaphore::new(self.limits.connections_max));
        let mut handshakes = JoinSet::new();
        let mut look = interval(Duration::from_secs(TLS_FILES_SECONDS));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut full = false;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = self.out.closed() => return,
                Some(_) = handshakes.join_next() => continue,
                _ = look.tick() => {
                    self.security.current().await;
                    continue;
                }
                accepted = accept(&mut *listener) => accepted,
            };
            match accepted {
                Ok((stream, peer)) => match Arc::clone(&places).try_acquire_owned() {
                    Ok(place) => {
                        full = false;
                        handshakes.spawn(self.clone().admit(stream, peer, place));
                    }
                    Err(_) => {
                        self.turn_away(peer, full);
                        full = true;
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(REST_MS)).await;
                }
            }
        }
    }

    /// Closed rather than kept waiting: the client hears of it at once, and comes again after a while.
    fn turn_away(&self, peer: SocketAddr, again: bool) {
        let connections_max = self.limits.connections_max;
        refused("all");
        if again {
            tracing::debug!(%peer, connections_max, "closed a connection: there are as many as there may be");
        } else {
            tracing::warn!(%peer, connections_max, "closed a connection: there are as many as there may be");
        }
    }

    fn turn_client_away(&self, peer: SocketAddr, client: &ClientIdentity) {
        let connections_per_client_max = self.limits.connections_per_client_max;
        refused("client");
        if self.clients.is_first_refusal(client) {
            tracing::warn!(%peer, %client, connections_per_client_max, "closed a connection: its client has as many as it may have");
        } else {
            tracing::debug!(%peer, %client, connections_per_client_max, "closed a connection: its client has as many as it may have");
        }
    }

    async fn admit(self, stream: Box<dyn Bytestream>, peer: SocketAddr, place: OwnedSemaphorePermit) {
        let limit = Duration::from_millis(self.limits.greeting_ms_max);
        let wire = match timeout(limit, self.secure(stream)).await {
            Ok(Ok(wire)) => wire,
            Ok(Err(error)) => {
                tracing::warn!(%peer, reason = %in_words(&error), "a TLS handshake failed");
                return;
            }
            Err(_) => {
                let limit_ms = self.limits.greeting_ms_max;
                tracing::warn!(%peer, limit_ms, "closed a connection whose client does not speak");
                return;
            }
        };
        let identity = ClientIdentity::of(wire.shown(), peer.ip());
        let Some(client) = self.clients.enter(&identity) else {
            return self.turn_client_away(peer, &identity);
        };
        let peer = Peer { identity, address: peer };
        let connection = Connection::new(wire, peer, limit, (&self.stop, &self.cut), (place, client));
        // Nobody takes it where the server has ended.
        let _ = self.out.send(connection).await;
    }

    async fn secure(&self, stream: Box<dyn Bytestream>) -> std::io::Result<Wire> {
        match self.security.current().await {
            None => Ok(Wire::Plain(stream)),
            Some(credentials) => {
                let acceptor = TlsAcceptor::from(Arc::clone(&credentials.server));
                match acceptor.accept(stream).into_fallible().await {
                    Ok(stream) => Ok(Wire::Tls(Box::new(stream.into()))),
                    Err((error, stream)) => {
                        let _ = timeout(Duration::from_millis(LINGER_MS_MAX), hear_out(stream)).await;
                        Err(in_handshake(error))
                    }
                }
            }
        }
    }
}

/// Waits for a refused client to close. Closing while it still sends would reset the connection, and what it was
/// told of the reason would be lost with it.
async fn hear_out(mut stream: Box<dyn Bytestream>) {
    if stream.shutdown().await.is_ok() {
        let _ = tokio::io::copy(&mut stream.take(LINGER_BYTES_MAX), &mut tokio::io::sink()).await;
    }
}

/// Counts a connection that was closed for a limit: of all connections, or of one client's.
fn refused(limit: &'static str) {
    metrics::counter!("pelton_connections_refused_total", "limit" => limit).increment(1);
}
