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
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};
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

/// Connects to `port` of `host`, on the network that is handed in, or by TCP.
pub(crate) async fn connect(host: &str, port: u16) -> io::Result<Box<dyn Bytestream>> {
    match current() {
        Some(network) => network.connect(host, port).await,
        None => {
            let stream = TcpStream::connect((host, port)).await?;
            at_once(&stream)?;
            Ok(Box::new(stream))
        }
    }
}

/// Takes an address, on the network that is handed in, or by TCP.
pub(crate) async fn listen(address: SocketAddr) -> io::Result<Box<dyn Listen>> {
    match current() {
        Some(network) => network.listen(address),
        None => {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok(Box::new(Tcp { listener, address }))
        }
    }
}

/// The next connection.
pub(crate) async fn accept(listener: &mut dyn Listen) -> io::Result<Accepted> {
    std::future::poll_fn(|cx| listener.poll_accept(cx)).await
}

/// Nothing here waits for more to send: a message goes out when it is written.
fn at_once(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)
}

/// An address of this machine.
#[derive(Debug)]
struct Tcp {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listen for Tcp {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        loop {
            let (stream, peer) = ready!(self.listener.poll_accept(cx))?;
            match at_once(&stream) {
                Ok(()) => return Poll::Ready(Ok((Box::new(stream), peer))),
                Err(error) => tracing::debug!(%peer, %error, "a connection ended before it began"),
            }
        }
    }

    fn address(&self) -> SocketAddr {
        self.address
    }
}
