//! A connection that was accepted: it must begin to speak in time, and ends when the server does.

use crate::peer::{ClientPlace, Peer};
use crate::wire::{Wire, in_words, tls_error};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// The first byte of a TLS handshake, which no HTTP/2 client begins with.
const TLS_HANDSHAKE: u8 = 0x16;

/// An HTTP/2 client's preface and the head of its first frame. Once they are here, keep-alive looks after the
/// connection.
const GREETING_BYTES: usize = 24 + 9;

/// How long a client may leave the goodbye of a service that stops unanswered. The answer is HTTP/2's own and comes at
/// once from whoever lives; without it the service would wait for a process that hangs.
const GOODBYE_MS_MAX: u64 = 2_000;

/// One accepted connection. Dropping it gives its place to another.
pub(crate) struct Connection {
    wire: Wire,
    peer: Peer,
    greeting: Option<Greeting>,
    goodbye: Goodbye,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _places: (OwnedSemaphorePermit, ClientPlace),
}

/// What is still to come before the client counts as one that speaks.
struct Greeting {
    bytes: usize,
    deadline: Pin<Box<Sleep>>,
    limit: Duration,
}

/// How far the end of the service is.
enum Goodbye {
    /// It goes on until this.
    Before(Pin<Box<WaitForCancellationFutureOwned>>),
    /// It stops, and nothing has come from the client since; until when that is waited for.
    Unanswered(Pin<Box<Sleep>>),
    /// It stops, and the client lives: calls may end.
    Answered,
}

impl Connection {
    /// Ends when `cut` is cancelled, and where the client does not speak within `greeting_limit`. Once `stop` is
    /// cancelled, it ends at once where the client has not spoken, since the server would wait for its greeting before
    /// it says goodbye; and soon where it does not answer that.
    pub(crate) fn new(
        wire: Wire,
        peer: Peer,
        greeting_limit: Duration,
        (stop, cut): (&CancellationToken, &CancellationToken),
        places: (OwnedSemaphorePermit, ClientPlace),
    ) -> Self {
        let deadline = Box::pin(tokio::time::sleep(greeting_limit));
        Self {
            wire,
            peer,
            greeting: Some(Greeting { bytes: 0, deadline, limit: greeting_limit }),
            goodbye: Goodbye::Before(own(stop)),
            cut: own(cut),
            _places: places,
        }
    }

    /// Fails once the connection is to end.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the service has stopped"));
        }
        Ok(())
    }

    fn check_goodbye(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Goodbye::Before(stop) = &mut self.goodbye {
            if stop.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            if self.greeting.is_some() {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the service stops"));
            }
            let deadline = tokio::time::sleep(Duration::from_millis(GOODBYE_MS_MAX));
            self.goodbye = Goodbye::Unanswered(Box::pin(deadline));
        }
        if let Goodbye::Unanswered(deadline) = &mut self.goodbye
            && deadline.as_mut().poll(cx).is_ready()
        {
            tracing::warn!(peer = %self.peer.address, "closed a connection whose client does not answer: the service stops");
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not answer"));
        }
        Ok(())
    }

    fn check_greeting(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(greeting) = &mut self.greeting else { return Ok(()) };
        if greeting.deadline.as_mut().poll(cx).is_pending() {
            return Ok(());
        }
        let limit_ms = greeting.limit.as_millis();
        self.greeting = None;
        tracing::warn!(peer = %self.peer.address, limit_ms, "closed a connection whose client does not speak");
        Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not speak"))
    }

    fn hear(&mut self, bytes: &[u8]) -> io::Result<()> {
        if matches!(self.goodbye, Goodbye::Unanswered(_)) && !bytes.is_empty() {
            self.goodbye = Goodbye::Answered;
        }
        let Some(greeting) = &mut self.greeting else { return Ok(()) };
        let first = greeting.bytes == 0;
        greeting.bytes += bytes.len();
        if greeting.bytes >= GREETING_BYTES {
            self.greeting = None;
        }
        if first && matches!(self.wire, Wire::Plain(_)) && bytes.first() == Some(&TLS_HANDSHAKE) {
            tracing::warn!(peer = %self.peer.address, "refused a client that speaks TLS: this service has no certificate");
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the client speaks TLS"));
        }
        Ok(())
    }
}

/// With a token of its own: one that is shared would have all connections queue for its lock.
fn own(token: &CancellationToken) -> Pin<Box<WaitForCancellationFutureOwned>> {
    Box::pin(token.child_token().cancelled_owned())
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        self.check_goodbye(cx)?;
        self.check_greeting(cx)?;
        let before = into.filled().len();
        let read = std::task::ready!(Pin::new(&mut self.wire).poll_read(cx, into));
        if let Err(error) = &read
            && tls_error(error).is_some()
        {
            tracing::warn!(peer = %self.peer.address, reason = %in_words(error), "a connection failed");
        }
        read?;
        Poll::Ready(self.hear(into.filled().get(before..).unwrap_or_default()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.wire).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.wire).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A client that reads nothing may not hold up the end.
        self.check(cx)?;
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}
