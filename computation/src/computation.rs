//! What a user writes: a keyed computation.

use crate::codec::Codec;
use crate::context::Context;
use crate::failure::Failure;
use crate::state::{CellSpec, StateCell};
use crate::stream::{Stream, StreamType};
use crate::timer::Fired;
use pelton_domain::{EventTime, Key, RecordId};
use std::future::Future;

/// A record as user code receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input<T> {
    /// Its identity, the same on every attempt.
    pub id: RecordId,
    /// Its key.
    pub key: Key,
    /// When it happened.
    pub event_time: EventTime,
    /// What it says.
    pub value: T,
}

/// Code that runs for each record and timer of a key, one at a time for each key.
///
/// The contract:
///
/// * Calls for one key never overlap, and each sees the effects of the one before.
/// * A call may run again, after a failure or a crash. What it did through its context takes effect exactly
///   once; what it did to the outside, at least once.
/// * For the same answer after every crash (I12), let results depend on the record, the state and the timers
///   only: no clock, no randomness, no order between different keys.
/// * Fields of `self` are caches. Each interval has its own clone, and may lose it at any time.
///
/// ```
/// use pelton::{Computation, Context, Declaration, Failure, Input, Stream, Value};
///
/// static WORDS: Stream<String> = Stream::new("words");
/// static COUNTS: Stream<u64> = Stream::new("counts");
/// static SEEN: Value<u64> = Value::new("seen");
///
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
///     async fn process(&mut self, cx: &mut Context<'_>, input: Input<String>) -> Result<(), Failure> {
///         let seen = SEEN.get(cx).await?.unwrap_or(0) + 1;
///         SEEN.set(cx, &seen)?;
///         cx.emit(&COUNTS, input.key, input.event_time, &seen)
///     }
/// }
/// ```
pub trait Computation: Clone + Send + 'static {
    /// What it consumes.
    type Input: Send + 'static;

    /// Says which cells it keeps and which streams it produces; using others is an error.
    fn declare(&self, declaration: &mut Declaration);

    /// Handles one record.
    fn process(
        &mut self,
        cx: &mut Context<'_>,
        input: Input<Self::Input>,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Handles one timer. The default does nothing.
    fn on_timer(
        &mut self,
        cx: &mut Context<'_>,
        timer: Fired,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = (cx, timer);
        async { Ok(()) }
    }
}

/// What a computation says of itself: its cells and the streams it produces.
#[derive(Clone, Debug, Default)]
pub struct Declaration {
    pub(crate) cells: Vec<CellSpec>,
    pub(crate) outputs: Vec<StreamType>,
    /// Steps fused into it, for the graph: a line for each of its ways to a stream.
    pub(crate) fused: Vec<String>,
}

impl Declaration {
    /// It keeps `cell`.
    pub fn cell(&mut self, cell: &impl StateCell) -> &mut Self {
        self.cells.push(cell.spec());
        self
    }

    /// It produces `stream`.
    pub fn output<T, C: Codec<T>>(&mut self, stream: &Stream<T, C>) -> &mut Self {
        self.outputs.push(stream.into());
        self
    }
}
