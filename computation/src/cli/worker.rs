//! The command `worker`.

use crate::engine::worker::{
    EngineOptions, IngestLimits, JoinError, JoinedWorker, PipelineFailed, WorkerOptions,
};
use crate::pipeline::Pipeline;
use clap::Args;
use pelton_injector::Worker;
use pelton_statestore::OpenError;
use pelton_transport::config::{SecurityArgs, SecurityArgsError, ServingArgs};
use std::net::SocketAddr;
use std::time::Duration;

/// The arguments of `worker`.
#[derive(Clone, Debug, Args)]
pub struct WorkerArgs {
    /// The store that all parts of the pipeline share: remote:HOST:PORT or fdb:CLUSTER_FILE.
    #[arg(long, value_name = "URL")]
    pub store: String,

    /// The addresses of all injectors of the pipeline, with commas between them.
    #[arg(long, value_name = "HOST:PORT,..", value_delimiter = ',', required = true)]
    pub injectors: Vec<String>,

    /// The name of this worker: unique in the pipeline, and best the same after a restart.
    #[arg(long, value_name = "NAME")]
    pub name: String,

    /// Where other workers reach this one; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,

    /// What others are told to connect to, where that is not the address it listens at.
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<String>,

    /// Run only these computations, with commas between them.
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub computations: Option<Vec<String>>,

    /// How long a worker that is told to stop waits for others to take over what it runs, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    pub leave_wait: u64,

    /// How connections are secured: those of others to this worker, and its own.
    #[command(flatten)]
    pub security: SecurityArgs,

    /// How much it takes on.
    #[command(flatten)]
    pub serving: ServingArgs,

    /// How much it takes from one client outside.
    #[command(flatten)]
    pub ingest: IngestLimits,
}

/// Why a worker ended without having been drained or stopped.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The certificates cannot be used.
    #[error(transparent)]
    Security(#[from] SecurityArgsError),
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It could not start.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// It cannot go on. What is committed stays.
    #[error(transparent)]
    Failed(#[from] PipelineFailed),
}

/// Joins the pipeline and works until an operator drains this worker, or a signal asks it to stop: then it hands over
/// what it runs first. A second signal ends it at once; nothing is lost by that either.
///
/// # Errors
/// [`WorkerError`].
pub async fn worker(pipeline: Pipeline, arguments: &WorkerArgs) -> Result<(), WorkerError> {
    let security = arguments.security.security()?;
    let store = crate::store::open_secured(&arguments.store, &security).await?;
    let listen = arguments.serving.listen(arguments.listen, &security);
    let options = WorkerOptions {
        engine: EngineOptions { worker: Worker::from(arguments.name.as_str()), ..EngineOptions::default() },
        injectors: arguments.injectors.clone(),
        listen,
        advertise: arguments.advertise.clone(),
        security,
        computations: arguments.computations.clone(),
        ingest: arguments.ingest,
    };
    let worker = JoinedWorker::start(pipeline, store, options).await?;
    println!("worker {} listens at {}", arguments.name, worker.address());
    tokio::select! {
        ended = worker.ended() => {
            ended?;
            tracing::info!("drained");
            return Ok(());
        }
        () = asked_to_stop() => {}
    }
    worker.leave();
    let wait = Duration::from_secs(arguments.leave_wait);
    tokio::select! {
        ended = worker.ended() => ended?,
        () = tokio::time::sleep(wait) => {
            tracing::warn!(?wait, "nobody took over in time: what runs here is stopped and stays in the store");
        }
        () = asked_to_stop() => return Ok(()),
    }
    worker.stop().await;
    Ok(())
}

/// Waits for SIGTERM or Ctrl-C.
async fn asked_to_stop() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = tokio::signal::ctrl_c() => return,
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler there is nothing to wait for: the process ends as the system sees fit.
        std::future::pending::<()>().await;
    }
}
