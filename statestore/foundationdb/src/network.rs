//! The client's network: one thread for the whole process, started once and stopped once.
//!
//! The C client can be started once in the life of a process, and can not be started again after it was stopped. It
//! must be stopped before the process tears down the library's variables. So the first store that is opened starts
//! it, it outlives every store, and an exit handler of our own has it stopped and waits for its thread.
//!
//! Three things about that handler:
//!
//! * Handlers run in the reverse order of their registration, and the library registers one for each of its variables
//!   when that is first used, at any time. So ours is registered when a store was opened and again whenever one was
//!   closed: then it runs before everything that the store had the library use.
//! * It must not call the client itself: it runs on a thread whose thread-local variables are gone by then, the
//!   client's among them. A thread that waits for nothing else does it.
//! * A process that exits with open stores (a leaked handle, `std::process::exit`) may still tear down something that
//!   the network is using. Close the stores first.

#![expect(
    unsafe_code,
    reason = "the client's event loop must be stopped before the process ends, which no type can say"
)]

use foundationdb::FdbResult;
use foundationdb::api::{FdbApiBuilder, NetworkStop};
use foundationdb::options::NetworkOption;
use pelton_statestore::StoreFault;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Options of the client itself, of which a process has one. The environment variables of FoundationDB
/// (`FDB_NETWORK_OPTION_..`, `FDB_TLS_..`) count as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientOptions {
    /// A file with the certificate chain.
    pub tls_certificate: Option<String>,
    /// A file with the private key of that certificate.
    pub tls_key: Option<String>,
    /// A file with the authorities that are trusted.
    pub tls_ca: Option<String>,
    /// What a peer's certificate must say, in FoundationDB's notation.
    pub tls_verify_peers: Option<String>,
    /// A directory for the client's trace files; none are written without it.
    pub trace_dir: Option<String>,
    /// More client libraries, for clusters of other versions.
    pub external_clients: Vec<String>,
}

impl ClientOptions {
    fn network_options(&self) -> Vec<NetworkOption> {
        let one = |value: &Option<String>, option: fn(String) -> NetworkOption| value.clone().map(option);
        let mut options: Vec<NetworkOption> = [
            one(&self.trace_dir, NetworkOption::TraceEnable),
            one(&self.tls_certificate, NetworkOption::TLSCertPath),
            one(&self.tls_key, NetworkOption::TLSKeyPath),
            one(&self.tls_ca, NetworkOption::TLSCaPath),
            self.tls_verify_peers.clone().map(|pattern| NetworkOption::TLSVerifyPeers(pattern.into_bytes())),
        ]
        .into_iter()
        .flatten()
        .collect();
        options.extend(self.external_clients.iter().cloned().map(NetworkOption::ExternalClientLibrary));
        options
    }
}

enum Network {
    NotStarted,
    Running {
        options: ClientOptions,
        /// Dropped: the network is to be stopped.
        goes_on: Sender<()>,
        /// Ends when the network has.
        stopper: JoinHandle<()>,
    },
    Failed(StoreFault),
    Stopped,
}

static NETWORK: Mutex<Network> = Mutex::new(Network::NotStarted);

fn lock() -> MutexGuard<'static, Network> {
    // Every state is written in one step.
    NETWORK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the client's network, unless it runs already. Blocks until its thread runs.
///
/// # Errors
/// Where the client library does not start or is too old, and where it runs with other options.
pub(crate) fn start(options: &ClientOptions) -> Result<(), StoreFault> {
    let mut network = lock();
    match &*network {
        Network::Running { options: running, .. } if running == options => return Ok(()),
        Network::Running { .. } => {
            let text = "the client of this process already runs with other options (TLS, trace files, client libraries)";
            return Err(StoreFault(text.to_owned()));
        }
        Network::Failed(fault) => return Err(fault.clone()),
        Network::Stopped => return Err(StoreFault("the process is ending".to_owned())),
        Network::NotStarted => {}
    }
    let (next, result) = match boot(options) {
        Ok(running) => (running, Ok(())),
        Err(fault) => (Network::Failed(fault.clone()), Err(fault)),
    };
    *network = next;
    result
}

fn boot(options: &ClientOptions) -> Result<Network, StoreFault> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        StoreFault(format!("the client of FoundationDB does not start: {what}: {error}"))
    };
    let mut builder = FdbApiBuilder::default()
        .build()
        .map_err(|error| failed("the installed libfdb_c does not speak API version 730", &error))?;
    for option in options.network_options() {
        let what = format!("{option:?}");
        builder = builder.set_option(option).map_err(|error| failed(&what, &error))?;
    }
    let (runner, wait) = builder.build().map_err(|error| failed("its network", &error))?;
    let run = move || {
        // SAFETY: `stop_at_exit`, which every store registers when it is opened and when it is closed, has the loop
        // stopped and waits for this thread before the process ends. Where it ends without exit handlers (a signal,
        // an abort) nothing of the library is torn down under the thread.
        let ended: FdbResult<()> = unsafe { runner.run() };
        if let Err(error) = ended {
            tracing::error!(%error, "the network thread of FoundationDB's client ended");
        }
    };
    let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .map_err(|error| failed("a thread of its own", &error))
    };
    let thread = spawn("fdb-network", Box::new(run))?;
    let stop = wait.wait();
    let (goes_on, ends) = channel::<()>();
    let stopper = spawn("fdb-stop", Box::new(move || stop_after(&ends, stop, thread)))?;
    Ok(Network::Running { options: options.clone(), goes_on, stopper })
}

/// Whoever has it may use the client. It comes last among what a store drops.
#[derive(Debug)]
pub(crate) struct InUse;

impl InUse {
    /// To be called when the client has been used for the first time.
    pub(crate) fn begin() -> Self {
        stop_before_all_that_was_used();
        Self
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        stop_before_all_that_was_used();
    }
}

/// Registers the handler, so that it runs before every handler that is registered now.
fn stop_before_all_that_was_used() {
    // SAFETY: the handler takes nothing, has no state of its own and does not unwind: it neither panics nor calls
    // anything that does. It may be registered, and run, any number of times.
    let registered = unsafe { libc::atexit(stop_at_exit) };
    if registered != 0 {
        tracing::warn!("no exit handler can be registered: end the process by a signal");
    }
}

/// Waits until the process ends, stops the network, and waits for its thread.
fn stop_after(ends: &Receiver<()>, stop: NetworkStop, thread: JoinHandle<()>) {
    // Nothing is ever sent.
    let _ = ends.recv();
    if stop.stop().is_ok() {
        let _ = thread.join();
    }
}

/// Has the network stopped, and waits for it.
extern "C" fn stop_at_exit() {
    let network = std::mem::replace(&mut *lock(), Network::Stopped);
    if let Network::Running { goes_on, stopper, .. } = network {
        drop(goes_on);
        let _ = stopper.join();
    }
}
