//! What a test holds in its hand.

use super::blocking::Blocking;
use super::builder::HarnessBuilder;
use super::error::HarnessError;
use super::view::Output;
use super::world::World;
use crate::codec::Codec;
use crate::engine::clock::Clock;
use crate::engine::outbox::Item;
use crate::engine::scope::record_bytes_max;
use crate::engine::worker::StoredDeadLetter;
use crate::pipeline::IntoSteps;
use crate::stream::{Stream, StreamType};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use pelton_domain::{EventTime, Key, ProcessingTime, Record, RecordId};
use pelton_statestore::StoreHandle;
use pelton_statestore::fence::Counters;
use std::fmt;
use std::time::Duration;

/// Drives one computation by hand, on the engine itself. See [the module](crate::testing) for how.
///
/// Every call runs until nothing is left to do but what waits for the watermark or the clock, and until all of
/// it is committed: so what comes after it in the test sees all of it. The same calls give the same results.
///
/// ```
/// use pelton::testing::Harness;
/// use pelton::{Computation, Context, Declaration, EventTime, Failure, Fired, Input, Step, Stream, Timer, Value};
///
/// static WORDS: Stream<String> = Stream::new("words");
/// static COUNTS: Stream<u64> = Stream::new("counts");
/// static SEEN: Value<u64> = Value::new("seen");
///
/// /// Counts words, and tells the count once the watermark has reached the end of the minute.
/// #[derive(Clone)]
/// struct Count;
///
/// impl Computation for Count {
///     type Input = String;
///
///     fn declare(&self, declaration: &mut Declaration) {
///         declaration.cell(&SEEN).output(&COUNTS);
///     }
///
///     async fn process(&mut self, cx: &mut Context<'_>, _: Input<String>) -> Result<(), Failure> {
///         let seen = SEEN.get(cx).await?.unwrap_or(0) + 1;
///         SEEN.set(cx, &seen)?;
///         cx.set_timer(Timer::event("tell", EventTime::from_secs(60)))
///     }
///
///     async fn on_timer(&mut self, cx: &mut Context<'_>, timer: Fired) -> Result<(), Failure> {
///         let seen = SEEN.get(cx).await?.unwrap_or(0);
///         cx.emit(&COUNTS, cx.key().clone(), timer.event_time(), &seen)
///     }
/// }
///
/// # fn main() -> Result<(), pelton::testing::HarnessError> {
/// let mut harness = Harness::new(Step::new("count", Count).reads(&WORDS))?;
/// let id = harness.push(&WORDS, "ann", EventTime::from_secs(1), &"hello".to_owned())?;
/// harness.push_with_id(&WORDS, id, "ann", EventTime::from_secs(1), &"hello".to_owned())?;
/// assert_eq!(harness.counters().duplicates, 1);
///
/// harness.crash()?;
/// harness.push(&WORDS, "ann", EventTime::from_secs(2), &"again".to_owned())?;
/// assert_eq!(harness.value(&SEEN, "ann")?, Some(2));
///
/// harness.advance_watermark(EventTime::from_secs(59))?;
/// assert!(harness.output(&COUNTS)?.is_empty());
/// harness.advance_watermark(EventTime::from_secs(60))?;
/// let told = harness.output(&COUNTS)?;
/// assert_eq!((told.len(), told[0].value), (1, 2));
/// # Ok(()) }
/// ```
///
/// # In an async test
///
/// The calls block, and are made for a plain `#[test]`. In an async test they work as well; they block its
/// thread, and user code runs on another, in the harness's own runtime. What it waits for must not be run by the
/// test's runtime, which stands still meanwhile.
///
/// # Time
///
/// The engine never waits on the wall clock here. User code may: a call that really waits takes its time, up to
/// the deadline of its step.
pub struct Harness {
    pub(super) runtime: Blocking,
    pub(super) world: World,
    store: StoreHandle,
    pub(super) name: String,
    inputs: Vec<StreamType>,
    outputs: Vec<StreamType>,
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Harness({})", self.name)
    }
}

impl Harness {
    /// Where the clock begins: the first moment of the year 2000, UTC.
    pub const START: ProcessingTime = ProcessingTime::from_secs(946_684_800);

    /// Drives `step`, such as `Step::new("count", Count).reads(&WORDS)`, on a new store in memory.
    ///
    /// # Errors
    /// As [`HarnessBuilder::build`].
    pub fn new(step: impl IntoSteps) -> Result<Self, HarnessError> {
        Self::builder(step).build()
    }

    /// Begins a harness with a store or a clock of its own.
    pub fn builder(step: impl IntoSteps) -> HarnessBuilder {
        HarnessBuilder::new(step)
    }

    pub(super) fn of(
        runtime: Blocking,
        world: World,
        store: StoreHandle,
        name: String,
        inputs: Vec<StreamType>,
        outputs: Vec<StreamType>,
    ) -> Self {
        Self { runtime, world, store, name, inputs, outputs }
    }

    /// The store, for another harness that goes on where this one is.
    #[must_use]
    pub fn store(&self) -> StoreHandle {
        self.store.clone()
    }

