//! Running a pipeline once more beside itself, and comparing: what is left after crashes is what an undisturbed run
//! gives (I12), or every difference is told by its key.
//!
//! ```no_run
//! use pelton::verify::{VerifyOptions, verify};
//!
//! # async fn example(pipeline: pelton::Pipeline) -> Result<(), Box<dyn std::error::Error>> {
//! let store = pelton::store::open("embedded:my-store").await?;
//! let shadow = store.clone();
//! let mut print = |difference: pelton::verify::Difference| println!("{difference}");
//! let verdict = verify(pipeline, store, shadow, VerifyOptions::default(), &mut print).await?;
//! println!("{verdict}");
//! # Ok(()) }
//! ```
//!
//! The *shadow* is the same code under another name. Its sources are read from the start, recordings of what came from
//! outside are played ([`Ingest::record`](crate::Ingest::record)), and sinks keep their lines instead of writing them.
//! What the live pipeline has is only ever read.
//!
//! | module | what |
//! |---|---|
//! | `plan` | what of the pipeline runs in the shadow, and what is compared |
//! | `live` | the pipeline as it was found, and when its shadow is where it is |
//! | `settled` | whether everything that was given has had its effects |
//! | `shadow` | the shadow's place in a store |
//! | `compare` | computation by computation: |
//! | `ordered`, `stored` | entries and timers, in the order of the store |
//! | `multiset`, `lines` | what has no order: lines of files, dead letters, bags |
//! | `difference` | what is reported |
//!
//! Not for finding out who is right: where code depends on clocks, on chance, or on the order of what has none, two runs
//! differ without a fault of the engine.

mod compare;
mod difference;
mod error;
mod lines;
mod live;
mod multiset;
mod ordered;
mod plan;
mod settled;
mod shadow;
mod stored;
mod verdict;

pub use difference::{Difference, Place};
pub use error::VerifyError;
pub use settled::Unsettled;
pub use verdict::Verdict;

use crate::engine::worker::{Engine, EngineOptions};
use crate::local::{self, Outcome, Progress, RunError};
use crate::pipeline::Pipeline;
use live::Live;
use pelton_domain::ProcessingTime;
use pelton_statestore::StoreHandle;
use plan::Plan;
use shadow::Shadow;
use std::collections::BTreeMap;

/// How a pipeline is verified.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// The engine of the shadow.
    pub engine: EngineOptions,
    /// How its progress is shown.
    pub progress: Progress,
    /// Play recordings only from here on. State of before is not in the shadow then, so what only the live pipeline has is
    /// no difference.
    pub from: Option<ProcessingTime>,
    /// Computations that are neither run nor compared; nothing may read what they produce.
    pub leave_out: Vec<String>,
    /// The shadow stays in its store. The next verification removes it.
    pub keep: bool,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        let (engine, progress) = (EngineOptions::default(), Progress::Auto);
        Self { engine, progress, from: None, leave_out: Vec::new(), keep: false }
    }
}

/// Runs `pipeline` once more in a shadow, on the store `shadow`, and compares it with what the store `live` has of it.
/// Both may be the same store. Each difference goes to `report`, as it is found.
///
/// The live pipeline must be done, or have nothing to do, and may not go on meanwhile. On Ctrl-C it ends with
/// [`VerifyError::Stopped`]. Cut off at any moment, it can be begun again: it removes what is left first.
///
/// # Errors
/// [`VerifyError`]; nothing is said about differences then, those that were reported included.
pub async fn verify(
    pipeline: Pipeline,
    live: StoreHandle,
    shadow: StoreHandle,
    options: VerifyOptions,
    report: &mut (dyn FnMut(Difference) + Send),
) -> Result<Verdict, VerifyError> {
    let keep = options.keep;
    let live = Live::read(&pipeline, live).await?;
    let mut played = BTreeMap::new();
    for (appends, ingested) in plan::ingested(&pipeline.steps) {
        let recording = live.played(&appends, &ingested, &options).await?;
        played.insert(ingested.stream, recording);
    }
    let name = pipeline.name().clone();
    let plan = Plan::of(pipeline.steps, played, &options.leave_out)?;
    let now = options.engine.clock.now();
    let place = Shadow::claim(&shadow, &name, (options.engine.tokens)(), now).await?;
    let verdict = run_and_compare(plan, &live, &place, &shadow, options, report).await;
    // A shadow that could not be run or compared is in nobody's way, but in that of the store's disk.
    let removed = if keep { Ok(()) } else { place.remove().await };
    let verdict = verdict?;
    removed?;
    Ok(verdict)
}

async fn run_and_compare(
    plan: Plan,
    live: &Live,
    place: &Shadow,
    store: &StoreHandle,
    options: VerifyOptions,
    report: &mut (dyn FnMut(Difference) + Send),
) -> Result<Verdict, VerifyError> {
    let pipeline = Pipeline::builder(place.name.as_str()).with(plan.steps).build()?;
    let (now, partial) = (options.engine.clock.now(), options.from.is_some());
    let ran = run(pipeline, live, place, store, options).await;
    if !place.is_mine().await? {
        return Err(VerifyError::Replaced);
    }
    if ran? == Outcome::Stopped {
        return Err(VerifyError::Stopped);
    }
    let missing = || VerifyError::NoLive { pipeline: place.name.to_string() };
    let shadow = place.pipeline().await?.ok_or_else(missing)?;
    let mut verdict = Verdict { not_compared: plan.not_compared, ..Verdict::default() };
    let mut counted = |difference: Difference| {
        // What came of records before the recording's beginning is in the live pipeline alone.
        if !(partial && difference.shadow.is_none()) {
            verdict.differences += 1;
            report(difference);
        }
    };
    let mut places = 0;
    for compared in &plan.compared {
        places += compare::compare(compared, (&live.pipeline, &shadow), now, &mut counted).await?;
    }
    verdict.places = places;
    verdict.late = live.late(&shadow).await?;
    if !live.settled.still(&live.pipeline).await? {
        return Err(VerifyError::LiveWentOn);
    }
    if place.is_mine().await? { Ok(verdict) } else { Err(VerifyError::Replaced) }
}

/// Runs the shadow until it is where the live pipeline is.
async fn run(
    pipeline: Pipeline,
    live: &Live,
    place: &Shadow,
    store: &StoreHandle,
    options: VerifyOptions,
) -> Result<Outcome, RunError> {
    let clock = options.engine.clock.clone();
    let engine = Engine::start(pipeline, store.clone(), options.engine).await?;
    let mut running = Running(Some(engine));
    let Some(engine) = &running.0 else { return Ok(Outcome::Stopped) };
    engine.started().await?;
    let outcome =
        local::watch(engine, (options.progress, None), &clock, live.shadowed(engine, place)).await?;
    if let Some(engine) = running.0.take() {
        local::stop(None, engine).await?;
    }
    Ok(outcome)
}

/// An engine that is dropped where its shadow is: what it would still commit is nobody's any more.
struct Running(Option<Engine>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(engine) = self.0.take() {
            engine.abort();
        }
    }
}
