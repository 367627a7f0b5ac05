//! The computation that says how far a stream from outside is: the clock, less a stated disorder (I7).
//!
//! Its one key has a timer whose output time is that. A record to it finishes the stream: committed with the end of
//! the timer, so it is irrevocable, and the watermark goes to plus infinity.

use crate::codec::Prost;
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::state::Value;
use crate::stream::Stream;
use crate::timer::{Fired, TimeDomain, Timer};
use pelton_domain::EventTime;
use pelton_proto::ingest::{FinishRequest, IngestRecord};
use std::time::Duration;

/// Its key.
pub(crate) const KEY: &str = "clock";
/// The tag of its timer after the first.
const TICK: &str = "tick";
/// How often the watermark follows the clock.
const TICK_EVERY: Duration = Duration::from_millis(200);

static FINISHED: Value<bool> = Value::new("finished");

#[derive(Clone, Debug)]
pub(super) struct ArrivalClock {
    /// It never has a record: what reads it follows its watermark.
    ticks: Stream<IngestRecord, Prost>,
    disorder: Duration,
}

impl ArrivalClock {
    pub(super) fn new(ticks: Stream<IngestRecord, Prost>, disorder: Duration) -> Self {
        Self { ticks, disorder }
    }
}

impl Computation for ArrivalClock {
    type Input = FinishRequest;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&FINISHED).output(&self.ticks);
    }

    async fn process(&mut self, cx: &mut Context<'_>, _: Input<FinishRequest>) -> Result<(), Failure> {
        FINISHED.set(cx, &true)?;
        cx.clear_timer("start", TimeDomain::Processing)?;
        cx.clear_timer(TICK, TimeDomain::Processing)
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, timer: Fired) -> Result<(), Failure> {
        if FINISHED.get(cx).await?.unwrap_or(false) {
            return Ok(());
        }
        let behind = EventTime::from_micros(cx.now().minus(self.disorder).as_micros());
        cx.set_timer(Timer::after(TICK, TICK_EVERY).output_at(behind.max(timer.output_time)))
    }
}
