//! What is kept of one window of one key, and what comes out when it fires. Pure.

use super::aggregator::Aggregator;
use super::bounds::Window;
use super::pane::{Pane, PaneInfo, Timing};
use super::strategy::{Accumulation, Closing, OnTime, Strategy};
use super::trigger::{Moment, TriggerState};
use pelton_domain::EventTime;
use serde::{Deserialize, Serialize};

/// One window of one key. It is stored: fields keep their places.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WindowState<A, O> {
    pub(super) trigger: TriggerState,
    index: u64,
    nonspeculative: u64,
    /// The event time of the next pane, as far as its records say. The output watermark waits there.
    hold_us: Option<i64>,
    /// Records that no pane has told.
    pub(super) pending: u64,
    /// Its trigger has finished: it takes nothing any more.
    pub(super) finished: bool,
    /// `None`: nothing is in it.
    accumulator: Option<A>,
    /// Panes to take back when the next one fires.
    told: Vec<Pane<O>>,
    /// The timers that are set.
    pub(super) alarms: Alarms,
}

/// When a window is to be looked at again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Alarms {
    /// The watermark, and where the output watermark waits until then.
    pub(super) event_us: Option<(i64, i64)>,
    /// The clock.
    pub(super) clock_us: Option<i64>,
}

/// What a window has to say.
pub(super) type Firing<O> = Vec<(EventTime, Pane<O>)>;

/// What of a window made it fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// A record, or the clock.
    Content,
    /// The watermark has reached its end.
    End,
    /// Its lateness is over.
    Closing,
}

impl<A, O: Clone> WindowState<A, O> {
    pub(super) fn new(strategy: &Strategy) -> Self {
        Self {
            trigger: strategy.trigger.fresh(),
            index: 0,
            nonspeculative: 0,
            hold_us: None,
            pending: 0,
            finished: false,
            accumulator: None,
            told: Vec::new(),
            alarms: Alarms::default(),
        }
    }

    /// Takes a record in. What fires then is asked for with [`Self::evaluate`].
    pub(super) fn add<G>(
        &mut self,
        strategy: &Strategy,
        by: &G,
        window: Window,
        (input, at): (&G::Input, EventTime),
        moment: &Moment,
    ) where
        G: Aggregator<Accumulator = A, Output = O>,
    {
        let hold = strategy.hold_of(window, at, moment.watermark);
        self.hold(strategy.combine_holds(self.held(), hold));
        by.add(self.accumulator.get_or_insert_with(|| by.create()), input);
        self.pending += 1;
        strategy.trigger.on_element(&mut self.trigger, moment);
    }

    /// Takes in a window that is merged into this one. Its numbers of panes are not kept.
    pub(super) fn merge<G>(&mut self, strategy: &Strategy, by: &G, other: Self)
    where
        G: Aggregator<Accumulator = A, Output = O>,
    {
        self.hold(strategy.combine_holds(self.held(), other.held()));
        self.trigger.merge(other.trigger);
        self.pending += other.pending;
        self.finished |= other.finished;
        self.told.extend(other.told);
        match (&mut self.accumulator, other.accumulator) {
            (Some(mine), Some(other)) => by.merge(mine, other),
            (mine, other) => *mine = mine.take().or(other),
        }
    }

    /// Asks the trigger, and fires if it says so.
    pub(super) fn evaluate<G>(
        &mut self,
        strategy: &Strategy,
        by: &G,
        window: Window,
        moment: &Moment,
        cause: Cause,
    ) -> Firing<O>
    where
        G: Aggregator<Accumulator = A, Output = O>,
    {
        if self.finished || !strategy.trigger.should_fire(&mut self.trigger, moment) {
            return Vec::new();
        }
        self.finished = strategy.trigger.on_fire(&mut self.trigger, moment);
        self.fire(strategy, by, window, moment.watermark, cause)
    }

