//! The rules one interval keeps, each broken into steps by hand: no task, no other interval, no real clock.
//!
//! A [`Hand`] does what the task does, one step at a time, so that a test can look between any two of them: a
//! delivery comes, a bundle runs, the batch is sealed, its commit ends. A crash drops everything in memory and
//! takes the interval over again.

mod acknowledging;
mod failing;
mod forgetting;
mod holding;
mod private_runs;
mod timers;
mod weak;

use super::commit::Committed;
use super::core::Core;
use super::*;
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::engine::bundle::{Bundle, Processor};
use crate::engine::channel::{Address, Delivery, Party};
use crate::engine::clock::{Clock, ClockHandle, ManualClock};
use crate::engine::outbox::{ChunkId, Item, Routes};
use crate::engine::recovery::Recovery;
use crate::engine::router::Mail;
use crate::failure::Failure;
use crate::pipeline::{Bound, ComputationSpec, ErasedStep, IntoSteps, Step};
use crate::state::{Map, Value};
use crate::stream::Stream;
use crate::timer::Fired;
use crate::{Codec, codec::Postcard};
use bytes::Bytes;
use pelton_domain::{
    CommitNumber, EventTime, Key, KeyInterval, KeyPosition, Name, ProcessingTime, Record, RecordId,
    Sequencer, SystemTime,
};
use pelton_statestore::fence::{Reign, create_fences, random_tokens, take_over};
use pelton_statestore::memory::Memory;
use pelton_statestore::{ComputationKeys, PipelineKeys, StateStore, StoreHandle};
use std::sync::{Arc, Mutex};

static IN: Stream<u64> = Stream::new("in");
static OUT: Stream<u64> = Stream::new("out");
static LAST: Value<u64> = Value::new("last");
static SEEN: Map<u64, u64> = Map::new("seen");

/// What the code of a test is called with.
#[derive(Clone, Debug)]
enum Event {
    Record(Input<u64>),
    Timer(Fired),
}

/// The code of a test. Where it also says so, the value of each record is kept in state, and read back.
type Code = Arc<dyn Fn(&mut Context<'_>, &Event) -> Result<(), Failure> + Send + Sync>;

#[derive(Clone)]
struct Scripted(Code);

impl Computation for Scripted {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&LAST).cell(&SEEN).output(&OUT);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        (self.0)(cx, &Event::Record(input))
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, timer: Fired) -> Result<(), Failure> {
        (self.0)(cx, &Event::Timer(timer))
    }
}

/// Produces what is read, or reads what is produced, so that the streams have two ends.
#[derive(Clone)]
struct End(bool);

impl Computation for End {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        if self.0 {
            declaration.output(&IN);
        }
    }

    async fn process(&mut self, _: &mut Context<'_>, _: Input<u64>) -> Result<(), Failure> {
        Ok(())
    }
}

/// What a test saw its code do, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// The one interval downstream.
struct Downstream(u32);

impl Downstream {
    fn party(&self) -> Party {
        let address = Address { computation: self.0, first: KeyPosition(0) };
        Party { address, sequencer: Sequencer::new(7).unwrap() }
    }
}

impl Routes for Downstream {
    fn subscribers(&self, _: u32, _: u32) -> &[u32] {
        std::slice::from_ref(&self.0)
    }

    fn owner(&self, _: u32, _: KeyPosition) -> Option<Party> {
        Some(self.party())
    }
}

/// An interval, driven by hand.
struct Hand {
    store: Memory,
    clock: Arc<ManualClock>,
    keys: ComputationKeys,
    spec: Arc<ComputationSpec>,
    step: ErasedStep,
    options: IntervalOptions,
    reign: Reign,
    core: Core,
    processor: Box<dyn Processor>,
    downstream: Downstream,
    /// What has been announced of the pipeline when the interval is taken over.
    id_floor: SystemTime,
    /// The sender's channel: epoch, and number of the next delivery.
    channel: (u64, u64),
}

const PIPELINE: &str = "by-hand";

fn pipeline() -> PipelineKeys {
    PipelineKeys::new(&Name::new(PIPELINE).unwrap())
}

const START: ProcessingTime = ProcessingTime::from_secs(1_000);

fn at(micros: i64) -> EventTime {
    EventTime::from_micros(micros)
}

fn ms(millis: u64) -> SystemTime {
    SystemTime::from_millis(millis)
}

/// A record of `key` with an id of the given system time: the same time is the same id.
fn record(id_ms: u64, key: &'static str, value: u64, event_time: i64) -> Item {
    let id = RecordId::assigned(ms(id_ms), Sequencer::new(5).unwrap(), 0);
    let value = <Postcard as Codec<u64>>::encode(&value).unwrap();
    let record = Record { id, key: Key::from(key), value, event_time: at(event_time) };
    // The stream's number: see `Hand::deliver`.
    Item { stream: 0, record }
}

