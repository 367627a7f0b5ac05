//! Records of a key, each with what is remembered of those before it.

use super::keyed::Keyed;
use super::records::Records;
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::outlet::Outlet;
use crate::pipeline::Step;
use crate::state::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::sync::Arc;

impl<'f, T, K> Keyed<'f, T, K>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// Makes any number of records of each record and of what is remembered of its key, as the step `name`, as
    /// [`Iterator::scan`] does: `step` changes what is remembered, which begins as [`Default`] says. The event time is
    /// that of the record, and records of a key come in the order in which they were sent.
    ///
    /// What is remembered of a key is one entry of state, read and written with every record: it must stay below 100
    /// KB, and is kept for ever. For more than that, and for timers, write a computation of your own
    /// ([`Self::process`]).
    ///
    /// ```no_run
    /// use pelton::flow::Flow;
    /// use pelton::{EventTime, JsonLinesSink, JsonLinesSource, Stream};
    ///
    /// static NUMBERS: Stream<i64> = Stream::new("numbers");
    ///
    /// let source = JsonLinesSource::<i64>::new("numbers.jsonl", &NUMBERS)
    ///     .key(|_| "all".into())
    ///     .event_time(|number| EventTime::from_secs(*number));
    /// let flow = Flow::new("steps");
    /// flow.read(source)
    ///     .key_by(|_| "all".into())
    ///     .scan("steps", |before: &mut Option<i64>, number| before.replace(number).map(|before| number - before))
    ///     .write("told", |told| JsonLinesSink::new("told.jsonl", told));
    /// let pipeline = flow.build()?;
    /// # Ok::<(), pelton::PipelineError>(())
    /// ```
    pub fn scan<S, U, I>(
        self,
        name: &str,
        step: impl Fn(&mut S, T) -> I + Send + Sync + 'static,
    ) -> Records<'f, U>
    where
        S: Default + Serialize + DeserializeOwned + Send + Sync + 'static,
        U: Clone + 'static,
        I: IntoIterator<Item = U> + 'static,
    {
        let (flow, stream) = self.to_step(name, "in");
        let step_name = name.to_owned();
        flow.step(name, move |outlet| {
            let shared = Arc::new(Shared { step, outlet, remembered: Value::new("remembered") });
            Ok(Step::new(step_name, Scan { shared, types: PhantomData }).reads(&stream))
        })
    }
}

struct Scan<T, S, U, F, I> {
    shared: Arc<Shared<S, U, F>>,
    types: PhantomData<fn(T) -> I>,
}

struct Shared<S, U, F> {
    step: F,
    outlet: Outlet<U>,
    remembered: Value<S>,
}

impl<T, S, U, F, I> Clone for Scan<T, S, U, F, I> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), types: PhantomData }
    }
}

impl<T, S, U, F, I> Computation for Scan<T, S, U, F, I>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: Default + Serialize + DeserializeOwned + Send + Sync + 'static,
    U: 'static,
    F: Fn(&mut S, T) -> I + Send + Sync + 'static,
    I: IntoIterator<Item = U> + 'static,
{
    type Input = T;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&self.shared.remembered);
        self.shared.outlet.declare(declaration);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<T>) -> Result<(), Failure> {
        let Shared { step, outlet, remembered } = &*self.shared;
        let mut now = remembered.get(cx).await?.unwrap_or_default();
        for told in step(&mut now, input.value) {
            outlet.emit(cx, input.key.clone(), input.event_time, told)?;
        }
        remembered.set(cx, &now)
    }
}