    /// Pushes a record under a new id, which is returned. An event time below the watermark makes it late; what
    /// becomes of it then is up to the computation, as it is in production.
    ///
    /// It is acknowledged once its effects are committed. One that fails for now is not: it holds the input
    /// watermark, as it does in its producer's outbox, and after a crash it is sent again.
    ///
    /// # Errors
    /// [`HarnessError`]: the computation does not read such a stream, or the pipeline has stopped.
    pub fn push<T, C: Codec<T>>(
        &mut self,
        stream: &Stream<T, C>,
        key: impl Into<Key>,
        event_time: EventTime,
        value: &T,
    ) -> Result<RecordId, HarnessError> {
        let number = self.input(stream)?;
        let id = self.new_id()?;
        self.send(vec![self.item(number, id, key.into(), event_time, C::encode(value)?)?])?;
        Ok(id)
    }

    /// Pushes records that arrive together, in this order: they run before any of them is committed, as they do
    /// under load.
    ///
    /// # Errors
    /// As [`Self::push`]; then none was pushed.
    pub fn push_all<T, C: Codec<T>, K: Into<Key>>(
        &mut self,
        stream: &Stream<T, C>,
        records: impl IntoIterator<Item = (K, EventTime, T)>,
    ) -> Result<Vec<RecordId>, HarnessError> {
        let number = self.input(stream)?;
        let mut items = Vec::new();
        for (key, event_time, value) in records {
            let id = self.new_id()?;
            items.push(self.item(number, id, key.into(), event_time, C::encode(&value)?)?);
        }
        let ids = items.iter().map(|item| item.record.id).collect();
        self.send(items)?;
        Ok(ids)
    }

    /// Pushes a record under an id of your choice: one that [`Self::push`] returned makes a duplicate.
    ///
    /// Ids are remembered for as long as a producer may still send them. One of an earlier time, that is, from
    /// before the clock of now and of no record that is still unacknowledged, is a known duplicate (I6).
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn push_with_id<T, C: Codec<T>>(
        &mut self,
        stream: &Stream<T, C>,
        id: RecordId,
        key: impl Into<Key>,
        event_time: EventTime,
        value: &T,
    ) -> Result<(), HarnessError> {
        let number = self.input(stream)?;
        self.send(vec![self.item(number, id, key.into(), event_time, C::encode(value)?)?])
    }

    /// Moves the input low watermark on to `to`: from here on nothing earlier is pushed, other than late records.
    /// Event timers that it reaches fire, by time. A record that is not acknowledged still holds it.
    ///
    /// # Errors
    /// [`HarnessError`]: it would go back, or the computation reads nothing.
    pub fn advance_watermark(&mut self, to: EventTime) -> Result<(), HarnessError> {
        if self.world.before.is_none() {
            return Err(HarnessError::NoInput { computation: self.name.clone() });
        }
        self.run(|world| world.advance_watermark(to).boxed())
    }

    /// The end of a bounded input: the watermark goes to plus infinity.
    ///
    /// # Errors
    /// As [`Self::advance_watermark`].
    pub fn finish(&mut self) -> Result<(), HarnessError> {
        self.advance_watermark(EventTime::MAX)
    }

