//! No more than so many records of a key in a time.
//!
//! Nothing sleeps: what is over the rate lies in the state of its key and is let go by timers of the clock, in the
//! order in which it came (I9). Until then the output watermark waits for it (I7), so it is not late behind the step.
//! Which record goes when follows the clock and differs from run to run; which records go, and their event times, do
//! not (I12). The rate is kept by a virtual clock of each key, as in the generic cell rate algorithm.

use super::keyed::Keyed;
use super::records::Records;
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::join::CALL_BYTES_SOFT_MAX;
use crate::outlet::Outlet;
use crate::pipeline::Step;
use crate::state::{List, Value};
use crate::timer::{Fired, TimeDomain, Timer};
use pelton_domain::{EventTime, ProcessingTime};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The tag of the timer that lets records go.
const RELEASE: &str = "release";
/// How many records one call looks at.
const PAGE_ENTRIES: usize = 256;
/// How far a key is.
static PACE: Value<Pace> = Value::new("pace");

/// How many records of a key may pass in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    records: u32,
    per: Duration,
    burst: u32,
    held_records_max: u64,
}

impl Rate {
    /// So many in each second.
    #[must_use]
    pub fn per_second(records: u32) -> Self {
        Self::of(records, Duration::from_secs(1))
    }

    /// So many in each `per`.
    #[must_use]
    pub fn of(records: u32, per: Duration) -> Self {
        let tenth_of_a_second = (u128::from(records) * 100).checked_div(per.as_millis()).unwrap_or(1);
        let burst = u32::try_from(tenth_of_a_second).unwrap_or(u32::MAX).clamp(1, records.max(1));
        Self { records, per, burst, held_records_max: 100_000 }
    }

    /// So many may pass at once after a pause; in any time at most so many more than the rate says. Default: those
    /// of a tenth of a second, at least 1.
    #[must_use]
    pub fn burst(mut self, records: u32) -> Self {
        self.burst = records;
        self
    }

    /// At most so many records of one key lie in its state. One more becomes a dead letter that says so. Default
    /// 100,000.
    #[must_use]
    pub fn held_records_max(mut self, records: u64) -> Self {
        self.held_records_max = records;
        self
    }

    fn problem(&self) -> Option<&'static str> {
        if self.records == 0 || self.burst == 0 {
            Some("a rate of 0 lets nothing pass: take 1 record or more, in a longer time")
        } else if self.per.is_zero() {
            Some("a rate needs a time: `Rate::per_second(..)`")
        } else {
            None
        }
    }

    /// The time that one record takes.
    fn record_ns(&self) -> i64 {
        let ns = self.per.as_nanos().div_ceil(u128::from(self.records.max(1)));
        i64::try_from(ns).unwrap_or(i64::MAX)
    }
}

/// How far a key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Pace {
    /// When all that has passed would have passed, one after the other.
    virtual_ns: i64,
    /// How many records are held.
    held: u64,
    /// No held record has an event time before this one.
    hold_us: i64,
}

impl Pace {
    /// From when on the next record may pass.
    fn next_ns(&self, rate: &Rate) -> i64 {
        let ahead = rate.record_ns().saturating_mul(i64::from(rate.burst.saturating_sub(1)));
        self.virtual_ns.saturating_sub(ahead)
    }

    /// Lets a record pass, if the rate allows it now.
    fn pass(&mut self, rate: &Rate, now_ns: i64) -> bool {
        if self.next_ns(rate) > now_ns {
            return false;
        }
        self.virtual_ns = self.virtual_ns.max(now_ns).saturating_add(rate.record_ns());
        true
    }

    /// The timer for the next record that is held.
    fn timer(&self, rate: &Rate) -> Timer {
        timer_at(self.next_ns(rate)).output_at(EventTime::from_micros(self.hold_us))
    }

    /// The timer for the moment from which nothing needs to be known any more, if nothing comes until then.
    fn rest(&self) -> Timer {
        timer_at(self.virtual_ns).output_at(EventTime::MAX)
    }
}

