//! The computation that lists a source's splits, once (I7: until then it holds the watermark at minus infinity).

use super::split::SplitSource;
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::stream::Stream;
use crate::timer::Fired;
use pelton_domain::EventTime;
use serde::{Deserialize, Serialize};

/// One split, as its reader receives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Assigned<T> {
    /// Which.
    pub(super) split: T,
    /// One of so many: they share the source's rate.
    pub(super) splits: u32,
}

/// Lists the splits when its engine first sees it.
#[derive(Clone, Debug)]
pub(super) struct Enumerate<S: SplitSource> {
    outside: S,
    output: Stream<Assigned<S::Split>>,
}

impl<S: SplitSource> Enumerate<S> {
    pub(super) fn new(outside: S, output: Stream<Assigned<S::Split>>) -> Self {
        Self { outside, output }
    }
}

impl<S: SplitSource> Computation for Enumerate<S> {
    type Input = ();

    fn declare(&self, declaration: &mut Declaration) {
        declaration.output(&self.output);
    }

    async fn process(&mut self, _: &mut Context<'_>, _: Input<()>) -> Result<(), Failure> {
        Ok(())
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
        let list = async {
            self.outside.validate().map_err(Failure::stop)?;
            self.outside.splits().await
        };
        let listed = list.await.inspect_err(|failure| {
            tracing::error!(source = self.output.name(), %failure, "a source cannot list its splits");
        })?;
        let splits = u32::try_from(listed.len()).unwrap_or(u32::MAX);
        for (key, split) in listed {
            cx.emit(&self.output, key, EventTime::MIN, &Assigned { split, splits })?;
        }
        Ok(())
    }
}
