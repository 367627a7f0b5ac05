//! How a step that matches a pattern is said.

use super::check::PatternError;
use super::found::Match;
use super::operator::{PatternOperator, Shared};
use super::said::Pattern;
use crate::codec::Codec;
use crate::outlet::Outlet;
use crate::pipeline::Step;
use crate::stream::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Says a step that matches a pattern by hand. In a flow: [`Keyed::matches`](crate::flow::Keyed::matches).
///
/// ```
/// use pelton::pattern::{Match, Matching, Pattern};
/// use pelton::{EventTime, Stream, testing::Harness};
///
/// static PAYMENTS: Stream<i64> = Stream::new("payments");
/// static THEFTS: Stream<Match<i64>> = Stream::new("thefts");
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pattern = Pattern::begin("probe", |cents| *cents < 100).next("theft", |cents| *cents > 50_000);
/// let mut harness = Harness::new(Matching::of(pattern).step("thefts", &PAYMENTS, &THEFTS)?)?;
/// harness.push(&PAYMENTS, "card", EventTime::from_secs(9), &70_000)?;
/// harness.push(&PAYMENTS, "card", EventTime::from_secs(5), &1)?;
/// harness.advance_watermark(EventTime::from_secs(10))?;
/// let thefts = harness.output(&THEFTS)?;
/// assert_eq!(thefts[0].value.of("theft"), [70_000]);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "end it with `.step(..)`"]
pub struct Matching<T> {
    pattern: Pattern<T>,
    late: Option<Outlet<T>>,
}

impl<T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Matching<T> {
    /// Finds this pattern.
    pub fn of(pattern: Pattern<T>) -> Self {
        Self { pattern, late: None }
    }

    /// Records that come too late go to `stream`, beside being counted.
    pub fn late(mut self, stream: &Stream<T>) -> Self {
        self.late = Some(Outlet::to(stream));
        self
    }

    pub(crate) fn late_to(mut self, outlet: Outlet<T>) -> Self {
        self.late = Some(outlet);
        self
    }

    /// The step `name`, which reads `input` and produces matches, each under the key of its records.
    ///
    /// # Errors
    /// [`PatternError`]: its pattern cannot be.
    pub fn step<C: Codec<T>>(
        self,
        name: &str,
        input: &Stream<T, C>,
        matches: &Stream<Match<T>>,
    ) -> Result<Step<PatternOperator<T>>, PatternError> {
        Ok(Step::new(name, self.operator_with(Outlet::to(matches))?).reads(input))
    }

    pub(crate) fn operator_with(self, matches: Outlet<Match<T>>) -> Result<PatternOperator<T>, PatternError> {
        let Self { pattern, late } = self;
        pattern.check()?;
        Ok(PatternOperator { shared: Arc::new(Shared { pattern, matches, late }) })
    }
}
