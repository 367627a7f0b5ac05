//! Records by key and windows.

use super::keyed::Keyed;
use super::records::{Node, Records};
use super::{Flow, ended};
use crate::pipeline::{IntoSteps, Step};
use crate::window::options::strategy_options;
use crate::window::{Aggregator, Pane, Refused, Strategy, WindowFn, WindowOperator, Windowed};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;

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
    pub(super) fn new<K>(keyed: Keyed<'f, T, K>, windows: F, strategy: Strategy) -> Self {
        Self { keyed: keyed.untyped(), windows, strategy }
    }

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
        let (flow, stream) = keyed.to_step(name, "in");
        windowed(flow, name, Windowed::by(windows, by).strategy(strategy), move |step| step.reads(&stream))
    }
}

/// A windowed step: its panes, and what came too late for it.
pub(super) fn windowed<'f, F, G>(
    flow: &'f Flow,
    name: &str,
    windowed: Windowed<F, G>,
    reads: impl FnOnce(Step<WindowOperator<F, G>>) -> Step<WindowOperator<F, G>> + 'static,
) -> (Records<'f, Pane<G::Output>>, Records<'f, Refused<G::Input>>)
where
    F: WindowFn<G::Input>,
    G: Aggregator,
    G::Input: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    G::Accumulator: 'static,
    G::Output: 'static,
{
    let (panes, refused) = (Node::new(), Node::new());
    let (panes_of, refused_of) = (Records::of(flow, panes.clone()), Records::of(flow, refused.clone()));
    let name = name.to_owned();
    flow.later(move || {
        let panes = ended(panes.outlet(), format_args!("the panes of step {name:?}"))?;
        let windowed = match refused.outlet() {
            Some(refused) => windowed.refused_to(refused),
            None => windowed,
        };
        let operator = windowed.operator_with(&name, panes).map_err(|error| error.to_string())?;
        Ok(reads(Step::new(name, operator)).into_steps())
    });
    (panes_of, refused_of)
}
