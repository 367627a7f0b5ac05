//! How a windowed step is said.

use super::aggregator::Aggregator;
use super::assign::WindowFn;
use super::kept::Shared;
use super::operator::WindowOperator;
use super::options::strategy_options;
use super::pane::{Pane, Refused};
use super::strategy::Strategy;
use super::trigger::TriggerError;
use crate::codec::Codec;
use crate::outlet::Outlet;
use crate::pipeline::Step;
use crate::stream::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Groups each key's records by windows and combines them: `Windowed::by(windows, aggregator)`, then how.
///
/// ```
/// use pelton::window::{FixedWindows, Pane, Trigger, Windowed, aggregators};
/// use pelton::{EventTime, Stream, testing::Harness};
/// use std::time::Duration;
///
/// static WORDS: Stream<String> = Stream::new("words");
/// static COUNTS: Stream<Pane<u64>> = Stream::new("counts");
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let minutes = FixedWindows::of(Duration::from_secs(60));
/// let step = Windowed::by(minutes, aggregators::Count::new())
///     .trigger(Trigger::after_watermark().late(Trigger::after_count(1)))
///     .allowed_lateness(Duration::from_secs(600))
///     .accumulation(pelton::window::Accumulation::Accumulating)
///     .step("count", &WORDS, &COUNTS)?;
///
/// let mut harness = Harness::new(step)?;
/// harness.push(&WORDS, "ann", EventTime::from_secs(7), &"hello".to_owned())?;
/// harness.advance_watermark(EventTime::from_secs(60))?;
/// harness.push(&WORDS, "ann", EventTime::from_secs(59), &"late".to_owned())?;
/// let counts: Vec<u64> = harness.output(&COUNTS)?.into_iter().map(|pane| pane.value.value).collect();
/// assert_eq!(counts, [1, 2]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "end it with `.step(..)`"]
pub struct Windowed<F, G: Aggregator> {
    windows: F,
    by: G,
    strategy: Strategy,
    refused: Option<Outlet<Refused<G::Input>>>,
}

/// A windowed step that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowedError {
    /// Its trigger cannot be.
    #[error("step {step:?}: {error}")]
    Trigger {
        /// Which step.
        step: String,
        /// Why.
        error: TriggerError,
    },
}

impl<F, G> Windowed<F, G>
where
    F: WindowFn<G::Input>,
    G: Aggregator,
    G::Input: Serialize + DeserializeOwned + Send + Sync + 'static,
    G::Output: 'static,
    G::Accumulator: 'static,
{
    /// The records of each of these windows, combined like this.
    pub fn by(windows: F, by: G) -> Self {
        Self { windows, by, strategy: Strategy::default(), refused: None }
    }

    strategy_options!();

    /// All of how, at once.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// As [`Self::refused`], to an outlet.
    pub(crate) fn refused_to(mut self, outlet: Outlet<Refused<G::Input>>) -> Self {
        self.refused = Some(outlet);
        self
    }

    /// Records that come too late go to `stream`, beside being counted.
    pub fn refused(mut self, stream: &Stream<Refused<G::Input>>) -> Self {
        self.refused = Some(Outlet::to(stream));
        self
    }

    /// The step `name`, which reads `input` and produces panes, each under the key of its records.
    ///
    /// # Errors
    /// [`WindowedError`]: its trigger cannot be.
    pub fn step<C: Codec<G::Input>>(
        self,
        name: &str,
        input: &Stream<G::Input, C>,
        panes: &Stream<Pane<G::Output>>,
    ) -> Result<Step<WindowOperator<F, G>>, WindowedError> {
        Ok(Step::new(name, self.operator(name, panes)?).reads(input))
    }

    /// The computation alone, for a step that reads several streams. `name` is the step's, for errors.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn operator(
        self,
        name: &str,
        panes: &Stream<Pane<G::Output>>,
    ) -> Result<WindowOperator<F, G>, WindowedError> {
        self.operator_with(name, Outlet::to(panes))
    }

    /// As [`Self::operator`], where panes go to `panes`.
    pub(crate) fn operator_with(
        self,
        name: &str,
        panes: Outlet<Pane<G::Output>>,
    ) -> Result<WindowOperator<F, G>, WindowedError> {
        let Self { windows, by, strategy, refused } = self;
        let named = |error| WindowedError::Trigger { step: name.to_owned(), error };
        strategy.trigger.check().map_err(named)?;
        Ok(WindowOperator { shared: Arc::new(Shared { windows, by, strategy, panes, refused }) })
    }
}
