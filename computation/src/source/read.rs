//! The computation that reads splits: its keys are splits, its state is a cursor for each.
//!
//! * Rows, cursor and timer of a chunk are one commit (I2): a chunk is read again or is there, never both.
//! * The timer's output time is the watermark, which never goes back (I7).
//! * A reader in memory is a cache. It is used only where it stands exactly at the cursor in state, and is
//!   taken out while it reads, so whatever fails or is cancelled costs a reader and nothing else.
//! * A bounded number of readers is open at a time (I11).

use super::enumerate::Assigned;
use super::pace::Pace;
use super::split::{Chunk, ChunkRequest, Next, Rejected, SourceRecord, SplitReader, SplitSource};
use super::steps::SourceOptions;
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::{Failure, FailureKind};
use crate::outlet::{Outlet, Routed};
use crate::state::Value;
use crate::timer::{Fired, Timer};
use bytes::Bytes;
use pelton_domain::{EventTime, Key, ProcessingTime};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

/// The tag of the timer that reads.
const READ: &str = "read";
/// How many splits of one interval are open at a time.
const READERS_OPEN_MAX: usize = 64;
/// What a dead letter keeps of a row: even with every byte escaped it fits into a store's value.
const DEAD_LETTER_BYTES_MAX: usize = 12 * 1024;
/// A record that weighs more than this is one that no store takes, whatever else is in its commit.
const RECORD_BYTES_MAX: usize = 64 * 1024;

/// How far a split has been read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Progress<C> {
    cursor: C,
    watermark_us: i64,
    ended: bool,
}

/// Reads splits.
pub(super) struct Read<S: SplitSource> {
    outside: S,
    outlet: Outlet<S::Value>,
    options: SourceOptions,
    split: Value<Assigned<S::Split>>,
    progress: Value<Progress<S::Cursor>>,
    /// As many rows as have been found to fit into a commit.
    rows_max: usize,
    open: Mutex<Readers<S>>,
}

/// Readers and where they stand, the last used one last. Never locked: it is only ever used exclusively.
type Readers<S> = VecDeque<(Key, <S as SplitSource>::Cursor, <S as SplitSource>::Reader)>;

impl<S: SplitSource> Clone for Read<S> {
    fn clone(&self) -> Self {
        Self::new(self.outside.clone(), self.outlet.clone(), self.options.clone())
    }
}

impl<S: SplitSource> Read<S> {
    pub(super) fn new(outside: S, outlet: Outlet<S::Value>, options: SourceOptions) -> Self {
        Self {
            outside,
            outlet,
            rows_max: options.chunk_rows_max,
            options,
            split: Value::new("split"),
            progress: Value::new("progress"),
            open: Mutex::new(VecDeque::new()),
        }
    }

    fn readers(&mut self) -> &mut Readers<S> {
        self.open.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The reader of `key`, at its cursor.
    async fn reader(
        &mut self,
        key: &Key,
        split: &S::Split,
        cursor: Option<&S::Cursor>,
    ) -> Result<S::Reader, Failure> {
        let readers = self.readers();
        if let Some(at) = readers.iter().position(|(open, ..)| open == key)
            && let Some((_, place, reader)) = readers.remove(at)
            && Some(&place) == cursor
        {
            return Ok(reader);
        }
        self.outside.open(split, cursor).await
    }

    fn keep(&mut self, key: Key, cursor: S::Cursor, reader: S::Reader) {
        let readers = self.readers();
        readers.push_back((key, cursor, reader));
        if readers.len() > READERS_OPEN_MAX {
            readers.pop_front();
        }
    }
}

impl<S: SplitSource> Read<S> {
    /// Reads the next chunk, and says when to read on.
    async fn read_on(&mut self, cx: &mut Context<'_>, timer: Fired) -> Result<(), Failure> {
        let Some(assigned) = self.split.get(cx).await? else { return Ok(()) };
        let before = self.progress.get(cx).await?;
        let pace = self.options.rows_per_s.map(|rate| Pace::shared(rate, assigned.splits));
        let rows_max = self.rows_max;
        let request = ChunkRequest {
            rows_max: pace.map_or(rows_max, |pace| pace.chunk_rows(rows_max)),
            bytes_max: self.options.chunk_bytes_max,
            now: cx.now(),
        };
        let key = cx.key().clone();
        let cursor = before.as_ref().map(|progress| &progress.cursor);
        let read = async {
            let mut reader = self.reader(&key, &assigned.split, cursor).await?;
            Ok((reader.next_chunk(request).await?, reader))
        };
        let (chunk, reader) = read.await.inspect_err(|failure: &Failure| {
            tracing::error!(source = self.options.name, split = %key, %failure, "a split cannot be read");
        })?;
        let Chunk { records, rejected, cursor, watermark, next } = chunk;

        let rows = records.len() + rejected.len();
        self.emit(cx, records)?;
        rejected.into_iter().try_for_each(|rejected| reject(cx, rejected))?;
        let watermark = watermark.as_micros().max(before.map_or(i64::MIN, |progress| progress.watermark_us));
        let ended = next == Next::End;
        self.progress.set(cx, &Progress { cursor: cursor.clone(), watermark_us: watermark, ended })?;
        if !ended {
            let at = self.next_at(pace, timer.fire_at_us, request.now, rows, next);
            cx.set_timer(Timer::processing(READ, at).output_at(EventTime::from_micros(watermark)))?;
            self.keep(key, cursor, reader);
        }
        Ok(())
    }

