//! Records from outside, as steps of a pipeline: any gRPC client appends, and the pipeline reads a stream.
//!
//! | module | what |
//! |---|---|
//! | [`append`] | the computation keyed by client: is this id new? |
//! | [`clock`] | the computation that says how far the stream is, and when it is finished |
//! | [`check`] | what a request may be |
//!
//! Not for the calls themselves: the service is the worker's, and the way from it to the interval of a client is
//! that of all deliveries (I4, I5, I9). Engine dedup is off for both computations: what comes from outside has ids
//! that its client chose, and the state of the client's key remembers them for a stated horizon (I6).
//!
//! There are two computations, so that every interval of the one that appends follows the same watermark (I7),
//! however its keys are split: it reads a stream of the other that never has a record.

mod append;
pub(crate) mod check;
pub(crate) mod clock;

#[cfg(test)]
mod tests;

use crate::codec::{Codec, Postcard, Prost};
use crate::pipeline::{ErasedStep, Ingested, IntoSteps, RetryPolicy, Role, Step};
use crate::recording::Retention;
use crate::recording::play::{self, Play, Played};
use crate::stream::Stream;
use append::Append;
pub(crate) use append::IDS;
use clock::ArrivalClock;
use std::sync::Arc;
use std::time::Duration;

/// A stream whose records come from outside, through the gRPC service `pelton.ingest.v1.Ingest` of any worker.
///
/// A client names itself and gives each of its records an id. A record is journaled once, then acknowledged: sent
/// again with the same id within the horizon, it is no second record. The values are passed on as they came; what
/// the codec of the stream cannot read becomes a dead letter of the computation that reads it.
///
/// Its computations are `NAME.clock` and `NAME.ingest`: state hangs on the stream's name.
///
/// ```
/// use bytes::Bytes;
/// use pelton::codec::Raw;
/// use pelton::{Ingest, Stream};
/// static ORDERS: Stream<Bytes, Raw> = Stream::new("orders");
/// let step = Ingest::new(&ORDERS);
/// ```
#[must_use = "add it to a pipeline"]
pub struct Ingest<T, C = Postcard> {
    stream: Stream<T, C>,
    horizon: Duration,
    disorder: Duration,
    intervals: Option<u32>,
    retention: Option<Retention>,
}

impl<T, C> std::fmt::Debug for Ingest<T, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ingest({})", self.stream.name())
    }
}

impl<T, C: Codec<T>> Ingest<T, C> {
    /// The records of `stream` come from outside.
    pub fn new(stream: &Stream<T, C>) -> Self {
        Self {
            stream: stream.clone(),
            horizon: Duration::from_secs(24 * 3600),
            disorder: Duration::from_secs(10),
            intervals: None,
            retention: None,
        }
    }

    /// How long an id is remembered after its record was appended. Default 24 h. A client that sends a record again
    /// later than that makes a second one.
    pub fn remembers_for(mut self, horizon: Duration) -> Self {
        self.horizon = horizon;
        self
    }

    /// How far the event time of a record may lie behind the clock without being late: the watermark of the stream is
    /// the clock less this. Default 10 s.
    pub fn disorder(mut self, disorder: Duration) -> Self {
        self.disorder = disorder;
        self
    }

    /// Keeps what came for `retention`, in the commit that appends it, so that it can be played again: to verify the
    /// pipeline ([`verify`](crate::verify)), or into it. It costs a write of each record. Off by default.
    pub fn record(mut self, retention: Retention) -> Self {
        self.retention = Some(retention);
        self
    }

    /// Into how many intervals the clients are cut when a store first sees the stream.
    pub fn intervals(mut self, count: u32) -> Self {
        self.intervals = Some(count);
        self
    }
}

impl<T: 'static, C: Codec<T>> IntoSteps for Ingest<T, C> {
    fn into_steps(self) -> Vec<ErasedStep> {
        let name = self.stream.name();
        let ticks = Stream::named(clock_name(name));
        let clock = Step::new(clock_name(name), ArrivalClock::new(ticks.clone(), self.disorder));
        let clock = clock.starts_with_key(clock::KEY).intervals(1).without_dedup().retry(patient());
        let clock = clock.role(Role::Clock);
        let append = Append::new(self.stream.clone(), self.horizon, self.retention);
        let append = Step::new(append_name(name), append).role(Role::Ingest(self.ingested()));
        let append = append.reads::<Prost>(&ticks).without_dedup().retry(patient());
        let append = match self.intervals {
            Some(count) => append.intervals(count),
            None => append,
        };
        (clock.ingests::<Prost>(), append.ingests::<Prost>()).into_steps()
    }
}

impl<T: 'static, C: Codec<T>> Ingest<T, C> {
    /// What takes the place of both computations where a recording is played.
    fn ingested(&self) -> Ingested {
        let (stream, disorder) = (self.stream.clone(), self.disorder);
        let play = move |played: Played| {
            let play = Play::new(stream.clone(), disorder, played);
            let step = Step::new(append_name(stream.name()), play).role(Role::Source);
            let step = step.starts_with_key(play::KEY).intervals(1).retry(patient());
            // The first reading looks for every client.
            step.deadline(Duration::from_secs(3600)).into_steps()
        };
        Ingested { stream: self.stream.name().to_owned(), retention: self.retention, play: Arc::new(play) }
    }
}

/// The computation that a stream's records go to.
pub(crate) fn append_name(stream: &str) -> String {
    format!("{stream}.ingest")
}

/// The computation that follows the clock for a stream.
pub(crate) fn clock_name(stream: &str) -> String {
    format!("{stream}.clock")
}

/// With its timer given up the clock would stand still, or go on to the end, without a word.
fn patient() -> RetryPolicy {
    RetryPolicy { timer_age_max: Duration::MAX, crashes_max: u32::MAX, ..RetryPolicy::default() }
}
