//! The client's network: one thread for the whole process, started once and stopped once.
//!
//! The C client can be started once in the life of a process, can not be started again after it was stopped, and
//! must be stopped before the process runs its exit handlers to their end, because its thread uses what these tear
//! down. So the first store that is opened starts it, it outlives every store, and an exit handler of our own
//! stops it and waits for its thread.
//!
//! Exit handlers run last come, first served, and the library registers new ones whenever it first uses something.
//! So ours is registered again with every store that is closed ([`stop_first_at_exit`]): whatever the library has made
//! until then is still there when the network stops.

#![expect(
    unsafe_code,
    reason = "the client's event loop must be stopped before the process ends, which no type can say"
)]

use foundationdb::FdbResult;
use foundationdb::api::{FdbApiBuilder, NetworkStop};
use foundationdb::options::NetworkOption;
use pelton_statestore::StoreFault;
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
    Running { options: ClientOptions, stop: NetworkStop, thread: JoinHandle<()> },
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
        // SAFETY: `stop_at_exit`, which is registered below before anyone can use the client, stops the loop and
        // waits for this thread before the process ends. Where it ends without exit handlers (a signal, an abort)
        // nothing of the library is torn down under the thread.
        let ended: FdbResult<()> = unsafe { runner.run() };
        if let Err(error) = ended {
            tracing::error!(%error, "the network thread of FoundationDB's client ended");
        }
    };
    let thread = std::thread::Builder::new()
        .name("fdb-network".to_owned())
        .spawn(run)
        .map_err(|error| failed("its thread", &error))?;
    let stop = wait.wait();
    if !stop_first_at_exit() {
        return Err(failed("its end", &"no exit handler can be registered"));
    }
    Ok(Network::Running { options: options.clone(), stop, thread })
}

/// Registers the exit handler, before all that are registered by now; false where there is no room for it.
pub(crate) fn stop_first_at_exit() -> bool {
    // SAFETY: the handler is a function without captured state, which takes nothing and unwinds never: it neither
    // panics nor calls anything that does. It may run any number of times.
    unsafe { libc::atexit(stop_at_exit) == 0 }
}

/// Stops the network and waits for its thread, the first time.
extern "C" fn stop_at_exit() {
    let network = std::mem::replace(&mut *lock(), Network::Stopped);
    if let Network::Running { stop, thread, .. } = network
        && stop.stop().is_ok()
    {
        let _ = thread.join();
    }
}
