//! The interval join as a computation: records of two streams whose event times are so far apart.
//!
//! * A pair is told when the second of the two arrives, under the later event time: each pair once, in whatever
//!   order they come (I12).
//! * A record is kept for as long as one that is in time can meet it. An outer side tells then, under the record's
//!   own event time, that none has; the output watermark waits there for it (I7).
//! * A record that comes later than the allowed lateness is dropped and counted (I10): those it should meet are gone.
//!
//! The output watermark of an outer join is behind by how long a record may wait, matched or not.

use super::shelf::{CALL_BYTES_SOFT_MAX, Kept, Place, Shelf};
use super::side::{Offset, Pair, Side};
use crate::alarm::{ensure_alarm, moved};
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::outlet::Outlet;
use crate::timer::{Fired, Timer};
use pelton_domain::EventTime;
use std::sync::Arc;
use std::time::Duration;

/// What an interval join is.
pub(crate) struct IntervalJoinSpec<A, B, O> {
    /// How far from a left record a right one may be, both ends included.
    pub(crate) lower: Offset,
    pub(crate) upper: Offset,
    pub(crate) lateness: Duration,
    /// Left records that have met none are told.
    pub(crate) outer_left: bool,
    pub(crate) outer_right: bool,
    /// What is told of a pair, if anything.
    pub(crate) join: Box<dyn Fn(Pair<&A, &B>) -> Option<O> + Send + Sync>,
    pub(crate) outlet: Outlet<O>,
}

/// Joins records of two streams by the distance of their event times.
pub(crate) struct IntervalJoinOperator<A, B, O> {
    shared: Arc<Shared<A, B, O>>,
}

impl<A, B, O> Clone for IntervalJoinOperator<A, B, O> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

struct Shared<A, B, O> {
    left: Half<A>,
    right: Half<B>,
    lateness: Duration,
    join: Box<dyn Fn(Pair<&A, &B>) -> Option<O> + Send + Sync>,
    outlet: Outlet<O>,
}

/// One side: its records, each with whether it has met one, and what it can meet.
struct Half<T> {
    kept: Shelf<(bool, T)>,
    tag: &'static str,
    outer: bool,
    /// How far from its own event time those may be that it meets.
    from_us: i64,
    to_us: i64,
}

impl<T> Half<T> {
    /// When nothing can meet a record of this time any more.
    fn due(&self, at: EventTime, lateness: Duration) -> EventTime {
        moved(moved(at, self.to_us).plus(lateness), 1)
    }

    /// Where the output watermark waits for what a record of this time may have to tell.
    fn hold(&self, at: EventTime) -> EventTime {
        if self.outer { at } else { EventTime::MAX }
    }
}

impl<A: Kept, B: Kept, O: 'static> IntervalJoinOperator<A, B, O> {
    pub(crate) fn new(spec: IntervalJoinSpec<A, B, O>) -> Self {
        let IntervalJoinSpec { lower, upper, lateness, outer_left, outer_right, join, outlet } = spec;
        let (lower, upper) = (lower.micros(), upper.micros());
        let left =
            Half { kept: Shelf::new("left"), tag: "left", outer: outer_left, from_us: lower, to_us: upper };
        let right = Half {
            kept: Shelf::new("right"),
            tag: "right",
            outer: outer_right,
            from_us: upper.saturating_neg(),
            to_us: lower.saturating_neg(),
        };
        Self { shared: Arc::new(Shared { left, right, lateness, join, outlet }) }
    }
}

