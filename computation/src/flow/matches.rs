//! Patterns over the records of one key, as steps of a flow.

use super::keyed::Keyed;
use super::records::{Node, Records};
use crate::pattern::{Match, Matching, Pattern};
use crate::pipeline::{IntoSteps, Step};
use serde::Serialize;
use serde::de::DeserializeOwned;

impl<'f, T, K> Keyed<'f, T, K>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// Finds a pattern among the records of each key, in order of event time, as the step `name`: state hangs on it.
    pub fn matches(self, name: &str, pattern: Pattern<T>) -> Records<'f, Match<T>> {
        self.matches_and_late(name, pattern).0
    }

    /// As [`Self::matches`], with the records that came too late.
    pub fn matches_and_late(
        self,
        name: &str,
        pattern: Pattern<T>,
    ) -> (Records<'f, Match<T>>, Records<'f, T>) {
        let (flow, stream) = self.to_step(name, "in");
        let (matches, late) = (Node::new(), Node::new());
        let (matches_of, late_of) = (Records::of(flow, matches.clone()), Records::of(flow, late.clone()));
        let name = name.to_owned();
        flow.later(move || {
            let matches = matches.outlet().ok_or_else(|| {
                format!("nothing is done with the matches of step {name:?}: end it with `.write(..)`")
            })?;
            let mut matching = Matching::of(pattern);
            if let Some(late) = late.outlet() {
                matching = matching.late_to(late);
            }
            let operator =
                matching.operator_with(matches).map_err(|error| format!("step {name:?}: {error}"))?;
            Ok(Step::new(name, operator).reads(&stream).into_steps())
        });
        (matches_of, late_of)
    }
}
