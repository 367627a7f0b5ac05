//! Servers: the program in a process of its own, and a service in this one.

use pelton_statestore::memory::Memory;
use pelton_statestore::remote::{Remote, RemoteOptions};
use pelton_statestore::served::{ServeError, serve};
use pelton_statestore::{Commit, CommitError, StateStore, StoreHandle, Write};
use pelton_transport::{ListenOptions, Security, Server};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Any free address.
pub(crate) fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// An address at which a server can be started again: its port is none that the system hands out meanwhile.
pub(crate) fn lasting() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let from = 12_000 + (std::process::id() % 16_000) as u16;
    loop {
        let port = from + NEXT.fetch_add(1, Ordering::Relaxed);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pelton-statestore"))
}

/// `pelton-statestore` in a process of its own; killed when dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(store: &str, listen: SocketAddr) -> Self {
        let mut child = program()
            .args(["--store", store, "--listen", &listen.to_string()])
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let text = line.strip_prefix("pelton-statestore listens at ").expect("it listens");
        let address = text.split(',').next().unwrap().parse().unwrap();
        assert!(text.contains(", incarnation "), "{line}");
        Self { child, address }
    }

    /// Kills it, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// A service in this process, on the test's runtime.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Served {
    pub(crate) async fn start(store: StoreHandle) -> Self {
        Self::start_at(store, any()).await
    }

    pub(crate) async fn start_at(store: StoreHandle, address: SocketAddr) -> Self {
        let server = Server::bind(&ListenOptions::new(address)).await.unwrap();
        let (address, stop) = (server.address(), CancellationToken::new());
        let serving = tokio::spawn(serve(server, store, stop.clone()));
        Self { address, stop, serving }
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) async fn stop(self) -> Result<(), ServeError> {
        self.stop.cancel();
        self.ended().await
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(self) -> Result<(), ServeError> {
        tokio::time::timeout(PATIENCE, self.serving).await.expect("it ends").unwrap()
    }
}

/// A store in memory, and a service of it.
pub(crate) async fn memory() -> (Memory, Served) {
    let memory = Memory::new();
    let served = Served::start(Arc::new(memory.clone())).await;
    (memory, served)
}

pub(crate) async fn connect(address: SocketAddr) -> Remote {
    Remote::open(&address.to_string(), &Security::none()).await.unwrap()
}

/// A client that does not wait long for an answer.
pub(crate) async fn connect_impatiently(address: SocketAddr) -> Remote {
    let options = RemoteOptions { call_duration_max: Duration::from_millis(500), ..RemoteOptions::default() };
    Remote::open_with(&address.to_string(), &Security::none(), options).await.unwrap()
}

pub(crate) fn put(key: &str, value: &str) -> Commit {
    let bytes = |text: &str| text.as_bytes().to_vec().into();
    Commit { preconditions: vec![], writes: vec![Write::Put { key: bytes(key), value: bytes(value) }] }
}

/// Commits; where the store is away, again.
pub(crate) async fn commit_at_last(store: &dyn StateStore, commit: Commit) {
    let trying = async {
        while let Err(CommitError::Unavailable(_)) = store.commit(commit.clone()).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, trying).await.expect("the store comes back");
}

pub(crate) fn holds(memory: &Memory, key: &str) -> bool {
    memory.dump().iter().any(|(found, _)| found == key.as_bytes())
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("it never came to it that {what}"));
}