impl<A: Kept, B: Kept, O: 'static> Computation for IntervalJoinOperator<A, B, O> {
    type Input = Side<A, B>;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&self.shared.left.kept).cell(&self.shared.right.kept);
        self.shared.outlet.declare(declaration);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Side<A, B>>) -> Result<(), Failure> {
        let Shared { left, right, lateness, join, .. } = &*self.shared;
        let at = input.event_time;
        if at < cx.input_watermark().minus(*lateness) {
            cx.drop_late();
            return Ok(());
        }
        let place = Place::of(at, input.id);
        match input.value {
            Side::Left(value) => {
                let both = |a: &A, b: &B| join(Pair::Both(a, b));
                let met = self.shared.meet(cx, at, (left, &value), right, &both).await?;
                self.shared.keep(cx, left, &place, (met, value), &|a| join(Pair::Left(a))).await
            }
            Side::Right(value) => {
                let both = |b: &B, a: &A| join(Pair::Both(a, b));
                let met = self.shared.meet(cx, at, (right, &value), left, &both).await?;
                self.shared.keep(cx, right, &place, (met, value), &|b| join(Pair::Right(b))).await
            }
        }
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, timer: Fired) -> Result<(), Failure> {
        let Shared { left, right, join, .. } = &*self.shared;
        if timer.tag == left.tag {
            self.shared.collect(cx, left, &|a| join(Pair::Left(a))).await
        } else {
            self.shared.collect(cx, right, &|b| join(Pair::Right(b))).await
        }
    }
}

impl<A: Kept, B: Kept, O: 'static> Shared<A, B, O> {
    /// Tells all pairs that a record makes with those of the other side. Returns whether there are any.
    async fn meet<M: Kept, P: Kept>(
        &self,
        cx: &mut Context<'_>,
        at: EventTime,
        (mine, value): (&Half<M>, &M),
        others: &Half<P>,
        both: &(dyn Fn(&M, &P) -> Option<O> + Sync),
    ) -> Result<bool, Failure> {
        let (mut after, to) = (Place::before(moved(at, mine.from_us)), moved(at, mine.to_us));
        let mut met = false;
        loop {
            let page = others.kept.page(cx, Some(&after)).await?;
            let Some((last, _)) = page.last() else { return Ok(met) };
            after = last.clone();
            for (place, (has_met, other)) in page {
                if place.at() > to {
                    return Ok(met);
                }
                met = true;
                self.tell(cx, at.max(place.at()), both(value, &other))?;
                if others.outer && !has_met {
                    others.kept.put(cx, &place, &(true, other))?;
                }
            }
        }
    }

    fn tell(&self, cx: &mut Context<'_>, at: EventTime, told: Option<O>) -> Result<(), Failure> {
        match told {
            Some(told) => self.outlet.emit(cx, cx.key().clone(), at, told),
            None => Ok(()),
        }
    }

    /// Keeps a record for those that may still come, if any may.
    async fn keep<M: Kept>(
        &self,
        cx: &mut Context<'_>,
        half: &Half<M>,
        place: &Place,
        (met, value): (bool, M),
        alone: &(dyn Fn(&M) -> Option<O> + Sync),
    ) -> Result<(), Failure> {
        let (at, due) = (place.at(), half.due(place.at(), self.lateness));
        if due > cx.input_watermark() {
            half.kept.put(cx, place, &(met, value))?;
            return ensure_alarm(cx, half.tag, due, half.hold(at)).await;
        }
        if half.outer && !met {
            self.tell(cx, at, alone(&value))?;
        }
        Ok(())
    }

    /// Removes the records that nothing can meet any more, and tells of those that have met none.
    async fn collect<M: Kept>(
        &self,
        cx: &mut Context<'_>,
        half: &Half<M>,
        alone: &(dyn Fn(&M) -> Option<O> + Sync),
    ) -> Result<(), Failure> {
        let mut after: Option<Place> = None;
        loop {
            let page = half.kept.page(cx, after.as_ref()).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (place, (met, value)) in page {
                let (at, due) = (place.at(), half.due(place.at(), self.lateness));
                if due > cx.input_watermark() || cx.call_bytes() > CALL_BYTES_SOFT_MAX {
                    return cx.set_timer(Timer::event(half.tag, due).output_at(half.hold(at)));
                }
                if half.outer && !met {
                    self.tell(cx, at, alone(&value))?;
                }
                half.kept.remove(cx, &place)?;
            }
        }
    }
}
