//! Windows as a computation: on keyed state, timers and holds.
//!
//! Each window of a key has a namespace of its own, with one entry of state and at most two timers: one of event
//! time, for its end and for the end of its lateness, which also holds the output watermark where the next pane
//! will be (I7); and one by the clock. What triggers decide is in `trigger`, what a window keeps in `state`; how
//! it is read, written and sent in `kept`. All of it is in the commit of the record or timer that caused it (I2).

use super::aggregator::Aggregator;
use super::assign::{WINDOWS_PER_RECORD_MAX, WindowFn};
use super::bounds::Window;
use super::kept::{Shared, cell, moment};
use super::live::LiveWindows;
use super::pane::Refusal;
use super::state::Cause;
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::timer::{Fired, TimeDomain};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;

/// Groups the records of each key by windows, and tells what their triggers let out. Made by
/// [`Windowed`](super::Windowed).
pub struct WindowOperator<F, G: Aggregator> {
    pub(super) shared: Arc<Shared<F, G>>,
}

impl<F, G: Aggregator> Clone for WindowOperator<F, G> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<F: fmt::Debug, G: Aggregator + fmt::Debug> fmt::Debug for WindowOperator<F, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { windows, by, strategy, .. } = &*self.shared;
        write!(f, "WindowOperator({windows:?}, {by:?}, {strategy:?})")
    }
}

impl<F, G> Computation for WindowOperator<F, G>
where
    F: WindowFn<G::Input>,
    G: Aggregator,
    G::Input: Serialize + DeserializeOwned + Send + Sync + 'static,
    G::Output: 'static,
    G::Accumulator: 'static,
{
    type Input = G::Input;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&cell::<G>());
        self.shared.panes.declare(declaration);
        if self.shared.windows.merge_reach().is_some() {
            declaration.cell(&LiveWindows::CELL);
        }
        if let Some(refused) = &self.shared.refused {
            refused.declare(declaration);
        }
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<G::Input>) -> Result<(), Failure> {
        let shared = &*self.shared;
        let watermark = cx.input_watermark();
        let mut windows =
            shared.windows.assign(&input.value, input.event_time).map_err(Failure::permanent)?;
        windows.sort_unstable();
        windows.dedup();
        if windows.len() > WINDOWS_PER_RECORD_MAX {
            return Err(Failure::permanent(format!(
                "the record is in {} windows, and {WINDOWS_PER_RECORD_MAX} is the limit",
                windows.len()
            )));
        }
        let none = windows.is_empty();
        let mut refused = Vec::new();
        windows.retain(|window| {
            let expired = shared.strategy.is_expired(*window, watermark);
            if expired {
                refused.push((*window, Refusal::Expired));
            }
            !expired
        });
        for (window, state) in shared.targets(cx, windows).await? {
            if !shared.add(cx, window, state, &input).await? {
                refused.push((window, Refusal::Finished));
            }
        }
        if none || !refused.is_empty() {
            cx.drop_late();
            shared.tell_refused(cx, input, refused)?;
        }
        Ok(())
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, timer: Fired) -> Result<(), Failure> {
        let shared = &*self.shared;
        let Some(window) = Window::of_namespace(&timer.namespace) else {
            return Err(Failure::permanent(format!("a timer of a window is none: {timer:?}")));
        };
        let Some(mut state) = shared.load(cx, window).await? else { return Ok(()) };
        match timer.domain {
            TimeDomain::Event => state.alarms.event_us = None,
            TimeDomain::Processing => state.alarms.clock_us = None,
        }
        let moment = moment(cx, window);
        let mut firing = Vec::new();
        if state.trigger.is_armed() && moment.watermark >= window.end() {
            state.trigger.disarm();
            firing = state.evaluate(&shared.strategy, &shared.by, window, &moment, Cause::End);
        } else if timer.domain == TimeDomain::Processing {
            firing = state.evaluate(&shared.strategy, &shared.by, window, &moment, Cause::Content);
        }
        if moment.watermark >= shared.collect_at(window) {
            return shared.close(cx, window, state, firing).await;
        }
        shared.emit(cx, firing)?;
        shared.save(cx, window, state, &moment)
    }
}
