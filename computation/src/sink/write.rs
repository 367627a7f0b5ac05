//! The computation that writes: its keys are files (see the attack in [`super`]).
//!
//! * Lines, ledger, record ids and timer are one commit (I2).
//! * Only what was planned in an earlier commit is written: the timer that writes is set in the call that
//!   plans, or later, and fires in a later bundle, which with stable input begins once that commit is durable.
//! * The timer holds the watermark at that of the oldest line it is for, so the sink's watermark says what is
//!   in the file, and the pipeline is not done before the last line is (I7).

use super::ledger::{CHUNK_BYTES, Ledger, PART_BYTES_MAX};
use super::target::{Target, TargetError};
use crate::codec::{Postcard, Raw};
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::state::{Map, Value};
use crate::timer::{Fired, TimeDomain, Timer};
use bytes::{Bytes, BytesMut};
use pelton_domain::EventTime;
use std::time::Duration;

/// The tag of the timer that writes.
const FLUSH: &str = "flush";
/// The last time before plus infinity: while a line waits, the sink is not done.
const NOT_DONE: EventTime = EventTime::from_micros(i64::MAX - 1);

static LEDGER: Value<Ledger, Postcard> = Value::new("ledger");
/// Lines by the number of their chunk.
static CHUNKS: Map<Bytes, Bytes, Raw> = Map::new("chunks");

/// Appends lines to the file that the key names.
#[derive(Clone, Debug)]
pub(super) struct Append {
    pub(super) overwrite: bool,
}

impl Append {
    /// The file is this pipeline's own from here on.
    fn create(&self, cx: &Context<'_>, ledger: &mut Ledger) -> Result<(), Failure> {
        ledger.written = Some(target(cx)?.create(self.overwrite).map_err(failure)?);
        Ok(())
    }
}

impl Computation for Append {
    type Input = Bytes;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&LEDGER).cell(&CHUNKS);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Bytes>) -> Result<(), Failure> {
        let mut ledger = LEDGER.get(cx).await?.unwrap_or_default();
        let line = input.value;
        if let Some(open) = ledger.open_chunk() {
            let place = chunk_key(open);
            let before = CHUNKS.get(cx, &place).await?.unwrap_or_default();
            if before.len() + line.len() <= CHUNK_BYTES {
                return CHUNKS.insert(cx, &place, &[before, line].concat().into());
            }
        }
        let hold = cx.input_watermark().min(input.event_time).min(NOT_DONE);
        let first = ledger.add(line.len(), hold);
        for (chunk, part) in (first..).zip(line.chunks(PART_BYTES_MAX)) {
            CHUNKS.insert(cx, &chunk_key(chunk), &line.slice_ref(part))?;
        }
        LEDGER.set(cx, &ledger)?;
        // A timer that is set is for lines before this one, and plans this one when it fires.
        match cx.timer(FLUSH, TimeDomain::Processing).await? {
            Some(_) => Ok(()),
            None => cx.set_timer(Timer::after(FLUSH, Duration::ZERO).output_at(hold)),
        }
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
        let mut ledger = LEDGER.get(cx).await?.unwrap_or_default();
        let Some(written) = ledger.written.clone() else {
            self.create(cx, &mut ledger)?;
            LEDGER.set(cx, &ledger)?;
            return write_next(cx, &ledger, EventTime::MIN);
        };
        let mut lines = BytesMut::new();
        for chunk in ledger.plan() {
            let bytes = CHUNKS.get(cx, &chunk_key(chunk)).await?;
            lines.extend_from_slice(
                &bytes.ok_or_else(|| Failure::stop(format!("chunk {chunk} is not in the store")))?,
            );
            CHUNKS.remove(cx, &chunk_key(chunk))?;
        }
        let written = target(cx)?.write(&written, &lines).map_err(failure)?;
        let hold = ledger.advance(written);
        LEDGER.set(cx, &ledger)?;
        write_next(cx, &ledger, hold.unwrap_or(NOT_DONE))
    }
}

/// Comes back for what still waits, in a later bundle. The time is another than that of any timer before, so that one
/// of them that is due in this bundle does not fire any more.
fn write_next(cx: &mut Context<'_>, ledger: &Ledger, hold: EventTime) -> Result<(), Failure> {
    if ledger.is_idle() {
        return Ok(());
    }
    cx.set_timer(Timer::after(FLUSH, Duration::from_micros(1)).output_at(hold))
}

fn target(cx: &Context<'_>) -> Result<Target, Failure> {
    let path = cx.key().as_str().ok_or_else(|| Failure::stop("the key is not the path of a file"))?;
    Ok(Target::new(path))
}

/// Nothing about a file is final, so nothing is given up: a disk may have room again, and what somebody did to
/// the file, they can undo.
fn failure(error: TargetError) -> Failure {
    tracing::error!(%error, "a sink waits");
    if matches!(error, TargetError::Io { .. }) { Failure::retry(error) } else { Failure::stop(error) }
}

fn chunk_key(chunk: u64) -> Bytes {
    Bytes::copy_from_slice(&chunk.to_be_bytes())
}
