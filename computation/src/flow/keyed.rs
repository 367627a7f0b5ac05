//! Records by key, and what can be done to those of one key.

use super::Flow;
use super::records::{Node, Records};
use crate::computation::Computation;
use crate::pipeline::{IntoSteps, Step};
use crate::stream::Stream;
use crate::window::options::strategy_options;
use crate::window::{Aggregator, Pane, Refused, Strategy, WindowFn, Windowed};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;

/// Records grouped by a key.
pub struct Keyed<'f, T> {
    records: Records<'f, T>,
}

impl<T> fmt::Debug for Keyed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyed<{}>", std::any::type_name::<T>())
    }
}

impl<'f, T> Keyed<'f, T> {
    pub(super) fn of(records: Records<'f, T>) -> Self {
        Self { records }
    }
}

impl<'f, T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Keyed<'f, T> {
    /// The stream that brings them to the step `name`.
    pub(super) fn into(self, name: &str) -> (&'f Flow, Stream<T>) {
        let stream = Stream::named(format!("{name}.in"));
        self.records.send(&stream);
        (self.records.flow, stream)
    }

    /// Groups them by windows, too.
    pub fn window<F: WindowFn<T>>(self, windows: F) -> WindowedRecords<'f, T, F> {
        WindowedRecords { keyed: self, windows, strategy: Strategy::default() }
    }

    /// Gives them to a computation of one's own, as the step `name`. The streams that it produces are read by other
    /// steps said by hand, or by a sink: [`Flow::with`].
    pub fn process<C: Computation<Input = T> + Sync>(self, name: &str, computation: C) {
        let (flow, stream) = self.into(name);
        flow.with(Step::new(name, computation).reads(&stream));
    }
}

/// Records grouped by a key and by windows; and how these fire.
#[must_use = "end it with `.aggregate(..)`"]
pub struct WindowedRecords<'f, T, F> {
    keyed: Keyed<'f, T>,
    windows: F,
    strategy: Strategy,
}

impl<T, F: fmt::Debug> fmt::Debug for WindowedRecords<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WindowedRecords({:?}, {:?})", self.windows, self.strategy)
    }
}

impl<'f, T, F> WindowedRecords<'f, T, F>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    F: WindowFn<T>,
{
    strategy_options!();

    /// Combines the records of each window, as the step `name`: state hangs on it.
    pub fn aggregate<G>(self, name: &str, by: G) -> Records<'f, Pane<G::Output>>
    where
        G: Aggregator<Input = T>,
        G::Accumulator: 'static,
        G::Output: 'static,
    {
        self.aggregate_and_refuse(name, by).0
    }

    /// As [`Self::aggregate`], with the records that came too late.
    pub fn aggregate_and_refuse<G>(
        self,
        name: &str,
        by: G,
    ) -> (Records<'f, Pane<G::Output>>, Records<'f, Refused<T>>)
    where
        G: Aggregator<Input = T>,
        G::Accumulator: 'static,
        G::Output: 'static,
    {
        let Self { keyed, windows, strategy } = self;
        let (flow, stream) = keyed.into(name);
        let (panes, refused) = (Node::new(), Node::new());
        let (panes_of, refused_of) = (Records::of(flow, panes.clone()), Records::of(flow, refused.clone()));
        let name = name.to_owned();
        flow.later(move || {
            let panes = panes.outlet().ok_or_else(|| {
                format!("nothing is done with the panes of step {name:?}: end it with `.write(..)`")
            })?;
            let mut windowed = Windowed::by(windows, by).strategy(strategy);
            if let Some(refused) = refused.outlet() {
                windowed = windowed.refused_to(refused);
            }
            let operator = windowed.operator_with(&name, panes).map_err(|error| error.to_string())?;
            Ok(Step::new(name, operator).reads(&stream).into_steps())
        });
        (panes_of, refused_of)
    }
}
