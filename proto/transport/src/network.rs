//! Where connections come from: TCP, or a network that is handed in.
//!
//! A simulation runs each process of a cluster on a runtime of its own, and [`within`] a network of its own: whatever
//! listens or connects there does so on that network, as whatever sleeps there does so on that runtime's clock. No
//! service or client knows of it. Outside of [`within`] there is TCP.

use futures_util::future::BoxFuture;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// The two directions of one connection.
pub trait Bytestream: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin + 'static> Bytestream for T {}

/// A connection that came in, and from where.
pub type Accepted = (Box<dyn Bytestream>, SocketAddr);

/// An address that is listened at; it is given back when this is dropped.
pub trait Listen: fmt::Debug + Send + 'static {
    /// The next connection.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>>;

    /// The address.
    fn address(&self) -> SocketAddr;
}

/// Something that connects processes.
pub trait Network: fmt::Debug + Send + Sync + 'static {
    /// Connects to `port` of `host`.
    fn connect(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Box<dyn Bytestream>>>;

    /// Takes an address; port 0 takes any free one.
    ///
    /// # Errors
    /// Where it is taken, or cannot be had.
    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Listen>>;
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<dyn Network>>> = const { RefCell::new(None) };
}

/// Does `work` on `network`: what it connects and binds, on this thread and until it returns, is there.
pub fn within<T>(network: Arc<dyn Network>, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<Arc<dyn Network>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let before = self.0.take();
            CURRENT.with(|current| *current.borrow_mut() = before);
        }
    }
    let before = CURRENT.with(|current| current.borrow_mut().replace(network));
    let _restore = Restore(before);
    work()
}

fn current() -> Option<Arc<dyn Network>> {
    CURRENT.with(|current| current.borrow().clone())
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Other(Box<dyn Bytestream>),
}

impl Socket {
    pub(crate) async fn connect(host: &str, port: u16) -> io::Result<Self> {
        match current() {
            Some(network) => Ok(Self::Other(network.connect(host, port).await?)),
            None => Self::tcp(TcpStream::connect((host, port)).await?),
        }
    }

    /// Nothing here waits for more to send: a message goes out when it is written.
    fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::Tcp(stream))
    }
}

/// A listener of either kind.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Other(Box<dyn Listen>),
}

impl Listener {
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        match current() {
            Some(network) => Ok(Self::Other(network.listen(address)?)),
            None => Ok(Self::Tcp(TcpListener::bind(address).await?)),
        }
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
            Self::Other(listener) => Ok(listener.address()),
        }
    }

    /// The next connection. One that had ended before it was accepted is an error of its own.
    pub(crate) async fn accept(&mut self) -> io::Result<(Socket, SocketAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Socket::tcp(stream)?, peer))
            }
            Self::Other(listener) => {
                let (stream, peer) = std::future::poll_fn(|cx| listener.poll_accept(cx)).await?;
                Ok((Socket::Other(stream), peer))
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_read(cx, into),
            Self::Other(io) => Pin::new(io).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_write(cx, bytes),
            Self::Other(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_write_vectored(cx, parts),
            Self::Other(io) => Pin::new(io).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(io) => io.is_write_vectored(),
            Self::Other(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_flush(cx),
            Self::Other(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Self::Other(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
