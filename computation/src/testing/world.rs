//! The computation with all that is around it, and what it means that nothing is left to do.

use super::error::HarnessError;
use super::hold::Hold;
use super::outside::{After, Before};
use crate::context::{Call, Context};
use crate::engine::clock::{Clock, ManualClock};
use crate::engine::interval::core::Core;
use crate::engine::interval::task::Ended;
use crate::engine::outbox::Item;
use crate::engine::panics::panic_message;
use crate::engine::scope::Cause;
use crate::engine::worker::by_hand::ByHand;
use futures_util::FutureExt;
use pelton_domain::{EventTime, Key, ProcessingTime};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// The least step of the clock, where something that is due waits for something else.
const STEP: Duration = Duration::from_micros(1);

pub(super) struct World {
    pub(super) hand: ByHand,
    /// `None` where the computation reads nothing.
    pub(super) before: Option<Before>,
    pub(super) after: After,
    pub(super) hold: Arc<Hold>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) turns_max: usize,
    /// Why the pipeline has stopped.
    pub(super) stopped: Option<String>,
}

impl World {
    /// Sends records to the computation, in one delivery.
    pub(super) async fn push(&mut self, items: Vec<Item>) -> Result<(), HarnessError> {
        self.must_run()?;
        let version = self.hand.spec().map_or(0, |spec| spec.graph_version);
        let (table, now) = (self.hand.router().table(), self.clock.now());
        if let Some(before) = &mut self.before {
            before.push(items, version, &table, now);
        }
        self.settle().await
    }

    /// Moves the producer's watermark on.
    pub(super) async fn advance_watermark(&mut self, to: EventTime) -> Result<(), HarnessError> {
        self.must_run()?;
        if let Some(before) = &mut self.before {
            if to < before.watermark {
                return Err(HarnessError::WatermarkBack { current: before.watermark, wanted: to });
            }
            before.watermark = to;
        }
        self.settle().await
    }

    /// Lets time pass, and does at each moment what is due then.
    pub(super) async fn advance_clock(&mut self, by: Duration) -> Result<(), HarnessError> {
        self.must_run()?;
        let end = self.clock.now().plus(by);
        for _ in 0..self.turns_max {
            let now = self.clock.now();
            let next = self.hand.wait().map_or(ProcessingTime::MAX, |wait| now.plus(wait.max(STEP)));
            self.clock.set(next.min(end));
            self.settle().await?;
            if next >= end {
                return Ok(());
            }
        }
        Err(HarnessError::Restless { turns: self.turns_max })
    }

    /// Takes turns until nothing is left to do but what waits for the watermark, the clock or a held commit.
    pub(super) async fn settle(&mut self) -> Result<(), HarnessError> {
        self.must_run()?;
        for _ in 0..self.turns_max {
            // User code's panics are caught around each call: this is the engine's own, a broken invariant.
            let turn = AssertUnwindSafe(self.hand.turn(self.hold.caught())).catch_unwind().await;
            let turn = turn.unwrap_or_else(|panic| {
                Err(Ended::Failed(format!("a bug of the engine: {}", panic_message(panic.as_ref()))))
            });
            match turn {
                Ok(busy) => {
                    if !self.pump().await? && !busy {
                        return Ok(());
                    }
                }
                Err(Ended::Abandoned(_) | Ended::Gone(_)) => self.take_over().await?,
                Err(Ended::Failed(reason)) => return Err(self.stop(reason).await),
                Err(Ended::Stopped(_)) => return Err(self.stop("it was stopped".to_owned()).await),
            }
        }
        Err(HarnessError::Restless { turns: self.turns_max })
    }

    /// The turn of the producer and the consumer.
    async fn pump(&mut self) -> Result<bool, HarnessError> {
        let (table, now) = (self.hand.router().table(), self.clock.now());
        let taken = self.after.pump(&table);
        let Some(before) = &mut self.before else { return Ok(taken) };
        match before.pump(&table, self.hand.injector(), now) {
            Ok(sent) => Ok(sent || taken),
            Err(refused) => Err(self.stop(refused.to_string()).await),
        }
    }

    /// Drops what is not committed, and starts again from the store.
    pub(super) async fn crash(&mut self) -> Result<(), HarnessError> {
        self.hand.kill().await;
        self.hold.end();
        self.stopped = None;
        self.take_over().await?;
        self.settle().await
    }

    /// As [`Self::crash`], but a commit under way reaches the store, and nobody hears of it.
    pub(super) async fn crash_after_commit(&mut self) -> Result<(), HarnessError> {
        self.hold.end();
        self.hand.land().await;
        self.crash().await
    }

    /// Takes the interval over; where another was faster, again, as an engine does.
    pub(super) async fn take_over(&mut self) -> Result<(), HarnessError> {
        for _ in 0..self.turns_max {
            match self.hand.start().await {
                Ok(()) => {
                    let (table, now) = (self.hand.router().table(), self.clock.now());
                    if let Some(before) = &mut self.before {
                        before.reroute(&table, now);
                    }
                    return Ok(());
                }
                Err(Ended::Abandoned(_) | Ended::Gone(_)) => {}
                Err(Ended::Failed(reason)) => return Err(self.stop(reason).await),
                Err(Ended::Stopped(_)) => return Err(self.stop("it was stopped".to_owned()).await),
            }
        }
        Err(HarnessError::Restless { turns: self.turns_max })
    }

    /// Takes the dead letters up again; returns how many.
    pub(super) async fn replay_dead_letters(&mut self) -> Result<usize, HarnessError> {
        self.must_run()?;
        match self.hand.replay_dead_letters().await {
            Ok(answer) => {
                self.settle().await?;
                // While commits are held it is not durable, and so it is not answered.
                Ok(answer.now_or_never().and_then(Result::ok).unwrap_or(0))
            }
            Err(Ended::Failed(reason) | Ended::Abandoned(reason) | Ended::Gone(reason)) => {
                Err(self.stop(reason).await)
            }
            Err(Ended::Stopped(_)) => Err(self.stop("it was stopped".to_owned()).await),
        }
    }

    async fn stop(&mut self, reason: String) -> HarnessError {
        self.hand.kill().await;
        self.stopped = Some(reason.clone());
        HarnessError::Stopped { reason }
    }

    fn must_run(&self) -> Result<(), HarnessError> {
        match &self.stopped {
            Some(reason) => Err(HarnessError::Stopped { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// What the interval holds.
    pub(super) fn core(&mut self) -> Result<&mut Core, HarnessError> {
        self.must_run()?;
        let stopped = || HarnessError::Stopped { reason: "it does not run".to_owned() };
        self.hand.core().ok_or_else(stopped)
    }

    /// What a call for `key` would act on.
    pub(super) fn context(&mut self, key: Key) -> Result<Context<'_>, HarnessError> {
        let core = self.core()?;
        let watermark = core.failing.watermark_of(&key, core.scope.input_watermark);
        let call = Call { event_time: watermark, cause: Cause::Timer, output_watermark: watermark };
        Ok(Context::new(&mut core.scope, key, call, watermark))
    }
}
