//! The computation keyed by partition: it gives each record an offset, and puts it into the store.
//!
//! * I2: record and ledger are one commit, so the log in the store has no gap, whatever is killed.
//! * I6: what comes twice is dropped by the engine before it gets here, so nothing has two offsets.
//! * I11: the oldest go as new ones come, and with a timer. That timer holds no watermark, and is cleared when the
//!   input has ended, so that a finished stream has nothing left to wait for.

use super::ledger::{Block, Kept, Ledger};
use crate::codec::{Codec, Postcard};
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::state::{Envelope, Map, StateCell, Value};
use crate::timer::{Fired, TimeDomain, Timer};
use bytes::Bytes;
use pelton_domain::{EventTime, ProcessingTime};
use pelton_proto::Malformed;

/// The tag of the timer that takes off what has expired, and of the one that waits for the end.
const COLLECT: &str = "collect";
const END: &str = "end";
/// Blocks that one call takes off.
const BLOCKS_AT_ONCE_MAX: usize = 64;

/// Where the store has what a log knows of itself: the cell's name.
pub(crate) const LEDGER_CELL: &str = "ledger";
static LEDGER: Value<Ledger> = Value::new(LEDGER_CELL);
/// Closed blocks, by their first offset.
static BLOCKS: Map<u64, Block> = Map::new("blocks");

/// Keeps the log that its key names.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(super) kept: Kept,
}

/// What a log knows of itself, from the store; where there is nothing, the log is new.
pub(crate) fn read_ledger(stored: Option<&Bytes>) -> Result<Ledger, Malformed> {
    let Some(stored) = stored else { return Ok(Ledger::default()) };
    let malformed = |reason: String| Malformed::new("ledger of a published stream", reason);
    let payload = Envelope::read(stored, &LEDGER.spec(), ProcessingTime::MIN);
    let payload = payload.map_err(|error| malformed(error.to_string()))?.unwrap_or_default();
    Postcard::decode(&payload).map_err(|error| malformed(error.to_string()))
}

impl Log {
    /// Takes off the oldest blocks, as long as `goes` says so; whether it came to an end of that.
    async fn collect(
        cx: &mut Context<'_>,
        ledger: &mut Ledger,
        goes: impl Fn(&Ledger, &Block) -> bool + Send,
    ) -> Result<bool, Failure> {
        for _ in 0..BLOCKS_AT_ONCE_MAX {
            let oldest = oldest(cx, ledger).await?;
            if ledger.is_empty() || !goes(ledger, &oldest) {
                return Ok(true);
            }
            BLOCKS.remove(cx, &oldest.first)?;
            cx.unpublish(oldest.first, oldest.end);
            ledger.drop_oldest(&oldest);
        }
        Ok(false)
    }
}

async fn oldest(cx: &mut Context<'_>, ledger: &Ledger) -> Result<Block, Failure> {
    if ledger.first == ledger.open.first {
        return Ok(ledger.open);
    }
    let oldest = BLOCKS.get(cx, &ledger.first).await?;
    oldest.ok_or_else(|| Failure::stop(format!("the log {} has no block at {}", cx.key(), ledger.first)))
}

impl Computation for Log {
    type Input = Bytes;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&LEDGER).cell(&BLOCKS);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Bytes>) -> Result<(), Failure> {
        let mut ledger = LEDGER.get(cx).await?.unwrap_or_default();
        let (was_empty, now) = (ledger.is_empty(), cx.now());
        let bytes = u64::try_from(input.value.len()).unwrap_or(u64::MAX);
        let (offset, closed) = ledger.append(bytes, now, &self.kept);
        if let Some(block) = closed {
            BLOCKS.insert(cx, &block.first, &block)?;
        }
        cx.publish(offset, input.value)?;
        Self::collect(cx, &mut ledger, |ledger, _| ledger.is_over(&self.kept)).await?;
        LEDGER.set(cx, &ledger)?;
        if was_empty && cx.input_watermark() != EventTime::MAX {
            cx.set_timer(Timer::event(END, EventTime::MAX))?;
            cx.set_timer(collecting(ledger.open.expires(&self.kept)))?;
        }
        Ok(())
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, timer: Fired) -> Result<(), Failure> {
        if timer.tag == END {
            return cx.clear_timer(COLLECT, TimeDomain::Processing);
        }
        let mut ledger = LEDGER.get(cx).await?.unwrap_or_default();
        let (now, kept) = (cx.now(), self.kept);
        let all = Self::collect(cx, &mut ledger, |_, oldest| oldest.expires(&kept) <= now).await?;
        LEDGER.set(cx, &ledger)?;
        if ledger.is_empty() || cx.input_watermark() == EventTime::MAX {
            return Ok(());
        }
        let next = if all { oldest(cx, &ledger).await?.expires(&kept) } else { now };
        cx.set_timer(collecting(next))
    }
}

/// It holds no watermark: nothing is produced by it.
fn collecting(at: ProcessingTime) -> Timer {
    Timer::processing(COLLECT, at).output_at(EventTime::MAX)
}
