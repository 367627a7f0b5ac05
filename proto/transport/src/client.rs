//! Connecting.
//!
//! A connection that fails is logged here with its address and the reason, because a call only fails with
//! UNAVAILABLE; what TLS said is in the chain of the status' sources as well.

use crate::network;
use crate::security::Security;
use crate::wire::{Wire, in_handshake, in_words, tls_error};
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

/// How long connecting may take, the TLS handshake included.
const CONNECT_SECONDS_MAX: u64 = 5;

/// The first byte of a TLS alert, which no HTTP/2 server begins with.
const TLS_ALERT: u8 = 0x15;

/// Why an address cannot be connected to at all.
#[derive(Debug, thiserror::Error)]
#[error("{address:?} is no address: write HOST:PORT ({reason})")]
pub struct ConnectError {
    address: String,
    reason: String,
}

/// A channel to `address` (HOST:PORT) that connects when it is first used, and again when it must.
///
/// Calls fail with UNAVAILABLE while it cannot. Where the connection ends under them they fail with UNAVAILABLE,
/// CANCELLED or UNKNOWN, as it happens: none of these says that the call was not carried out (I3).
///
/// An IPv6 address stands in brackets: `[::1]:7400`. With TLS the server must have a certificate for HOST, or for
/// the name that `security` has.
///
/// # Errors
/// [`ConnectError`] where the address is none.
pub fn connect(address: &str, security: &Security) -> Result<Channel, ConnectError> {
    let bad = |reason: String| ConnectError { address: address.to_owned(), reason };
    let target = Target::parse(address).map_err(|reason| bad(reason.to_owned()))?;
    if security.is_mutual_tls() {
        security.server_name(&target.host).map_err(|error| bad(error.to_string()))?;
    }
    let scheme = if security.is_mutual_tls() { "https" } else { "http" };
    let endpoint =
        Endpoint::from_shared(format!("{scheme}://{address}")).map_err(|error| bad(error.to_string()))?;
    let security = security.clone();
    let target = Arc::new(target);
    let connector = service_fn(move |_: Uri| {
        let (target, security) = (Arc::clone(&target), security.clone());
        async move { dial(&target, &security).await.map(TokioIo::new) }
    });
    Ok(endpoint
        .http2_keep_alive_interval(Duration::from_secs(5))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(connector))
}

/// What an address names, and how the last attempt to reach it failed.
#[derive(Debug)]
struct Target {
    host: String,
    port: u16,
    reported: Mutex<Option<String>>,
}

impl Target {
    fn parse(address: &str) -> Result<Self, &'static str> {
        let (host, port) = address.rsplit_once(':').ok_or("there is no port")?;
        let port = port.parse().map_err(|_| "there is no port")?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or("a bracket is open")?,
            None if host.contains(':') => return Err("an IPv6 address stands in brackets"),
            None => host,
        };
        if host.is_empty() {
            Err("there is no host")
        } else {
            Ok(Self { host: host.to_owned(), port, reported: Mutex::default() })
        }
    }

    /// Whether an attempt ended otherwise than the one before. Callers try again and again: a reason is logged once.
    fn is_news(&self, failed: Option<&str>) -> bool {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let news = reported.as_deref() != failed;
        *reported = failed.map(str::to_owned);
        news
    }
}

async fn dial(target: &Target, security: &Security) -> io::Result<Dialed> {
    let limit = Duration::from_secs(CONNECT_SECONDS_MAX);
    let opened = match tokio::time::timeout(limit, open(target, security)).await {
        Ok(opened) => opened,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no connection within {CONNECT_SECONDS_MAX} s"),
        )),
    };
    let Target { host, port, .. } = target;
    match opened {
        Ok(wire) => {
            target.is_news(None);
            Ok(Dialed { wire, peer: format!("{host}:{port}"), heard: false })
        }
        Err(error) => {
            let reason = in_words(&error);
            // Wrong certificates are somebody's mistake; one that cannot be reached may just have been stopped, and
            // whoever calls says so.
            if error.kind() == io::ErrorKind::InvalidData {
                tracing::warn!(%host, port, %reason, "cannot connect");
            } else {
                tracing::debug!(%host, port, %reason, "cannot connect");
            }
            Err(io::Error::new(
                error.kind(),
                format!("cannot connect to {host}:{port}: {}", in_words(&error)),
            ))
        }
    }
}

async fn open(target: &Target, security: &Security) -> io::Result<Wire> {
    let stream = network::connect(&target.host, target.port).await?;
    let Some(credentials) = security.current().await else { return Ok(Wire::Plain(stream)) };
    let name = security.server_name(&target.host).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::clone(&credentials.client));
    let stream = connector.connect(name, stream).await.map_err(in_handshake)?;
    Ok(Wire::Tls(Box::new(stream.into())))
}

/// A connection that was made from here. A server's refusal of this side's certificate comes after the handshake,
/// with the first read, and so does the alert of a server that expected TLS.
#[derive(Debug)]
struct Dialed {
    wire: Wire,
    peer: String,
    heard: bool,
}

impl Dialed {
    fn refused(&self, reason: &str) -> io::Error {
        tracing::warn!(peer = %self.peer, %reason, "the connection was refused");
        io::Error::new(
            io::ErrorKind::ConnectionRefused,
            format!("{} refused the connection: {reason}", self.peer),
        )
    }
}

impl AsyncRead for Dialed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = std::task::ready!(Pin::new(&mut self.wire).poll_read(cx, into));
        if self.heard {
            return Poll::Ready(read);
        }
        self.heard = true;
        Poll::Ready(match read {
            Err(error) if tls_error(&error).is_some() => Err(self.refused(&in_words(&error))),
            Ok(())
                if matches!(self.wire, Wire::Plain(_)) && into.filled().get(before) == Some(&TLS_ALERT) =>
            {
                Err(self.refused("it speaks TLS, and this side has no certificate"))
            }
            read => read,
        })
    }
}

impl AsyncWrite for Dialed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        let target = |address| Target::parse(address).map(|Target { host, port, .. }| (host, port));
        assert_eq!(target("injector-0:7400"), Ok(("injector-0".to_owned(), 7400)));
        assert_eq!(target("[::1]:7400"), Ok(("::1".to_owned(), 7400)));
        for bad in ["", "host", ":7400", "host:", "host:70000", "::1:7400", "[::1:7400", "[]:1"] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }
}
