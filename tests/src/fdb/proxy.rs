//! A wire between clients and one server, which can be cut in either direction.

use anyhow::Result;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What passes the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Everything.
    Both,
    /// Only what clients send: their answers are held back.
    Requests,
    /// Nothing.
    Nothing,
}

/// A wire. Dropping it cuts every connection and accepts no more.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    public: SocketAddr,
}

#[derive(Debug)]
struct Shared {
    flow: Mutex<Flow>,
    connections: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Accepts at `public`, and passes on to `hidden`.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub fn start(public: SocketAddr, hidden: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(public)?;
        let shared = Arc::new(Shared {
            flow: Mutex::new(Flow::Both),
            connections: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                // Where the server is away, the client finds a closed connection, as it would without a wire.
                let _ = accepting.connect(client, hidden);
            }
        });
        Ok(Self { shared, public })
    }

    /// Lets this pass from now on. What was held back is lost with its connection: every one is cut when the wire is
    /// mended.
    pub fn set(&self, flow: Flow) {
        *lock(&self.shared.flow) = flow;
        if flow == Flow::Both {
            self.cut();
        }
    }

    /// Cuts every connection that stands now.
    pub fn cut(&self) {
        for connection in lock(&self.shared.connections).drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect_timeout(&self.public, Duration::from_secs(1));
    }
}

impl Shared {
    fn connect(self: &Arc<Self>, client: TcpStream, hidden: SocketAddr) -> Result<()> {
        let server = TcpStream::connect_timeout(&hidden, Duration::from_secs(1))?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
            lock(&self.connections).push(stream.try_clone()?);
        }
        let (requests, answers) = (Arc::clone(self), Arc::clone(self));
        let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
        thread::spawn(move || requests.pass(from_client, to_server, |flow| flow != Flow::Nothing));
        thread::spawn(move || answers.pass(server, client, |flow| flow == Flow::Both));
        Ok(())
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream, passes: impl Fn(Flow) -> bool) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let Some(bytes) = buffer.get(..length) else { break };
            if !passes(*lock(&self.flow)) {
                // Held back for good: the rest of this connection would make no sense without it.
                while let Ok(1..) = from.read(&mut buffer) {}
                break;
            }
            if to.write_all(bytes).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
