//! The windows of a key in its state: read, merged, written, and collected.
//!
//! Nothing is decided here; what is written follows from `state` and `live`. The timers of a window are replaced in
//! the commit that replaces its state, so the hold of one is where the next pane will be (I2, I7, I8).

use super::aggregator::Aggregator;
use super::assign::WindowFn;
use super::bounds::Window;
use super::live::{Join, LiveWindows};
use super::pane::{Pane, Refusal, Refused};
use super::state::{Alarms, Cause, Firing, WindowState};
use super::strategy::{Closing, Strategy};
use super::trigger::Moment;
use crate::computation::Input;
use crate::context::Context;
use crate::failure::Failure;
use crate::outlet::Outlet;
use crate::state::Value;
use crate::timer::{TimeDomain, Timer};
use bytes::Bytes;
use pelton_domain::{EventTime, ProcessingTime};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The tag of the timers of a window.
const ALARM: &str = "window";

/// What every interval's copy of the operator has in common.
pub(super) struct Shared<F, G: Aggregator> {
    pub(super) windows: F,
    pub(super) by: G,
    pub(super) strategy: Strategy,
    pub(super) panes: Outlet<Pane<G::Output>>,
    pub(super) refused: Option<Outlet<Refused<G::Input>>>,
}

pub(super) type State<G> = WindowState<<G as Aggregator>::Accumulator, <G as Aggregator>::Output>;

/// The one entry of state of a window.
pub(super) const fn cell<G: Aggregator>() -> Value<State<G>> {
    Value::new("window")
}