impl<'f, T, K> Keyed<'f, T, K>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// Lets at most so many records of a key pass in a time, as the step `name`. The others wait in its state, and
    /// pass in the order in which they came. For one rate of all records, use one key.
    pub fn rate_limit(self, name: &str, rate: Rate) -> Records<'f, T> {
        let (flow, stream) = self.to_step(name, "in");
        let step_name = name.to_owned();
        flow.step(name, move |outlet| match rate.problem() {
            Some(problem) => Err(format!("step {step_name:?}: {problem}")),
            None => Ok(Step::new(step_name, Limit { rate, outlet }).reads(&stream)),
        })
    }
}

/// Lets records pass at a rate.
pub(super) struct Limit<T> {
    pub(super) rate: Rate,
    pub(super) outlet: Outlet<T>,
}

impl<T> Clone for Limit<T> {
    fn clone(&self) -> Self {
        Self { rate: self.rate, outlet: self.outlet.clone() }
    }
}

/// Records that wait, each with its event time.
const fn waiting<T>() -> List<(i64, T)> {
    List::new("waiting")
}

impl<T> Computation for Limit<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Input = T;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&PACE).cell(&waiting::<T>());
        self.outlet.declare(declaration);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<T>) -> Result<(), Failure> {
        let mut pace = PACE.get(cx).await?.unwrap_or_default();
        if pace.held == 0 && pace.pass(&self.rate, now_ns(cx)) {
            PACE.set(cx, &pace)?;
            if cx.timer(RELEASE, TimeDomain::Processing).await?.is_none() {
                cx.set_timer(pace.rest())?;
            }
            return self.outlet.emit(cx, input.key, input.event_time, input.value);
        }
        if pace.held >= self.rate.held_records_max {
            return Err(Failure::permanent(format!(
                "{} records of key {} wait for their rate already, and that is the limit: allow a higher rate, or \
                 more with `.held_records_max(..)`, and replay the dead letters",
                pace.held,
                cx.key(),
            )));
        }
        let at_us = input.event_time.as_micros();
        if pace.held == 0 || at_us < pace.hold_us {
            pace.hold_us = at_us;
            cx.set_timer(pace.timer(&self.rate))?;
        }
        pace.held += 1;
        waiting().push(cx, &(at_us, input.value))?;
        PACE.set(cx, &pace)
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
        let mut pace = PACE.get(cx).await?.unwrap_or_default();
        let page = waiting::<T>().page(cx, None, PAGE_ENTRIES).await?;
        let all = u64::try_from(page.len()).is_ok_and(|seen| seen == pace.held);
        let mut left_us = None;
        for (place, (at_us, value)) in page {
            let goes = left_us.is_none() && cx.call_bytes() <= CALL_BYTES_SOFT_MAX;
            if !goes || !pace.pass(&self.rate, now_ns(cx)) {
                left_us = Some(left_us.map_or(at_us, |least: i64| least.min(at_us)));
                continue;
            }
            waiting::<T>().remove(cx, &place)?;
            pace.held = pace.held.saturating_sub(1);
            self.outlet.emit(cx, cx.key().clone(), EventTime::from_micros(at_us), value)?;
        }
        if pace.held == 0 && pace.virtual_ns <= now_ns(cx) {
            return PACE.clear(cx);
        }
        if pace.held == 0 {
            cx.set_timer(pace.rest())?;
        } else {
            // Of those that were not looked at it is only known that they are no earlier than all were before.
            pace.hold_us = left_us.filter(|_| all).unwrap_or(pace.hold_us);
            cx.set_timer(pace.timer(&self.rate))?;
        }
        PACE.set(cx, &pace)
    }
}

fn timer_at(ns: i64) -> Timer {
    // Up to the next microsecond: never before its time.
    Timer::processing(RELEASE, ProcessingTime::from_micros(ns.saturating_add(999) / 1_000))
}

fn now_ns(cx: &Context<'_>) -> i64 {
    cx.now().as_micros().saturating_mul(1_000)
}
