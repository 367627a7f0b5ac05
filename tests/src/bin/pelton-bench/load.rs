//! The pipelines that are measured: a source of records, a keyed count, and a tail that sees what comes out.

use bytes::Bytes;
use hdrhistogram::Histogram;
use pelton::codec::Raw;
use pelton::{
    Clock, Computation, Context, Declaration, EventTime, Failure, Fired, Input, Pipeline, PipelineError,
    Step, Stream, Timer, Value, WallClock,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

static RECORDS: Stream<Bytes, Raw> = Stream::new("records");
static COUNTS: Stream<Bytes, Raw> = Stream::new("counts");
static CURSOR: Value<u64> = Value::new("cursor");
static COUNT: Value<Bytes, Raw> = Value::new("count");

/// What a pipeline is made of.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) records: u64,
    pub(crate) keys: u64,
    pub(crate) value_bytes: usize,
    /// Records a second; `None`: as many as go.
    pub(crate) rate: Option<u64>,
    pub(crate) intervals: u32,
    pub(crate) dedup: bool,
    /// Whether counts are sent on, to a tail that measures.
    pub(crate) tail: bool,
}

/// Records emitted at once when there is no rate.
const CHUNK: u64 = 2048;

/// Emits records; the value begins with the time it was emitted at, in microseconds.
#[derive(Clone, Debug)]
struct Generate(Load, Option<i64>);

impl Computation for Generate {
    type Input = ();

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&CURSOR).output(&RECORDS);
    }

    async fn process(&mut self, _: &mut Context<'_>, _: Input<()>) -> Result<(), Failure> {
        Ok(())
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
        let now = cx.now().as_micros();
        let from = CURSOR.get(cx).await?.unwrap_or(0);
        let began = *self.1.get_or_insert(now);
        let due = match self.0.rate {
            Some(rate) => u64::try_from(now - began).unwrap_or(0) * rate / 1_000_000 + 1,
            None => from + CHUNK,
        };
        let to = due.clamp(from, self.0.records);
        for number in from..to {
            let mut value = vec![b'x'; self.0.value_bytes.max(8)];
            if let Some(head) = value.first_chunk_mut::<8>() {
                *head = now.to_be_bytes();
            }
            // Multiplied by an odd number, so that keys do not come in the order of their positions.
            let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % self.0.keys;
            cx.emit(&RECORDS, key, EventTime::from_micros(now), &Bytes::from(value))?;
        }
        CURSOR.set(cx, &to)?;
        if to < self.0.records {
            let pause = self.0.rate.map_or(0, |rate| 1_000_000 / rate.max(1)).min(1000);
            cx.set_timer(
                Timer::after("more", Duration::from_micros(pause)).output_at(EventTime::from_micros(now)),
            )?;
        }
        Ok(())
    }
}

/// Counts per key; the state is the count and the rest of the last value.
#[derive(Clone, Debug)]
struct Tally {
    forward: bool,
}

impl Computation for Tally {
    type Input = Bytes;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&COUNT).output(&COUNTS);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Bytes>) -> Result<(), Failure> {
        let before = COUNT.get(cx).await?;
        let before = before
            .as_deref()
            .and_then(|bytes| bytes.first_chunk::<8>())
            .map_or(0, |b| u64::from_be_bytes(*b));
        let mut state = input.value.to_vec();
        if let Some(head) = state.first_chunk_mut::<8>() {
            *head = (before + 1).to_be_bytes();
        }
        COUNT.set(cx, &Bytes::from(state))?;
        if self.forward {
            cx.emit(&COUNTS, input.key, input.event_time, &input.value)?;
        }
        Ok(())
    }
}

/// Takes what comes out, and how old it is.
#[derive(Clone, Debug)]
struct Tail(Arc<Mutex<Histogram<u64>>>);

impl Computation for Tail {
    type Input = Bytes;

    fn declare(&self, _: &mut Declaration) {}

    async fn process(&mut self, _: &mut Context<'_>, input: Input<Bytes>) -> Result<(), Failure> {
        let emitted = input.value.first_chunk::<8>().map_or(0, |head| i64::from_be_bytes(*head));
        let age = WallClock.now().as_micros().saturating_sub(emitted);
        let mut ages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ages.saturating_record(u64::try_from(age).unwrap_or(0));
        Ok(())
    }
}

/// The pipeline of a load; ages at the tail go to `ages`.
pub(crate) fn pipeline(load: &Load, ages: &Arc<Mutex<Histogram<u64>>>) -> Result<Pipeline, PipelineError> {
    let tally = Step::new("count", Tally { forward: load.tail }).reads(&RECORDS).intervals(load.intervals);
    let tally = if load.dedup { tally } else { tally.without_dedup() };
    let builder = Pipeline::builder("bench")
        .with(Step::new("generate", Generate(load.clone(), None)).starts_with_key("generate").intervals(1))
        .with(tally);
    if load.tail {
        builder.with(Step::new("tail", Tail(ages.clone())).reads(&COUNTS).intervals(1)).build()
    } else {
        builder.build()
    }
}
