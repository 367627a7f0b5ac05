//! `pelton-statestore`: serves a store to the processes of one or more pipelines.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | it was told to stop, by SIGTERM or SIGINT |
//! | 1 | it could not start, or not go on |
//! | 2 | the command line is wrong |
//! | 3 | the store failed: what is durable is known only after it is opened again, so start this program again |

mod options;
mod store;

use anyhow::Context as _;
use options::Options;
use pelton_statestore::StoreHandle;
use pelton_statestore::served::{ServeError, serve};
use pelton_transport::{Server, config};
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The store failed.
const STORE_FAILED: u8 = 3;

fn main() -> ExitCode {
    let options: Options = match config::parse() {
        Ok(options) => options,
        Err(error) => return error.report(),
    };
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).from_env_lossy();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).init();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is gone, the exit code still says it.
            let _ = writeln!(std::io::stderr(), "pelton-statestore: {error:#}");
            let is_store = matches!(error.downcast_ref::<ServeError>(), Some(ServeError::Store(_)));
            if is_store { ExitCode::from(STORE_FAILED) } else { ExitCode::FAILURE }
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let store = store::open(&options.store, options.durability)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the threads cannot be started")?;
    let result = runtime.block_on(serve_until_signal(options, store.clone()));
    // Ends the connections' tasks, and with them their handles: the last one closes the store's log.
    runtime.shutdown_timeout(Duration::from_secs(5));
    drop(store);
    result
}

async fn serve_until_signal(options: &Options, store: StoreHandle) -> anyhow::Result<()> {
    let listen = options.serving.listen(options.listen, &options.security.security()?);
    let server = Server::bind(&listen).await?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop: calls that have begun may end");
        told.cancel();
    });
    let (address, incarnation) = (server.address(), store.incarnation());
    // Where nobody reads it, it is served all the same.
    let _ = writeln!(std::io::stdout(), "pelton-statestore listens at {address}, incarnation {incarnation}");
    Ok(serve(server, store, stop).await?)
}