    fn emit(&mut self, cx: &mut Context<'_>, records: Vec<SourceRecord<S::Value>>) -> Result<(), Failure> {
        let count = records.len();
        for SourceRecord { key, event_time, value, origin } in records {
            match self.outlet.route(value, key, event_time) {
                Ok(routed) => {
                    for routed in routed {
                        self.produce(cx, routed, count, origin)?;
                    }
                }
                Err(error) => {
                    reject(cx, unfit(cx, origin, Bytes::new(), event_time, &error.to_string()))?;
                }
            }
        }
        Ok(())
    }

    fn produce(
        &mut self,
        cx: &mut Context<'_>,
        routed: Routed,
        count: usize,
        origin: u64,
    ) -> Result<(), Failure> {
        let Routed { stream, key, event_time, value } = routed;
        let bytes = key.as_bytes().len() + value.len();
        match cx.emit(&stream, key, event_time, &value) {
            Err(failure) if failure.kind != FailureKind::Permanent => Err(failure),
            Err(failure) if bytes <= RECORD_BYTES_MAX && count > 1 => Err(self.halve(count, &failure)),
            Err(failure) => reject(cx, unfit(cx, origin, value, event_time, failure.reason())),
            Ok(()) => Ok(()),
        }
    }

    /// The rows of one chunk are too much for one commit, though none of them is by itself.
    fn halve(&mut self, count: usize, failure: &Failure) -> Failure {
        self.rows_max = (count / 2).max(1);
        tracing::info!(source = self.options.name, rows_max = self.rows_max, %failure, "chunks become smaller");
        Failure::retry_after(Duration::ZERO, failure)
    }

    /// When the next chunk may be read.
    fn next_at(
        &self,
        pace: Option<Pace>,
        due_us: i64,
        now: ProcessingTime,
        rows: usize,
        next: Next,
    ) -> ProcessingTime {
        let wait = match next {
            Next::Idle(wait) => wait,
            Next::More | Next::End => Duration::ZERO,
        };
        let paced = pace.map(|pace| pace.next_due(ProcessingTime::from_micros(due_us), now, rows));
        now.plus(wait).max(paced.unwrap_or(now))
    }
}

/// A record that the engine does not take, as a rejected row.
fn unfit(cx: &Context<'_>, origin: u64, bytes: Bytes, event_time: EventTime, why: &str) -> Rejected {
    Rejected { bytes, reason: format!("{}, {origin}: {why}", cx.key()), event_time }
}

fn reject(cx: &mut Context<'_>, rejected: Rejected) -> Result<(), Failure> {
    let Rejected { mut bytes, mut reason, event_time } = rejected;
    if bytes.len() > DEAD_LETTER_BYTES_MAX {
        reason =
            format!("{reason} (the first {DEAD_LETTER_BYTES_MAX} of its {} bytes are kept)", bytes.len());
        bytes.truncate(DEAD_LETTER_BYTES_MAX);
    }
    cx.dead_letter(bytes, reason, event_time)
}

impl<S: SplitSource> Computation for Read<S> {
    type Input = Assigned<S::Split>;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&self.split).cell(&self.progress);
        self.outlet.declare(declaration);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Self::Input>) -> Result<(), Failure> {
        if self.split.get(cx).await?.is_some() {
            return Ok(());
        }
        self.split.set(cx, &input.value)?;
        cx.set_timer(Timer::after(READ, Duration::ZERO).output_at(EventTime::MIN))
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, timer: Fired) -> Result<(), Failure> {
        // A timer that is given up never fires again: the rest of the split would be lost without a word (I10).
        self.read_on(cx, timer).await.map_err(|failure| match failure.kind {
            FailureKind::Permanent => Failure::stop(failure),
            _ => failure,
        })
    }
}
