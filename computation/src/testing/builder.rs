//! How a harness is made: the computation, between a producer and a consumer, in a pipeline of three.

use super::blocking::Blocking;
use super::error::HarnessError;
use super::harness::Harness;
use super::hold::{HeldStore, Hold};
use super::outside::{After, Before};
use super::world::World;
use crate::computation::Declaration;
use crate::engine::bundle::{Bundle, Processor};
use crate::engine::clock::ManualClock;
use crate::engine::interval::IntervalOptions;
use crate::engine::router::Router;
use crate::engine::worker::by_hand::ByHand;
use crate::engine::worker::{Engine, EngineOptions, StartError};
use crate::pipeline::{ErasedStep, IntoSteps, Pipeline, Role, StepOptions};
use crate::stream::StreamType;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use pelton_domain::ProcessingTime;
use pelton_statestore::StoreHandle;
use pelton_statestore::memory::Memory;
use std::sync::Arc;
use std::time::Duration;

/// The producer's name. No step can have it too: two of a name are refused.
const BEFORE: &str = "testing.before";
/// The consumer's name.
const AFTER: &str = "testing.after";

/// How often an interval renews promises and sweeps, where nobody watches it do so: rarely, so that years can
/// pass in a test.
const RARELY: Duration = Duration::from_secs(3600);

/// Makes a [`Harness`] that is not like the others.
#[derive(Debug)]
#[must_use = "end it with `.build()`"]
pub struct HarnessBuilder {
    steps: Vec<ErasedStep>,
    store: StoreHandle,
    clock_at: ProcessingTime,
    interval: IntervalOptions,
    turns_max: usize,
}

impl HarnessBuilder {
    pub(super) fn new(step: impl IntoSteps) -> Self {
        let interval = IntervalOptions {
            // What the consumer has is removed at once, so that it is not sent to the next harness on the store.
            removal_delay: Duration::ZERO,
            promise_interval: RARELY,
            sweep_interval: RARELY,
            ..IntervalOptions::default()
        };
        Self {
            steps: step.into_steps(),
            store: Arc::new(Memory::new()),
            clock_at: Harness::START,
            interval,
            turns_max: 100_000,
        }
    }

    /// Runs on `store`, such as that of an earlier harness ([`Harness::store`]), where a step of the same name
    /// goes on with its state, its timers and its watermark. Unless set, a new store in memory.
    ///
    /// An earlier harness on the same store can do nothing more, as a deposed worker cannot.
    pub fn store(mut self, store: StoreHandle) -> Self {
        self.store = store;
        self
    }

    /// The clock begins at `now`. Unless set, at [`Harness::START`].
    pub fn clock_at(mut self, now: ProcessingTime) -> Self {
        self.clock_at = now;
        self
    }

    /// The limits and delays of the interval. Unless set, the engine's own, except that acknowledged productions
    /// are removed at once, and promises and sweeps come by the hour.
    pub fn interval(mut self, options: IntervalOptions) -> Self {
        self.interval = options;
        self
    }

    /// After so many turns one call of the harness gives up, because there always is something to do.
    /// Default 100,000; a turn runs up to 1,024 calls, though a timer that sets the next takes one each.
    pub fn turns_max(mut self, turns: usize) -> Self {
        self.turns_max = turns.max(1);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// [`HarnessError`]: these are several steps, no pipeline could have this one, or the store has state that
    /// does not fit it.
    pub fn build(self) -> Result<Harness, HarnessError> {
        let Self { mut steps, store, clock_at, interval, turns_max } = self;
        let count = steps.len();
        let Some(mut step) = steps.pop().filter(|_| count == 1) else {
            return Err(HarnessError::NotOne { count });
        };
        step.options.intervals = Some(1);
        let (name, inputs, outputs) =
            (step.name.clone(), step.inputs.clone(), step.declaration.outputs.clone());
        let pipeline = Pipeline::builder(&name).with(surrounded(step)).build()?;
        let runtime = Blocking::new().map_err(HarnessError::Runtime)?;
        let clock = Arc::new(ManualClock::at(clock_at));
        let options = EngineOptions { interval, clock: clock.clone(), ..EngineOptions::default() };
        let hold = Arc::new(Hold::default());
        let held: StoreHandle = Arc::new(HeldStore { store: store.clone(), hold: hold.clone() });
        let opening = async {
            let hand = ByHand::open(pipeline, held, options, &name).await?;
            if let Some(fence) = hand.fence_key() {
                hold.watch(fence);
            }
            let before = before(&hand.engine, hand.router(), &inputs, interval).await?;
            let (number, assigned) = hand.engine.assign_whole(AFTER).await?;
            let after = After::new(number, assigned.assignment.sequencer, hand.router());
            let mut world = World { hand, before, after, hold, clock, turns_max, stopped: None };
            world.take_over().await?;
            world.settle().await?;
            Ok::<_, HarnessError>(world)
        };
        let world = runtime
            .wait(opening.boxed())
            .unwrap_or_else(|| Err(HarnessError::Stopped { reason: "its runtime is gone".to_owned() }))?;
        Ok(Harness::of(runtime, world, store, name, inputs, outputs))
    }
}

async fn before(
    engine: &Engine,
    router: &Router,
    inputs: &[StreamType],
    interval: IntervalOptions,
) -> Result<Option<Before>, StartError> {
    if inputs.is_empty() {
        return Ok(None);
    }
    let (number, assigned) = engine.assign_whole(BEFORE).await?;
    Ok(Some(Before::new(number, &assigned, interval, router)))
}

/// The step, with a producer of all that it reads and a consumer of all that it produces.
fn surrounded(step: ErasedStep) -> Vec<ErasedStep> {
    let outputs = Declaration { outputs: step.inputs.clone(), ..Declaration::default() };
    let before = (!step.inputs.is_empty()).then(|| played(BEFORE, Vec::new(), outputs));
    let after = played(AFTER, step.declaration.outputs.clone(), Declaration::default());
    before.into_iter().chain([step, after]).collect()
}

/// A step that the harness plays itself.
fn played(name: &str, inputs: Vec<StreamType>, declaration: Declaration) -> ErasedStep {
    ErasedStep {
        name: name.to_owned(),
        inputs,
        declaration,
        options: StepOptions::default(),
        make: Arc::new(|_| Box::new(Idle)),
        role: Role::Own,
    }
}

/// The code of a step that is never run.
struct Idle;

impl Processor for Idle {
    fn run<'a, 'c: 'a>(&'a mut self, _: &'a mut Bundle<'c>) -> BoxFuture<'a, ()> {
        async {}.boxed()
    }
}
