//! Two streams by key and by how far apart their event times are.

use super::join::Joined;
use super::records::Records;
use crate::join::{IntervalJoinOperator, IntervalJoinSpec, Offset, Pair, Side};
use crate::pipeline::Step;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::time::Duration;

/// A join of the records whose event times are so far apart.
#[must_use = "end it with `.inner(..)`, `.left(..)` or `.full(..)`"]
pub struct IntervalJoin<'f, A, B> {
    joined: Joined<'f, A, B>,
    lower: Offset,
    upper: Offset,
    lateness: Duration,
}

impl<A, B> fmt::Debug for IntervalJoin<'_, A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IntervalJoin({:?}, {:?} to {:?})", self.joined, self.lower, self.upper)
    }
}

impl<'f, A, B> IntervalJoin<'f, A, B>
where
    A: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    B: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    pub(super) fn new(joined: Joined<'f, A, B>, lower: Offset, upper: Offset) -> Self {
        Self { joined, lower, upper, lateness: Duration::ZERO }
    }

    /// How far behind the watermark a record may be and still meet what it should. Default 0.
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.lateness = lateness;
        self
    }

    /// Every two records that meet, as the step `name`: at once, under the later of their event times.
    pub fn inner<O: Clone + 'static>(
        self,
        name: &str,
        join: impl Fn(&A, &B) -> O + Send + Sync + 'static,
    ) -> Records<'f, O> {
        self.told(name, (false, false), move |pair| match pair {
            Pair::Both(a, b) => Some(join(a, b)),
            Pair::Left(_) | Pair::Right(_) => None,
        })
    }

    /// As [`Self::inner`], and every left record that meets none, with `None`: under its own event time, once none
    /// can come any more. The output watermark waits for it.
    pub fn left<O: Clone + 'static>(
        self,
        name: &str,
        join: impl Fn(&A, Option<&B>) -> O + Send + Sync + 'static,
    ) -> Records<'f, O> {
        self.told(name, (true, false), move |pair| match pair {
            Pair::Both(a, b) => Some(join(a, Some(b))),
            Pair::Left(a) => Some(join(a, None)),
            Pair::Right(_) => None,
        })
    }

    /// As [`Self::inner`], and every record of either side that meets none, as [`Self::left`] does.
    pub fn full<O: Clone + 'static>(
        self,
        name: &str,
        join: impl Fn(Pair<&A, &B>) -> O + Send + Sync + 'static,
    ) -> Records<'f, O> {
        self.told(name, (true, true), move |pair| Some(join(pair)))
    }

    fn told<O: Clone + 'static>(
        self,
        name: &str,
        (outer_left, outer_right): (bool, bool),
        join: impl Fn(Pair<&A, &B>) -> Option<O> + Send + Sync + 'static,
    ) -> Records<'f, O> {
        let Self { joined, lower, upper, lateness } = self;
        let (flow, left, right) = joined.to_step(name);
        let step_name = name.to_owned();
        flow.step(name, move |outlet| {
            if lower > upper {
                return Err(format!(
                    "step {step_name:?}: its lower bound {lower:?} is above its upper bound {upper:?}, so nothing \
                     would ever meet: change them round"
                ));
            }
            let join = Box::new(join);
            let spec = IntervalJoinSpec { lower, upper, lateness, outer_left, outer_right, join, outlet };
            let step = Step::new(step_name, IntervalJoinOperator::new(spec));
            Ok(step.reads_as(&left, Side::Left).reads_as(&right, Side::Right))
        })
    }
}
