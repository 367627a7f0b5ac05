//! The local runner: a whole pipeline in one process, with progress, until it is done or stopped.
//!
//! ```no_run
//! # async fn example(pipeline: pelton::Pipeline) -> Result<(), pelton::local::RunError> {
//! let summary = pelton::local::run(pipeline, pelton::local::LocalOptions::new("embedded:my-store")).await?;
//! println!("{summary}");
//! # Ok(()) }
//! ```
//!
//! Run again on the same store, it goes on where it was, whatever ended it. Where it is told to listen, it takes records
//! from outside and answers the command `pelton`.

mod progress;
mod summary;

pub use summary::{Outcome, Summary};

use crate::engine::clock::ClockHandle;
use crate::engine::worker::{Engine, EngineOptions, IngestLimits, Listening, PipelineFailed, StartError};
use crate::pipeline::Pipeline;
use pelton_statestore::{OpenError, StoreHandle};
use pelton_transport::{ListenError, ListenOptions, Security};
use progress::Reporter;
use std::io::IsTerminal;
use std::time::Duration;

/// How a pipeline is run in one process.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// The store, by a URL that [`store::open`](crate::store::open) knows.
    pub store: String,
    /// The engine.
    pub engine: EngineOptions,
    /// How progress is shown.
    pub progress: Progress,
    /// Whether the store may hold other pipelines too.
    pub share_store: bool,
    /// Where it takes records from outside and is asked how far it is; `None`: nowhere.
    pub listen: Option<ListenOptions>,
    /// How much it takes there from one client.
    pub ingest: IngestLimits,
    /// How it connects to the store, where another process serves that.
    pub security: Security,
}

impl LocalOptions {
    /// A run on the store that `url` names.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            store: url.into(),
            engine: EngineOptions::default(),
            progress: Progress::Auto,
            share_store: false,
            listen: None,
            ingest: IngestLimits::default(),
            security: Security::none(),
        }
    }
}

/// How progress is shown, on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// A bar on a terminal, lines elsewhere.
    #[default]
    Auto,
    /// A bar.
    Bar,
    /// A line every few seconds.
    Lines,
    /// Nothing.
    Off,
}

/// Why a run ended without its pipeline having finished or been stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The pipeline could not be started on it.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// It cannot go on. What is committed stays; another run goes on from there.
    #[error(transparent)]
    Failed(#[from] PipelineFailed),
    /// A second Ctrl-C: it ended at once. What is committed stays; another run goes on from there.
    #[error("interrupted twice: ended at once; what was committed stays, and another run goes on from there")]
    Interrupted,
}

/// Runs `pipeline` until it is done, or until Ctrl-C, which stops it once what it has begun is committed.
///
/// # Errors
/// [`RunError`]. Whatever it is, nothing that was committed is lost.
pub async fn run(pipeline: Pipeline, options: LocalOptions) -> Result<Summary, RunError> {
    let store = crate::store::open_secured(&options.store, &options.security).await?;
    run_on(pipeline, store, options).await
}

/// As [`run`], on a store that is open already.
///
/// # Errors
/// [`RunError`].
pub async fn run_on(
    pipeline: Pipeline,
    store: StoreHandle,
    options: LocalOptions,
) -> Result<Summary, RunError> {
    if !options.share_store {
        crate::engine::worker::refuse_other_pipelines(&store, pipeline.name()).await?;
    }
    let clock = options.engine.clock.clone();
    let engine = Engine::start(pipeline, store, options.engine.clone()).await?;
    engine.started().await?;
    let listening = match &options.listen {
        Some(listen) => Some(engine.listen(listen, options.ingest).await?),
        None => None,
    };
    let (began, before) = (clock.now(), engine.recovered());
    let said = listening.as_ref().map(|listening| format!("listens at {}", listening.address()));
    let outcome = watch(&engine, (options.progress, said), &clock, engine.finished()).await?;
    let after = engine.status();
    stop(listening, engine).await?;
    let elapsed = clock.now().as_micros().saturating_sub(began.as_micros());
    Ok(Summary {
        outcome,
        before,
        after,
        elapsed: Duration::from_micros(u64::try_from(elapsed).unwrap_or(0)),
    })
}

/// Shows what is `said`, and how far the engine is, until it is `finished` or Ctrl-C comes.
pub(crate) async fn watch(
    engine: &Engine,
    (progress, said): (Progress, Option<String>),
    clock: &ClockHandle,
    finished: impl Future<Output = Result<(), PipelineFailed>>,
) -> Result<Outcome, PipelineFailed> {
    let mut reporter = Reporter::new(shown(progress), engine.name(), engine.recovered());
    if let Some(said) = said {
        reporter.say(&said);
    }
    // One listener for the whole run, so that no signal falls between two turns.
    let mut interrupt = std::pin::pin!(interrupted());
    let mut finished = std::pin::pin!(finished);
    let outcome = loop {
        tokio::select! {
            finished = &mut finished => break finished.map(|()| Outcome::Finished),
            () = &mut interrupt => break Ok(Outcome::Stopped),
            () = tokio::time::sleep(reporter.interval()) => reporter.show(&engine.status(), clock.now()),
        }
    };
    reporter.end();
    outcome
}

/// Nobody is answered any more; then what has begun is committed, or the engine ends at once where Ctrl-C comes.
pub(crate) async fn stop(listening: Option<Listening>, engine: Engine) -> Result<(), RunError> {
    let ending = async {
        if let Some(listening) = listening {
            listening.stop().await;
        }
        engine.stop().await;
    };
    tokio::select! {
        () = ending => Ok(()),
        () = interrupted() => Err(RunError::Interrupted),
    }
}

fn shown(progress: Progress) -> Progress {
    match progress {
        Progress::Auto if std::io::stderr().is_terminal() => Progress::Bar,
        Progress::Auto => Progress::Lines,
        other => other,
    }
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler there is nothing to wait for: the process ends as the system sees fit.
        std::future::pending::<()>().await;
    }
}
