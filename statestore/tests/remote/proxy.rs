//! A wire between clients and a server, which can be held in either direction, cut, and led elsewhere.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What passes the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Everything.
    Both,
    /// Only what clients send: answers are lost.
    Requests,
    /// Nothing.
    Nothing,
}

/// A wire. Dropping it cuts every connection and accepts no more.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    ended: AtomicBool,
    /// What clients sent, and was held and lost.
    lost: Mutex<Vec<u8>>,
}

struct State {
    flow: Flow,
    server: SocketAddr,
    connections: Vec<TcpStream>,
}

impl Proxy {
    /// A wire to `server`.
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Mutex::new(State { flow: Flow::Both, server, connections: vec![] });
        let shared = Arc::new(Shared { state, ended: AtomicBool::new(false), lost: Mutex::default() });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                // Where the server is away, the client finds a connection that is closed at once.
                let _ = accepting.join(client);
            }
        });
        Self { address, shared }
    }

    /// Lets this pass from now on. What was held is lost; its connection is of no use any more, until it is cut.
    pub(crate) fn set(&self, flow: Flow) {
        self.shared.state.lock().unwrap().flow = flow;
    }

    /// Whether something with these bytes in it was sent by a client and lost.
    pub(crate) fn has_lost(&self, bytes: &[u8]) -> bool {
        self.shared.lost.lock().unwrap().windows(bytes.len()).any(|window| window == bytes)
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        for connection in self.shared.state.lock().unwrap().connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Cuts every connection, and mends the wire for the next ones.
    pub(crate) fn mend(&self) {
        self.set(Flow::Both);
        self.cut();
    }

    /// Leads the next connections to another server, and cuts those that stand.
    pub(crate) fn lead_to(&self, server: SocketAddr) {
        self.shared.state.lock().unwrap().server = server;
        self.cut();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn join(self: &Arc<Self>, client: TcpStream) -> std::io::Result<()> {
        // Under the lock, so that no connection to the old server is left after `lead_to`.
        let mut state = self.state.lock().unwrap();
        let server = TcpStream::connect(state.server)?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
            state.connections.push(stream.try_clone()?);
        }
        drop(state);
        let (requests, answers) = (Arc::clone(self), Arc::clone(self));
        let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
        let lose = Arc::clone(self);
        let lose = move |bytes: &[u8]| lose.lost.lock().unwrap().extend_from_slice(bytes);
        thread::spawn(move || requests.pass(from_client, to_server, |flow| flow != Flow::Nothing, lose));
        thread::spawn(move || answers.pass(server, client, |flow| flow == Flow::Both, |_| {}));
        Ok(())
    }

    fn pass(
        &self,
        mut from: TcpStream,
        mut to: TcpStream,
        passes: impl Fn(Flow) -> bool,
        lose: impl Fn(&[u8]),
    ) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let flow = self.state.lock().unwrap().flow;
            if !passes(flow) {
                // The rest of this direction would make no sense without it.
                lose(&buffer[..length]);
                while let Ok(length @ 1..) = from.read(&mut buffer) {
                    lose(&buffer[..length]);
                }
                break;
            }
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
