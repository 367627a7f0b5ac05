//! Streams to the outside, as steps of a pipeline: any gRPC client subscribes, and goes on where it was.
//!
//! | module | what |
//! |---|---|
//! | [`partition`] | which part of a published stream a record is in, and the step that sends it there |
//! | [`log`] | the computation keyed by partition: a log with offsets |
//! | [`ledger`] | what a log knows of itself, and what of it goes when |
//! | [`token`] | where a client is in a published stream |
//!
//! Not for the calls themselves: the service is the worker's. It reads logs from the store, where there is nothing but
//! what is committed; so whoever serves needs to own nothing.
//!
//! * I9: the records of one key are in one partition, in their order.
//! * I11: a log is bounded in age, records and bytes.

pub(crate) mod ledger;
pub(crate) mod log;
pub(crate) mod partition;
pub(crate) mod token;

#[cfg(test)]
mod tests;

use crate::codec::{Codec, Postcard, Raw};
use crate::pipeline::{ErasedStep, IntoSteps, RetryPolicy, Step};
use crate::stream::Stream;
use bytes::Bytes;
use ledger::Kept;
use log::Log;
use partition::{Partition, Partitions};
use std::fmt;
use std::time::Duration;

/// A stream that clients may subscribe to, through the gRPC service `pelton.subscribe.v1.Subscribe` of any worker.
///
/// Its records are kept in logs, one for each partition, with offsets that have no gap. The records of one key
/// are in one partition, in the order in which they were produced. The values are passed on as the codec of the stream
/// encodes them: [`Json`](crate::codec::Json) and [`Prost`](crate::codec::Prost) are what other languages read.
///
/// Its computations are `NAME.publish` and `NAME.log`: state hangs on the name.
///
/// ```
/// use pelton::codec::Json;
/// use pelton::{Publish, Stream};
/// use std::time::Duration;
/// static ALERTS: Stream<String, Json> = Stream::new("alerts");
/// let step = Publish::new("alerts", &ALERTS).keeps_for(Duration::from_secs(3_600));
/// ```
#[must_use = "add it to a pipeline"]
pub struct Publish<T, C = Postcard> {
    stream: Stream<T, C>,
    log: PublishedLog,
}

impl<T, C> fmt::Debug for Publish<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Publish({} as {})", self.stream.name(), self.log.name)
    }
}

impl<T, C: Codec<T>> Publish<T, C> {
    /// The records of `stream` are published as `name`.
    pub fn new(name: impl Into<String>, stream: &Stream<T, C>) -> Self {
        Self { stream: stream.clone(), log: PublishedLog::new(name.into()) }
    }

    /// Into how many partitions it is cut: 1 to 64; default 4. Where that is changed, the stream begins anew: what was
    /// published before cannot be read any more, and tokens from before are refused.
    pub fn partitions(mut self, count: u32) -> Self {
        self.log.partitions = Partitions::new(count);
        self
    }

    /// How long a record is kept, by the clock, before it expires. Default 24 h. It may stay for a sixteenth longer. What
    /// there is when the stream ends does not grow older.
    pub fn keeps_for(mut self, age: Duration) -> Self {
        self.log.kept.age = age;
        self
    }

    /// How many records a partition keeps at most, at least 1,000; default 1,000,000. The oldest go first, about 256 at
    /// a time.
    pub fn keeps_records(mut self, count: u64) -> Self {
        self.log.kept.records_max = count.max(Kept::RECORDS_MIN);
        self
    }

    /// How many bytes of records a partition keeps at most, at least 1 MB; default 256 MiB.
    pub fn keeps_bytes(mut self, bytes: u64) -> Self {
        self.log.kept.bytes_max = bytes.max(Kept::BYTES_MIN);
        self
    }
}

impl<T: 'static, C: Codec<T>> IntoSteps for Publish<T, C> {
    fn into_steps(self) -> Vec<ErasedStep> {
        let Self { stream, log } = self;
        let partition = Partition { partitions: log.partitions, to: log.input() };
        // It keeps nothing, and makes the same of the same: so it needs neither a write of its own nor ids.
        let partition = Step::new(publish_name(&log.name), partition)
            .reads_encoded(&stream)
            .weak()
            .without_dedup()
            .retry(patient());
        (partition, log.step()).into_steps()
    }
}

/// The log of a published stream: all of it but what sends records there.
#[derive(Clone, Debug)]
pub(crate) struct PublishedLog {
    name: String,
    pub(crate) partitions: Partitions,
    kept: Kept,
}

impl PublishedLog {
    pub(crate) fn new(name: String) -> Self {
        Self { name, partitions: Partitions::default(), kept: Kept::default() }
    }

    /// The stream that brings it what [`partition::encode`] makes of records, by partition.
    pub(crate) fn input(&self) -> Stream<Bytes, Raw> {
        Stream::named(format!("{}.published", self.name))
    }

    /// The computation that keeps it.
    pub(crate) fn step(&self) -> Step<Log> {
        let log = Log { kept: self.kept };
        let step = Step::new(log_name(&self.name), log).reads(&self.input());
        step.publishes(self.partitions).retry(patient())
    }
}

/// The computation that a stream's log is kept by.
pub(crate) fn log_name(stream: &str) -> String {
    format!("{stream}{LOG}")
}

/// The name under which a stream is published, from that of the computation that keeps it.
pub(crate) fn published_name(computation: &str) -> &str {
    computation.strip_suffix(LOG).unwrap_or(computation)
}

const LOG: &str = ".log";

/// The computation that sends records to their partition.
fn publish_name(stream: &str) -> String {
    format!("{stream}.publish")
}

/// With its timer given up a log would keep everything.
fn patient() -> RetryPolicy {
    RetryPolicy { timer_age_max: Duration::MAX, crashes_max: u32::MAX, ..RetryPolicy::default() }
}
