//! One record of several with the same key within a time.
//!
//! What has passed is remembered by its event time, for as long as a record in time can be within reach of it (I11).

use super::keyed::Keyed;
use super::records::Records;
use crate::alarm::{ensure_alarm, moved};
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::outlet::Outlet;
use crate::pipeline::Step;
use crate::state::Value;
use crate::timer::Fired;
use pelton_domain::EventTime;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// At most so many records of one key that have passed can be remembered: their times must fit into an entry.
const PASSED_MAX: usize = 4_096;
/// The tag of the timer that forgets.
const FORGET: &str = "forget";
/// When those were that have passed, sorted.
static PASSED: Value<Vec<i64>> = Value::new("passed");

/// Which records of one key are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dedup {
    within: Duration,
    lateness: Duration,
}

impl Dedup {
    /// Those whose event times are less than `within` apart.
    #[must_use]
    pub fn within(within: Duration) -> Self {
        Self { within, lateness: Duration::ZERO }
    }

    /// How far behind the watermark a record may be. Default 0: later ones are dropped and counted, because it is
    /// not known any more what was the same.
    #[must_use]
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.lateness = lateness;
        self
    }

    /// When the time of a record that has passed does not matter any more.
    fn forget_at(self, at: EventTime) -> EventTime {
        moved(at.plus(self.within).plus(self.lateness), 1)
    }
}

impl<'f, T, K> Keyed<'f, T, K>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// Lets one of several records of a key pass, as the step `name`: the one that comes first, at once. A record is
    /// left out where one that has passed has an event time less than so far from its own, before or after.
    ///
    /// Where more than two are near each other it depends on their order which of them pass; of records with the same
    /// key and event time always one does.
    pub fn dedup(self, name: &str, dedup: Dedup) -> Records<'f, T> {
        let (flow, stream) = self.to_step(name, "in");
        let step_name = name.to_owned();
        flow.step(name, move |outlet| {
            if dedup.within.is_zero() {
                return Err(format!(
                    "step {step_name:?}: within no time no record is the same: take a longer one"
                ));
            }
            Ok(Step::new(step_name, Deduplicate { dedup, outlet }).reads(&stream))
        })
    }
}

/// Lets one of several records pass.
pub(super) struct Deduplicate<T> {
    pub(super) dedup: Dedup,
    pub(super) outlet: Outlet<T>,
}

impl<T> Clone for Deduplicate<T> {
    fn clone(&self) -> Self {
        Self { dedup: self.dedup, outlet: self.outlet.clone() }
    }
}

impl<T: Send + 'static> Computation for Deduplicate<T> {
    type Input = T;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&PASSED);
        self.outlet.declare(declaration);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<T>) -> Result<(), Failure> {
        let at = input.event_time;
        if at < cx.input_watermark().minus(self.dedup.lateness) {
            cx.drop_late();
            return Ok(());
        }
        let mut passed = PASSED.get(cx).await?.unwrap_or_default();
        let apart = |other: &i64| u128::from(other.abs_diff(at.as_micros()));
        if passed.iter().any(|other| apart(other) < self.dedup.within.as_micros()) {
            return Ok(());
        }
        if passed.len() >= PASSED_MAX {
            return Err(Failure::permanent(format!(
                "key {} has {PASSED_MAX} records that other ones could be the same as, and that is the limit: allow \
                 less lateness, or compare within a longer time",
                cx.key(),
            )));
        }
        passed.insert(passed.partition_point(|other| *other < at.as_micros()), at.as_micros());
        PASSED.set(cx, &passed)?;
        ensure_alarm(cx, FORGET, self.dedup.forget_at(at), EventTime::MAX).await?;
        self.outlet.emit(cx, input.key, at, input.value)
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
        let mut passed = PASSED.get(cx).await?.unwrap_or_default();
        let watermark = cx.input_watermark();
        passed.retain(|at| self.dedup.forget_at(EventTime::from_micros(*at)) > watermark);
        match passed.first() {
            None => PASSED.clear(cx),
            Some(first) => {
                let due = self.dedup.forget_at(EventTime::from_micros(*first));
                ensure_alarm(cx, FORGET, due, EventTime::MAX).await?;
                PASSED.set(cx, &passed)
            }
        }
    }
}
