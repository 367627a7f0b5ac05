//! Two streams by key: `a.key_by(..).join(b.key_by(..))`, then `.window(..)` or `.between(..)`, then what is told.

use super::Flow;
use super::interval::IntervalJoin;
use super::keyed::Keyed;
use super::records::Records;
use super::windowed::windowed;
use crate::join::{CoGroup, Offset, Pair, Side};
use crate::stream::Stream;
use crate::window::options::strategy_options;
use crate::window::{Closing, Pane, Strategy, Trigger, WindowFn, Windowed};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;

/// Records of two streams under one key.
#[must_use = "go on with `.window(..)` or `.between(..)`"]
pub struct Joined<'f, A, B> {
    left: Keyed<'f, A>,
    right: Keyed<'f, B>,
}

impl<A, B> fmt::Debug for Joined<'_, A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Joined({:?}, {:?})", self.left, self.right)
    }
}

impl<'f, A, K> Keyed<'f, A, K>
where
    A: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// With the records of another stream that have the same key. See [`join`](crate::join) for what joins there are.
    ///
    /// Keys of different types never meet, and do not compile:
    ///
    /// ```compile_fail,E0308
    /// # use pelton::flow::{Flow, Records};
    /// fn wrong(orders: &Records<'_, (u64, String)>, customers: &Records<'_, String>) {
    ///     let by_number = orders.key_as(|(number, _)| *number);
    ///     let by_name = customers.key_as(|name| name.clone());
    ///     let _ = by_number.join(by_name);
    /// }
    /// ```
    pub fn join<B>(self, other: Keyed<'f, B, K>) -> Joined<'f, A, B> {
        self.flow().same(other.flow());
        Joined { left: self.untyped(), right: other.untyped() }
    }
}

impl<'f, A, B> Joined<'f, A, B>
where
    A: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    B: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// Those that are in the same window.
    pub fn window<F: WindowFn<Side<A, B>>>(self, windows: F) -> WindowedJoin<'f, A, B, F> {
        WindowedJoin { joined: self, windows, strategy: Strategy::default() }
    }

    /// Those where the event time of the right record is between that of the left one plus `lower` and plus
    /// `upper`, both included.
    pub fn between(self, lower: Offset, upper: Offset) -> IntervalJoin<'f, A, B> {
        IntervalJoin::new(self, lower, upper)
    }

    pub(super) fn to_step(&self, name: &str) -> (&'f Flow, Stream<A>, Stream<B>) {
        let (flow, left) = self.left.to_step(name, "left");
        let (_, right) = self.right.to_step(name, "right");
        (flow, left, right)
    }
}

/// A join of the records that are in the same window.
#[must_use = "end it with `.inner(..)`, `.left(..)`, `.full(..)` or `.co_group(..)`"]
pub struct WindowedJoin<'f, A, B, F> {
    joined: Joined<'f, A, B>,
    windows: F,
    strategy: Strategy,
}

impl<A, B, F: fmt::Debug> fmt::Debug for WindowedJoin<'_, A, B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WindowedJoin({:?}, {:?})", self.joined, self.windows)
    }
}

impl<'f, A, B, F> WindowedJoin<'f, A, B, F>
where
    A: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    B: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    F: WindowFn<Side<A, B>>,
{
    strategy_options!();

    /// The records of both sides of each window, as the step `name`: each side as it came. It fires as any windowed
    /// step does.
    pub fn co_group(self, name: &str) -> Records<'f, Pane<(Vec<A>, Vec<B>)>> {
        let Self { joined, windows, strategy } = self;
        let (flow, left, right) = joined.to_step(name);
        let windows = Windowed::by(windows, CoGroup::new()).strategy(strategy);
        windowed(flow, name, windows, move |step| {
            step.reads_as(&left, Side::Left).reads_as(&right, Side::Right)
        })
        .0
    }

    /// Every two records that meet, as the step `name`. They are told when the window closes, under its last moment.
    pub fn inner<O: 'static>(
        self,
        name: &str,
        join: impl Fn(&A, &B) -> O + Send + Sync + 'static,
    ) -> Records<'f, O> {
        self.told(name, move |left, right, tell| {
            for a in left {
                right.iter().for_each(|b| tell(join(a, b)));
            }
        })
    }

    /// As [`Self::inner`], and every left record that meets none, with `None`.
    pub fn left<O: 'static>(
        self,
        name: &str,
        join: impl Fn(&A, Option<&B>) -> O + Send + Sync + 'static,
    ) -> Records<'f, O> {
        self.told(name, move |left, right, tell| {
            for a in left {
                right.iter().for_each(|b| tell(join(a, Some(b))));
                if right.is_empty() {
                    tell(join(a, None));
                }
            }
        })
    }

    /// As [`Self::inner`], and every record of either side that meets none.
    pub fn full<O: 'static>(
        self,
        name: &str,
        join: impl Fn(Pair<&A, &B>) -> O + Send + Sync + 'static,
    ) -> Records<'f, O> {
        self.told(name, move |left, right, tell| {
            for a in left {
                right.iter().for_each(|b| tell(join(Pair::Both(a, b))));
                if right.is_empty() {
                    tell(join(Pair::Left(a)));
                }
            }
            if left.is_empty() {
                right.iter().for_each(|b| tell(join(Pair::Right(b))));
            }
        })
    }

    /// Closes each window once, when nothing can come any more, and tells what `pairs` makes of it: with several
    /// panes, records of two of them would not meet, or meet twice.
    fn told<O: 'static>(
        mut self,
        name: &str,
        pairs: impl Fn(&[A], &[B], &mut dyn FnMut(O)) + Send + Sync + 'static,
    ) -> Records<'f, O> {
        let allowed_lateness = self.strategy.allowed_lateness;
        if self.strategy != (Strategy { allowed_lateness, ..Strategy::default() }) {
            let problem = format!(
                "step {name:?}: a join tells what meets in a window once, when it closes; how windows fire can be \
                 said of `.co_group(..)`, of a join only its allowed lateness"
            );
            self.joined.left.flow().later(move || Err(problem));
        }
        self.strategy = Strategy {
            trigger: Trigger::Never,
            closing: Closing::FireIfNonEmpty,
            allowed_lateness,
            ..Strategy::default()
        };
        self.co_group(name).then("join", move |pane, key, give| {
            let (left, right) = &pane.value;
            pairs(left, right, &mut |told| give(told, key.clone()));
        })
    }
}