impl Hand {
    /// The interval of a computation with `code`, as `step` has it.
    async fn with(
        step: impl Fn(Step<Scripted>) -> Step<Scripted>,
        code: impl Fn(&mut Context<'_>, &Event) -> Result<(), Failure> + Send + Sync + 'static,
    ) -> Self {
        Self::with_options(IntervalOptions::default(), step, code).await
    }

    async fn with_options(
        options: IntervalOptions,
        step: impl Fn(Step<Scripted>) -> Step<Scripted>,
        code: impl Fn(&mut Context<'_>, &Event) -> Result<(), Failure> + Send + Sync + 'static,
    ) -> Self {
        let name = Name::new(PIPELINE).unwrap();
        let mut steps = Step::new("before", End(true)).into_steps();
        steps.extend(step(Step::new("code", Scripted(Arc::new(code))).reads(&IN)).into_steps());
        steps.extend(Step::new("behind", End(false)).reads(&OUT).into_steps());
        let specs = Bound::new(&name, &steps, &crate::pipeline::Changes::default(), None).unwrap().specs;
        let number = |name: &str| specs.iter().find(|spec| spec.name.as_str() == name).unwrap().number;
        let downstream = Downstream(number("behind"));
        let keys = pipeline().computation(number("code"));
        let spec = Arc::new(specs.into_iter().find(|spec| spec.name.as_str() == "code").unwrap());
        let store = Memory::new();
        let handle: StoreHandle = Arc::new(store.clone());
        create_fences(&handle, &keys, &[KeyInterval::FULL], vec![], &random_tokens()).await.unwrap();
        let clock = Arc::new(ManualClock::at(START));
        let step = steps.into_iter().find(|step| step.name == "code").unwrap();
        let reign = reign(&handle, &keys, 1).await;
        let core =
            recover(&handle, &keys, &spec, options, &clock, SystemTime::ZERO, &reign, &downstream).await;
        let processor = (step.make)(&spec.inputs);
        let (id_floor, channel) = (SystemTime::ZERO, (1, 0));
        Self {
            store,
            clock,
            keys,
            spec,
            step,
            options,
            reign,
            core,
            processor,
            downstream,
            id_floor,
            channel,
        }
    }

    /// Drops everything in memory, and takes the interval over again.
    async fn crash(&mut self) {
        let handle: StoreHandle = Arc::new(self.store.clone());
        self.reign = reign(&handle, &self.keys, self.reign.sequencer().get() + 1).await;
        self.recover().await;
    }

    /// Makes the interval from the store, under the reign.
    async fn recover(&mut self) {
        let handle: StoreHandle = Arc::new(self.store.clone());
        let (clock, floor) = (&self.clock, self.id_floor);
        let core = recover(
            &handle,
            &self.keys,
            &self.spec,
            self.options,
            clock,
            floor,
            &self.reign,
            &self.downstream,
        );
        self.core = core.await;
        self.processor = (self.step.make)(&self.spec.inputs);
        self.channel = (self.channel.0 + 1, 0);
    }

    fn sender() -> Party {
        let address = Address { computation: 99, first: KeyPosition(0) };
        Party { address, sequencer: Sequencer::new(5).unwrap() }
    }

    /// The sender's next delivery. Returns its number.
    fn deliver(&mut self, items: Vec<Item>) -> u64 {
        let stream = *self.spec.inputs.first().unwrap();
        let items: Vec<Item> = items.into_iter().map(|item| Item { stream, ..item }).collect();
        let delivery = Delivery { chunk: ChunkId::strong(CommitNumber(1)), items: items.into(), bytes: 10 };
        let (epoch, number) = self.channel;
        self.channel.1 += 1;
        self.core.take_mail(Mail::Deliver { from: Self::sender(), epoch, number, delivery });
        number
    }

    /// The sender starts again from its oldest.
    fn new_epoch(&mut self) {
        self.channel = (self.channel.0 + 1, 0);
    }

    /// The numbers of the deliveries that have been acknowledged since the last time this was asked.
    fn acknowledged(&mut self) -> Vec<u64> {
        let acknowledged = |(_, mail)| match mail {
            Mail::Acknowledge { number, .. } => Some(number),
            _ => None,
        };
        self.core.outgoing.drain(..).filter_map(acknowledged).collect()
    }

    fn wait(&mut self, for_how_long: Duration) {
        self.clock.set(self.clock.now().plus(for_how_long));
        self.core.scope.now = self.clock.now();
    }

    /// What the injector announces.
    fn announce(&mut self, input_watermark: EventTime, horizon_ms: u64) {
        self.core.apply_announced(input_watermark, ms(horizon_ms));
    }

    /// What the injector has written down, and this interval has not heard.
    async fn journal_announced(&self, computation: u32, oldest_unacknowledged_ms: u64) {
        use pelton_proto::{Message, store};
        let announced = store::Announced { oldest_unacknowledged_ms, ..Default::default() };
        let value = announced.encode_to_vec().into();
        let write = pelton_statestore::Write::Put { key: pipeline().announced(computation), value };
        let commit = pelton_statestore::Commit { preconditions: vec![], writes: vec![write] };
        self.store.commit(commit).await.unwrap();
    }

    /// One bundle of work, if there is room for it.
    async fn bundle(&mut self) {
        self.core.scope.now = self.clock.now();
        if !self.core.failing.is_empty() {
            self.core.tend_failing().await.unwrap();
        }
        if !self.core.may_run() || !self.core.has_work() {
            return;
        }
        let room = self.core.options.batch_calls_max - self.core.scope.batch.calls;
        let work = self.core.gather(room).await.unwrap();
        let keys: Vec<Key> = work.iter().map(|work| work.key().clone()).collect();
        self.core.scope.prefetch(keys.iter()).await.unwrap();
        let mut bundle = Bundle::new(&mut self.core, work);
        self.processor.run(&mut bundle).await;
        self.core.end_bundle();
    }

    fn seal(&mut self) {
        assert!(self.core.sealed.is_none(), "a batch is sealed already");
        self.core.seal(&self.downstream);
    }

    /// Commits the sealed batch; false where it may not go to the store yet.
    async fn commit(&mut self) -> bool {
        let Some((writes, update)) = self.core.take_commit() else { return false };
        self.reign.commit(writes, &update).await.unwrap();
        let batch = self.core.sealed.take().unwrap();
        self.core.committed(Committed::of(batch), &self.downstream);
        true
    }

    /// Bundles and commits until there is nothing left to do now.
    async fn run(&mut self) {
        for _ in 0..100 {
            self.bundle().await;
            if self.core.should_seal() {
                self.seal();
            }
            let committed = self.commit().await;
            let may_go_on = self.core.may_run() && self.core.has_work();
            if !committed && !may_go_on {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    /// What is sent downstream now: number, and values of the records.
    fn sent(&mut self) -> Vec<(u64, Vec<u64>)> {
        self.deliveries().into_iter().map(|(_, number, delivery)| (number, values(&delivery))).collect()
    }

    fn deliveries(&mut self) -> Vec<(u64, u64, Delivery)> {
        let mut sent = Vec::new();
        let now = self.core.scope.now;
        self.core.outbox.pump(now, |_, epoch, number, delivery| sent.push((epoch, number, delivery)));
        sent
    }

    /// Downstream acknowledges these.
    fn acknowledge(&mut self, deliveries: &[(u64, u64, Delivery)]) {
        for (epoch, number, _) in deliveries {
            let from = self.downstream.party();
            self.core.take_mail(Mail::Acknowledge { from, epoch: *epoch, number: *number, at_end: false });
        }
    }

    fn low_watermark(&self) -> EventTime {
        self.core.low_watermark().0
    }

    /// How many entries the store has in a range.
    fn stored(&self, range: pelton_statestore::KeyRange) -> usize {
        self.store.dump().iter().filter(|(key, _)| range.start <= *key && *key < range.end).count()
    }
}

fn values(delivery: &Delivery) -> Vec<u64> {
    let value = |item: &Item| <Postcard as Codec<u64>>::decode(&item.record.value).unwrap();
    delivery.items.iter().map(value).collect()
}

async fn reign(store: &StoreHandle, keys: &ComputationKeys, sequencer: u64) -> Reign {
    let sequencer = Sequencer::new(sequencer).unwrap();
    take_over(store, keys, KeyInterval::FULL, sequencer, vec![], &random_tokens()).await.unwrap()
}

#[expect(clippy::too_many_arguments, reason = "a helper of two callers")]
async fn recover(
    store: &StoreHandle,
    keys: &ComputationKeys,
    spec: &Arc<ComputationSpec>,
    options: IntervalOptions,
    clock: &Arc<ManualClock>,
    id_floor: SystemTime,
    reign: &Reign,
    routes: &Downstream,
) -> Core {
    let clock: ClockHandle = clock.clone();
    let pipeline = &pipeline();
    let id_ceiling = crate::engine::ids::IdCeiling::none();
    let recovery = Recovery { store, pipeline, keys, spec, options, clock: &clock, id_floor, id_ceiling };
    recovery.recover(reign, routes).await.unwrap()
}

/// Passes every record on under its event time.
fn pass_on(cx: &mut Context<'_>, event: &Event) -> Result<(), Failure> {
    match event {
        Event::Record(input) => cx.emit(&OUT, input.key.clone(), input.event_time, &input.value),
        Event::Timer(_) => Ok(()),
    }
}

fn as_is(step: Step<Scripted>) -> Step<Scripted> {
    step
}
