//! One computation of a pipeline, with its inputs and options.

use super::role::Role;
use crate::codec::Codec;
use crate::computation::{Computation, Declaration};
use crate::engine::bundle::{Decoder, PerRecord, Processor};
use crate::publish::partition::Partitions;
use crate::stream::{Stream, StreamType};
use bytes::Bytes;
use pelton_domain::Key;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The number of no stream: what comes from outside has it.
pub(crate) const OUTSIDE_STREAM: u32 = 0;

/// How a computation treats calls that fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The delay before the second attempt; it doubles with each. Default 10 ms.
    pub delay_min: Duration,
    /// The longest delay. Default 30 s.
    pub delay_max: Duration,
    /// Attempts after which a call that panics or overruns its deadline is given up. Default 5.
    pub crashes_max: u32,
    /// How long the records of a failing key wait in memory before they are parked. Default 1 s.
    pub grace: Duration,
    /// At most this many parked records of one key; past it they go to the dead-letter stream. Default 10,000.
    pub parked_records_max: usize,
    /// At most this many parked bytes of one key. Default 1 MB, so that they fit into one commit.
    pub parked_bytes_max: usize,
    /// At most this old. Default 1 h.
    pub parked_age_max: Duration,
    /// How long a timer whose call says "try again" is tried before it is given up. Default 1 h;
    /// [`Duration::MAX`]: for as long as it takes.
    pub timer_age_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            delay_min: Duration::from_millis(10),
            delay_max: Duration::from_secs(30),
            crashes_max: 5,
            grace: Duration::from_secs(1),
            parked_records_max: 10_000,
            parked_bytes_max: 1_000_000,
            parked_age_max: Duration::from_secs(3600),
            timer_age_max: Duration::from_secs(3600),
        }
    }
}

/// How a computation is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepOptions {
    /// Productions are sent before they are stored. See [`Step::weak`].
    pub weak: bool,
    /// How long a weak production may wait for its acknowledgement before it is stored.
    pub straggler_delay: Duration,
    /// Ids are remembered and duplicates dropped.
    pub dedup: bool,
    /// A call sees only state that is durable.
    pub stable_input: bool,
    /// A call that has not returned by then counts as failed.
    pub deadline: Duration,
    /// What follows from failures.
    pub retry: RetryPolicy,
    /// Into how many intervals it is cut when a store first sees it; `None`: the runner decides.
    pub intervals: Option<u32>,
    /// Keys that get a timer "start" when a store first sees the computation.
    pub start_keys: Vec<Key>,
    /// Its records come from outside of the pipeline too: see [`Ingest`](crate::Ingest).
    pub ingests: bool,
    /// It keeps the log of a published stream, in so many partitions: see [`Publish`](crate::Publish).
    pub publishes: Option<Partitions>,
}

impl Default for StepOptions {
    fn default() -> Self {
        Self {
            weak: false,
            straggler_delay: Duration::from_secs(1),
            dedup: true,
            stable_input: false,
            deadline: Duration::from_secs(10),
            retry: RetryPolicy::default(),
            intervals: None,
            start_keys: Vec::new(),
            ingests: false,
            publishes: None,
        }
    }
}

/// A computation under its name, with the streams it reads.
pub struct Step<C: Computation> {
    name: String,
    computation: C,
    inputs: Vec<(StreamType, Decoder<C::Input>)>,
    outside: Option<Decoder<C::Input>>,
    options: StepOptions,
    role: Role,
}

impl<C: Computation> Step<C> {
    /// The computation `name`. Its state in a store hangs on that name.
    #[must_use]
    pub fn new(name: impl Into<String>, computation: C) -> Self {
        let options = StepOptions::default();
        Self { name: name.into(), computation, inputs: Vec::new(), outside: None, options, role: Role::Own }
    }

    /// It reads `stream`.
    #[must_use]
    pub fn reads<K: Codec<C::Input>>(mut self, stream: &Stream<C::Input, K>) -> Self {
        self.inputs.push((stream.into(), Arc::new(|bytes| K::decode(bytes))));
        self
    }