impl<F, G> Shared<F, G>
where
    F: WindowFn<G::Input>,
    G: Aggregator,
    G::Input: Serialize + DeserializeOwned + Send + Sync + 'static,
    G::Output: 'static,
    G::Accumulator: 'static,
{
    /// The windows that a record goes into, and the state of those that merging has read already.
    pub(super) async fn targets(
        &self,
        cx: &mut Context<'_>,
        windows: Vec<Window>,
    ) -> Result<Vec<(Window, Option<State<G>>)>, Failure> {
        if self.windows.merge_reach().is_none() || windows.is_empty() {
            return Ok(windows.into_iter().map(|window| (window, None)).collect());
        }
        let mut live = LiveWindows::load(cx).await?;
        let mut targets = Vec::new();
        let joined = live.join(&windows, |all| self.windows.merge(all));
        for join in &joined {
            let state = self.merge(cx, join).await?;
            if join.takes_record {
                targets.push((join.into, Some(state)));
            } else {
                let moment = moment(cx, join.into);
                self.save(cx, join.into, state, &moment)?;
            }
        }
        live.save(cx)?;
        Ok(targets)
    }

    /// The state of a window, with that of the windows it takes in; these are no more.
    pub(super) async fn merge(&self, cx: &mut Context<'_>, join: &Join) -> Result<State<G>, Failure> {
        let known = if join.known { self.load(cx, join.into).await? } else { None };
        let mut state = known.unwrap_or_else(|| WindowState::new(&self.strategy));
        for window in &join.merged {
            if let Some(mut other) = self.load(cx, *window).await? {
                self.forget(cx, *window, other.alarms)?;
                if window.end() != join.into.end() {
                    other.trigger.disarm();
                }
                state.merge(&self.strategy, &self.by, other);
            }
        }
        Ok(state)
    }

    /// Adds a record to a window. Returns whether it took it.
    pub(super) async fn add(
        &self,
        cx: &mut Context<'_>,
        window: Window,
        state: Option<State<G>>,
        input: &Input<G::Input>,
    ) -> Result<bool, Failure> {
        let loaded = match state {
            Some(state) => Some(state),
            None => self.load(cx, window).await?,
        };
        let mut state = loaded.unwrap_or_else(|| WindowState::new(&self.strategy));
        let moment = moment(cx, window);
        let takes = !state.finished;
        if takes {
            let record = (&input.value, input.event_time);
            state.add(&self.strategy, &self.by, window, record, &moment);
            let firing = state.evaluate(&self.strategy, &self.by, window, &moment, Cause::Content);
            self.emit(cx, firing)?;
        }
        self.save(cx, window, state, &moment)?;
        Ok(takes)
    }

    /// The lateness of a window is over, and with it the window.
    pub(super) async fn close(
        &self,
        cx: &mut Context<'_>,
        window: Window,
        mut state: State<G>,
        mut firing: Firing<G::Output>,
    ) -> Result<(), Failure> {
        firing.extend(state.close(&self.strategy, &self.by, window, cx.input_watermark()));
        if self.strategy.closing == Closing::Discard {
            cx.drop_late_all(state.pending);
        }
        self.emit(cx, firing)?;
        self.forget(cx, window, state.alarms)?;
        if self.windows.merge_reach().is_some() {
            let mut live = LiveWindows::load(cx).await?;
            live.remove(window);
            live.save(cx)?;
        }
        Ok(())
    }

    pub(super) fn collect_at(&self, window: Window) -> EventTime {
        self.strategy.collect_at(window, self.windows.merge_reach())
    }

    pub(super) async fn load(
        &self,
        cx: &mut Context<'_>,
        window: Window,
    ) -> Result<Option<State<G>>, Failure> {
        cx.enter(Bytes::copy_from_slice(&window.namespace()));
        let state = cell::<G>().get(cx).await?;
        match &state {
            Some(state) if !self.strategy.trigger.fits(&state.trigger) => Err(Failure::stop(format!(
                "window {window} was opened under another trigger than this step's, {:?}: run the one it was \
                 opened under, or give the step a new name",
                self.strategy.trigger,
            ))),
            _ => Ok(state),
        }
    }

    pub(super) fn save(
        &self,
        cx: &mut Context<'_>,
        window: Window,
        mut state: State<G>,
        moment: &Moment,
    ) -> Result<(), Failure> {
        cx.enter(Bytes::copy_from_slice(&window.namespace()));
        let wanted = state.wanted_alarms(&self.strategy, window, moment, self.collect_at(window));
        if let Some((at, hold)) = wanted.event_us.filter(|_| wanted.event_us != state.alarms.event_us) {
            let timer = Timer::event(ALARM, EventTime::from_micros(at));
            cx.set_timer(timer.output_at(EventTime::from_micros(hold)))?;
        }
        match (state.alarms.clock_us, wanted.clock_us) {
            (set, wanted) if set == wanted => {}
            (_, Some(at)) => {
                let timer = Timer::processing(ALARM, ProcessingTime::from_micros(at));
                cx.set_timer(timer.output_at(EventTime::MAX))?;
            }
            (_, None) => cx.clear_timer(ALARM, TimeDomain::Processing)?,
        }
        state.alarms = wanted;
        cell::<G>().set(cx, &state)
    }

    /// Removes what is kept of a window.
    pub(super) fn forget(&self, cx: &mut Context<'_>, window: Window, alarms: Alarms) -> Result<(), Failure> {
        cx.enter(Bytes::copy_from_slice(&window.namespace()));
        if alarms.event_us.is_some() {
            cx.clear_timer(ALARM, TimeDomain::Event)?;
        }
        if alarms.clock_us.is_some() {
            cx.clear_timer(ALARM, TimeDomain::Processing)?;
        }
        cell::<G>().clear(cx)
    }

    pub(super) fn emit(&self, cx: &mut Context<'_>, firing: Firing<G::Output>) -> Result<(), Failure> {
        for (at, pane) in firing {
            self.panes.emit(cx, cx.key().clone(), at, pane)?;
        }
        Ok(())
    }

    pub(super) fn tell_refused(
        &self,
        cx: &mut Context<'_>,
        input: Input<G::Input>,
        windows: Vec<(Window, Refusal)>,
    ) -> Result<(), Failure> {
        match &self.refused {
            Some(outlet) => {
                outlet.emit(cx, input.key, input.event_time, Refused { value: input.value, windows })
            }
            None => Ok(()),
        }
    }
}

pub(super) fn moment(cx: &Context<'_>, window: Window) -> Moment {
    Moment { watermark: cx.input_watermark(), now_us: cx.now().as_micros(), end: window.end() }
}
