//! Records of a key that become one.

use super::keyed::Keyed;
use super::records::Records;
use super::windowed::WindowedRecords;
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::outlet::Outlet;
use crate::pipeline::Step;
use crate::state::Value;
use crate::window::aggregators::Reduce;
use crate::window::{Pane, WindowFn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

impl<'f, T, K> Keyed<'f, T, K>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// Makes one record of all of a key, as the step `name`: each record tells what it and all before it have
    /// become, under its own event time, as in Flink. `combine` must be associative; where it is commutative as
    /// well, what is told in the end does not depend on the order of records.
    ///
    /// Each key keeps one value, for ever: for keys without end, group by windows too.
    pub fn reduce(self, name: &str, combine: impl Fn(T, T) -> T + Send + Sync + 'static) -> Records<'f, T> {
        let (flow, stream) = self.to_step(name, "in");
        let step_name = name.to_owned();
        flow.step(name, move |outlet| {
            let reduction =
                Running { shared: Arc::new(Shared { combine, outlet, kept: Value::new("reduced") }) };
            Ok(Step::new(step_name, reduction).reads(&stream))
        })
    }
}

impl<'f, T, F> WindowedRecords<'f, T, F>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    F: WindowFn<T>,
{
    /// Makes one record of all of a window, as the step `name`. `combine` must be associative and commutative.
    /// Panes that have nothing to tell are left out.
    pub fn reduce(
        self,
        name: &str,
        combine: impl Fn(T, T) -> T + Clone + Send + Sync + 'static,
    ) -> Records<'f, Pane<T>> {
        let panes = self.aggregate(name, Reduce::by(combine));
        panes.then("reduced", |pane, key, give| {
            let Pane { window, value, info, retraction } = pane;
            if let Some(value) = value {
                give(Pane { window, value, info, retraction }, key);
            }
        })
    }
}

/// Tells of each key what its records have become so far.
struct Running<T, F> {
    shared: Arc<Shared<T, F>>,
}

struct Shared<T, F> {
    combine: F,
    outlet: Outlet<T>,
    kept: Value<T>,
}

impl<T, F> Clone for Running<T, F> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T, F> Computation for Running<T, F>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    F: Fn(T, T) -> T + Send + Sync + 'static,
{
    type Input = T;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&self.shared.kept);
        self.shared.outlet.declare(declaration);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<T>) -> Result<(), Failure> {
        let Shared { combine, outlet, kept } = &*self.shared;
        let reduced = match kept.get(cx).await? {
            Some(before) => combine(before, input.value),
            None => input.value,
        };
        kept.set(cx, &reduced)?;
        outlet.emit(cx, input.key, input.event_time, reduced)
    }
}