    /// It reads `stream`, whose values become its input through `convert`.
    #[must_use]
    pub fn reads_as<T: 'static, K: Codec<T>>(
        mut self,
        stream: &Stream<T, K>,
        convert: fn(T) -> C::Input,
    ) -> Self {
        self.inputs.push((stream.into(), Arc::new(move |bytes| K::decode(bytes).map(convert))));
        self
    }

    /// The same step of another computation.
    pub(crate) fn wrapped<D: Computation<Input = C::Input>>(self, wrap: impl FnOnce(C) -> D) -> Step<D> {
        let Self { name, computation, inputs, outside, options, role } = self;
        Step { name, computation: wrap(computation), inputs, outside, options, role }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn computation(&self) -> &C {
        &self.computation
    }

    /// It takes records from outside, of no stream.
    #[must_use]
    pub(crate) fn ingests<K: Codec<C::Input>>(mut self) -> Self {
        self.outside = Some(Arc::new(|bytes| K::decode(bytes)));
        self.options.ingests = true;
        self
    }

    /// What it is to a run beside the pipeline.
    #[must_use]
    pub(crate) fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Its productions are sent before they are stored, and its own senders are acknowledged once they are
    /// acknowledged: one write less, and a lower latency through several stages. The price: after a crash its
    /// calls run again and must produce the same, so declare it only for a computation that is idempotent and
    /// deterministic. Productions of timers are always strong.
    #[must_use]
    pub fn weak(mut self) -> Self {
        self.options.weak = true;
        self
    }

    /// Duplicates are not dropped: for computations that do not mind.
    #[must_use]
    pub fn without_dedup(mut self) -> Self {
        self.options.dedup = false;
        self
    }

    /// A call runs only once everything it sees in state is durable: for effects on the outside, such as
    /// sinks. It costs the overlap of calls and commits.
    #[must_use]
    pub fn stable_input(mut self) -> Self {
        self.options.stable_input = true;
        self
    }

    /// A call that has not returned after `deadline` counts as failed. Default 10 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = deadline;
        self
    }

    /// How failures are treated.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.options.retry = policy;
        self
    }

    /// Into how many intervals its keys are cut when a store first sees it. Later they split and merge.
    #[must_use]
    pub fn intervals(mut self, count: u32) -> Self {
        self.options.intervals = Some(count.max(1));
        self
    }

    /// When a store first sees the computation, `key` gets a processing-time timer "start" that holds the
    /// watermark at minus infinity until it has fired: for sources.
    #[must_use]
    pub fn starts_with_key(mut self, key: impl Into<Key>) -> Self {
        self.options.start_keys.push(key.into());
        self
    }
}

impl<C: Computation<Input = Bytes>> Step<C> {
    /// It reads `stream`, whose values stay as they are encoded.
    #[must_use]
    pub(crate) fn reads_encoded<T, K: Codec<T>>(mut self, stream: &Stream<T, K>) -> Self {
        self.inputs.push((stream.into(), Arc::new(|bytes| Ok(bytes.clone()))));
        self
    }

    /// It keeps the log of a published stream.
    #[must_use]
    pub(crate) fn publishes(mut self, partitions: Partitions) -> Self {
        self.options.publishes = Some(partitions);
        self
    }
}

impl<C: Computation> fmt::Debug for Step<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Step({})", self.name)
    }
}

/// Makes the code of one interval, from the numbers of the streams it reads, in the order of its inputs.
type MakeProcessor = Arc<dyn Fn(&[u32]) -> Box<dyn Processor> + Send + Sync>;

/// A step whose types are forgotten.
pub struct ErasedStep {
    pub(crate) name: String,
    pub(crate) inputs: Vec<StreamType>,
    pub(crate) declaration: Declaration,
    pub(crate) options: StepOptions,
    pub(crate) make: MakeProcessor,
    pub(crate) role: Role,
}

impl fmt::Debug for ErasedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErasedStep({})", self.name)
    }
}

/// Anything that is one or several steps.
pub trait IntoSteps {
    /// The steps.
    fn into_steps(self) -> Vec<ErasedStep>;
}

impl<C: Computation + Sync> IntoSteps for Step<C> {
    fn into_steps(self) -> Vec<ErasedStep> {
        let mut declaration = Declaration::default();
        self.computation.declare(&mut declaration);
        let (inputs, decoders): (Vec<StreamType>, Vec<Decoder<C::Input>>) = self.inputs.into_iter().unzip();
        let (computation, deadline) = (self.computation, self.options.deadline);
        let outside = self.outside.map(|decoder| (OUTSIDE_STREAM, decoder));
        let make = move |streams: &[u32]| -> Box<dyn Processor> {
            let decoders = streams.iter().copied().zip(decoders.iter().cloned());
            let decoders = decoders.chain(outside.clone()).collect();
            Box::new(PerRecord::new(computation.clone(), decoders, deadline))
        };
        let (name, options, role) = (self.name, self.options, self.role);
        vec![ErasedStep { name, inputs, declaration, options, make: Arc::new(make), role }]
    }
}

impl IntoSteps for Vec<ErasedStep> {
    fn into_steps(self) -> Vec<ErasedStep> {
        self
    }
}

impl<A: IntoSteps, B: IntoSteps> IntoSteps for (A, B) {
    fn into_steps(self) -> Vec<ErasedStep> {
        let mut steps = self.0.into_steps();
        steps.extend(self.1.into_steps());
        steps
    }
}