    /// Lets `by` pass on the clock. On the way everything happens at its own moment and in order: each processing
    /// timer fires when the clock shows its time, and each attempt of a failing key is made when it is due.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn advance_clock(&mut self, by: Duration) -> Result<(), HarnessError> {
        self.run(|world| world.advance_clock(by).boxed())
    }

    /// What the clock shows.
    #[must_use]
    pub fn now(&self) -> ProcessingTime {
        self.world.clock.now()
    }

    /// From here on calls run, but nothing of what they do becomes durable: their commit is held, as by a store
    /// that does not answer. So productions do not come out, apart from weak ones, and nothing is acknowledged.
    /// [`Self::release_commits`] or a crash ends it.
    pub fn hold_commits(&mut self) {
        self.world.hold.begin();
    }

    /// Lets the held commit reach the store, and all that waits behind it.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn release_commits(&mut self) -> Result<(), HarnessError> {
        self.world.hold.end();
        self.run(|world| world.settle().boxed())
    }

    /// The process dies and starts again. Whatever is not committed is gone, a held commit too; the rest is read
    /// from the store, and what was not acknowledged is sent again. A pipeline that has stopped goes on.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn crash(&mut self) -> Result<(), HarnessError> {
        self.run(|world| world.crash().boxed())
    }

    /// As [`Self::crash`], but at the worst moment: the held commit has reached the store, and nobody heard of it.
    /// Its records were not acknowledged, so they come again; its productions were not sent, so they are now.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn crash_after_commit(&mut self) -> Result<(), HarnessError> {
        self.run(|world| world.crash_after_commit().boxed())
    }

    /// What the computation has produced on `stream` since this was last asked, as a consumer gets it: once it is
    /// sent, in the order of each key, and without the repetitions after a crash.
    ///
    /// # Errors
    /// [`HarnessError`]: the computation produces no such stream, or what it produced is none of its values.
    pub fn output<T, C: Codec<T>>(&mut self, stream: &Stream<T, C>) -> Result<Vec<Output<T>>, HarnessError> {
        let number = self.produced(stream)?;
        let output = |Item { record, .. }| {
            let Record { id, key, value, event_time } = record;
            Ok(Output { id, key, event_time, value: C::decode(&value)? })
        };
        self.world.after.take(number).into_iter().map(output).collect()
    }

    /// What was given up, by key, as it lies in the store (I10).
    ///
    /// # Errors
    /// [`HarnessError::DeadLetters`].
    pub fn dead_letters(&mut self) -> Result<Vec<StoredDeadLetter>, HarnessError> {
        let letters = self.world.hand.engine.dead_letters(&self.name, usize::MAX);
        Ok(self.runtime.wait(letters).transpose()?.unwrap_or_default())
    }

    /// Takes the dead letters up again, as an operator does. Returns how many. They are parked, and tried once
    /// the least delay of the retry policy has passed on the clock.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn replay_dead_letters(&mut self) -> Result<usize, HarnessError> {
        self.run(|world| world.replay_dead_letters().boxed())
    }

    /// What its commits have counted, over all runs on the store. Duplicates alone cause no commit: they are
    /// counted with the next, and a crash before it forgets the number, not the ids.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.world.hand.counters()
    }

    /// How many records the computation has dropped because they were late (I10).
    #[must_use]
    pub fn late_dropped(&self) -> u64 {
        self.counters().late_dropped
    }

    /// The low watermark that the computations behind this one see: nothing that it is still to produce, and
    /// that is not late, is earlier.
    #[must_use]
    pub fn output_watermark(&self) -> EventTime {
        self.world.hand.output_watermark()
    }

    /// Which number the store has given to an input.
    fn input<T, C: Codec<T>>(&self, stream: &Stream<T, C>) -> Result<u32, HarnessError> {
        let given = StreamType::from(stream);
        let place = self.inputs.iter().position(|input| input.name == given.name);
        let numbers = self.world.hand.spec().map(|spec| &spec.inputs);
        match place.and_then(|place| Some((self.inputs.get(place)?, *numbers?.get(place)?))) {
            Some((declared, number)) => self.same(declared, &given).map(|()| number),
            None => Err(HarnessError::NotRead {
                computation: self.name.clone(),
                stream: given.name,
                reads: names(&self.inputs),
            }),
        }
    }

    /// Which number the store has given to an output.
    fn produced<T, C: Codec<T>>(&self, stream: &Stream<T, C>) -> Result<u32, HarnessError> {
        let given = StreamType::from(stream);
        let declared = self.outputs.iter().find(|output| output.name == given.name);
        let output = self.world.hand.spec().and_then(|spec| spec.output(&given.name));
        match declared.zip(output) {
            Some((declared, output)) => self.same(declared, &given).map(|()| output.stream),
            None => Err(HarnessError::NotProduced {
                computation: self.name.clone(),
                stream: given.name,
                outputs: names(&self.outputs),
            }),
        }
    }

    fn same(&self, declared: &StreamType, given: &StreamType) -> Result<(), HarnessError> {
        if declared == given {
            return Ok(());
        }
        let say = |of: &StreamType| format!("{} ({})", of.type_name, of.codec);
        Err(HarnessError::OtherType {
            computation: self.name.clone(),
            stream: given.name.clone(),
            declared: say(declared),
            given: say(given),
        })
    }

    fn new_id(&mut self) -> Result<RecordId, HarnessError> {
        let now = self.now();
        let no_input = || HarnessError::NoInput { computation: self.name.clone() };
        self.world.before.as_mut().map(|before| before.id(now)).ok_or_else(no_input)
    }

    /// A record, if a producer could have sent it.
    fn item(
        &self,
        stream: u32,
        id: RecordId,
        key: Key,
        event_time: EventTime,
        value: bytes::Bytes,
    ) -> Result<Item, HarnessError> {
        let key_bytes = key.as_bytes().len();
        let (size_bytes, size_bytes_max) = (key_bytes + value.len(), record_bytes_max(&self.store.limits()));
        if size_bytes > size_bytes_max || key_bytes > Key::LENGTH_MAX {
            let key_bytes_max = Key::LENGTH_MAX;
            return Err(HarnessError::TooLarge { size_bytes, size_bytes_max, key_bytes, key_bytes_max });
        }
        Ok(Item { stream, record: Record { id, key, value, event_time } })
    }

    fn send(&mut self, items: Vec<Item>) -> Result<(), HarnessError> {
        self.run(|world| world.push(items).boxed())
    }

    /// Does something with the world, until it has ended.
    fn run<'w, T: Send>(
        &'w mut self,
        act: impl FnOnce(&'w mut World) -> BoxFuture<'w, Result<T, HarnessError>>,
    ) -> Result<T, HarnessError> {
        let Self { runtime, world, .. } = self;
        let gone = || Err(HarnessError::Stopped { reason: "its runtime is gone".to_owned() });
        runtime.wait(act(world)).unwrap_or_else(gone)
    }
}

fn names(streams: &[StreamType]) -> Vec<String> {
    streams.iter().map(|stream| stream.name.clone()).collect()
}