    /// The lateness of the window is over: what it still has to say.
    pub(super) fn close<G>(
        &mut self,
        strategy: &Strategy,
        by: &G,
        window: Window,
        watermark: EventTime,
    ) -> Firing<O>
    where
        G: Aggregator<Accumulator = A, Output = O>,
    {
        if self.finished || strategy.closing == Closing::Discard {
            return Vec::new();
        }
        self.finished = true;
        self.fire(strategy, by, window, watermark, Cause::Closing)
    }

    fn fire<G>(
        &mut self,
        strategy: &Strategy,
        by: &G,
        window: Window,
        watermark: EventTime,
        cause: Cause,
    ) -> Firing<O>
    where
        G: Aggregator<Accumulator = A, Output = O>,
    {
        let timing = self.timing(window, watermark, cause);
        let mut firing = Vec::new();
        if self.pending > 0 || tells_nothing(strategy, timing, cause) {
            let at = self.held().filter(|_| !strategy.is_at_end()).unwrap_or(window.latest());
            let pane = self.pane(by, window, timing);
            firing.extend(self.told.drain(..).map(|told| (at, Pane { retraction: true, ..told })));
            if strategy.accumulation == Accumulation::Retracting && !self.finished {
                self.told.push(pane.clone());
            }
            firing.push((at, pane));
        }
        self.pending = 0;
        if self.finished || strategy.accumulation == Accumulation::Discarding {
            self.accumulator = None;
        }
        // An empty pane at the end of the window would have the time of the pane before it: it keeps its hold.
        if watermark >= window.end() || !strategy.trigger.tells_on_time() {
            self.hold_us = None;
        }
        firing
    }

    fn timing(&self, window: Window, watermark: EventTime, cause: Cause) -> Timing {
        if watermark < window.end() {
            Timing::Early
        } else if cause != Cause::Content && self.nonspeculative == 0 {
            Timing::OnTime
        } else {
            Timing::Late
        }
    }

    fn pane<G>(&mut self, by: &G, window: Window, timing: Timing) -> Pane<O>
    where
        G: Aggregator<Accumulator = A, Output = O>,
    {
        // It has been extended after it had fired on time: its numbers go on.
        let numbered = timing != Timing::Early || self.nonspeculative > 0;
        let info = PaneInfo {
            index: self.index,
            nonspeculative_index: numbered.then_some(self.nonspeculative),
            timing,
            first: self.index == 0,
            last: self.finished,
        };
        self.index += 1;
        self.nonspeculative += u64::from(numbered);
        let value = match &self.accumulator {
            Some(accumulator) => by.output(accumulator),
            None => by.output(&by.create()),
        };
        Pane { window, value, info, retraction: false }
    }

    /// When it is to be looked at again, and where the output watermark waits until then.
    pub(super) fn wanted_alarms(
        &self,
        strategy: &Strategy,
        window: Window,
        moment: &Moment,
        collect_at: EventTime,
    ) -> Alarms {
        if self.finished {
            return Alarms { event_us: Some((collect_at.as_micros(), i64::MAX)), clock_us: None };
        }
        let armed = self.trigger.is_armed();
        let fire_at = if armed { window.end().min(collect_at) } else { collect_at };
        let speaks = armed || self.pending > 0;
        let latest = (speaks && window.latest() >= moment.watermark).then_some(window.latest());
        let hold = self.held().or(latest).unwrap_or(EventTime::MAX);
        let due = strategy.trigger.due_us(&self.trigger).filter(|due| *due > moment.now_us);
        Alarms { event_us: Some((fire_at.as_micros(), hold.as_micros())), clock_us: due }
    }

    fn held(&self) -> Option<EventTime> {
        self.hold_us.map(EventTime::from_micros)
    }

    fn hold(&mut self, at: Option<EventTime>) {
        self.hold_us = at.map(EventTime::as_micros);
    }
}

/// Whether a pane is to fire that has nothing to tell.
fn tells_nothing(strategy: &Strategy, timing: Timing, cause: Cause) -> bool {
    match cause {
        Cause::Closing => strategy.closing == Closing::FireAlways,
        _ => timing == Timing::OnTime && strategy.on_time == OnTime::FireAlways,
    }
}
