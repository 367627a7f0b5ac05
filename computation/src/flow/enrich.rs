//! Asking the outside about each record, several at once.

use super::ended;
use super::keyed::Keyed;
use super::records::{Node, Records};
use crate::codec::{Codec, Postcard};
use crate::computation::{Declaration, Input};
use crate::engine::asking::{Ask, Asking};
use crate::engine::bundle::{Inputs, Processor};
use crate::failure::Failure;
use crate::outlet::Outlet;
use crate::pipeline::{ErasedStep, RetryPolicy, Role, StepOptions};
use crate::stream::Stream;
use futures_util::FutureExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// How the outside is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enrich {
    under_way_max: usize,
    timeout: Duration,
    retry: RetryPolicy,
}

impl Enrich {
    /// Each interval of the step has at most so many questions under way.
    #[must_use]
    pub fn concurrency(under_way_max: usize) -> Self {
        Self { under_way_max, timeout: Duration::from_secs(10), retry: RetryPolicy::default() }
    }

    /// A question without an answer after so long counts as failed, as a call beyond its deadline does. Default 10 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How questions that fail are treated.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }
}

impl<'f, T, K> Keyed<'f, T, K>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// Asks the outside about each record, as the step `name`: what `ask` answers goes on under the record's key and
    /// event time. Several questions are under way at once; the records of a key keep their order.
    ///
    /// The outside is asked at least once for each record, and one answer counts. What it answers may differ from
    /// run to run, so results are the same after a crash only where its answers are. A [`Failure`] is treated as
    /// that of any call: tried again, or a dead letter.
    ///
    /// An interval waits for the slowest question of a bundle before it goes on, so give a timeout that is not much
    /// longer than an answer takes.
    pub fn enrich<U, F>(
        self,
        name: &str,
        how: Enrich,
        ask: impl Fn(T) -> F + Send + Sync + 'static,
    ) -> Records<'f, U>
    where
        U: Clone + Send + 'static,
        F: Future<Output = Result<U, Failure>> + Send + 'static,
    {
        let (flow, stream) = self.to_step(name, "in");
        let node = Node::new();
        let (mine, name) = (node.clone(), name.to_owned());
        flow.later(move || {
            let outlet = ended(mine.outlet(), format_args!("what step {name:?} gives"))?;
            Ok(vec![asking(name, how, &stream, ask, outlet)?])
        });
        Records::of(flow, node)
    }
}

/// The step that asks.
pub(super) fn asking<T, U, F>(
    name: String,
    how: Enrich,
    stream: &Stream<T>,
    ask: impl Fn(T) -> F + Send + Sync + 'static,
    outlet: Outlet<U>,
) -> Result<ErasedStep, String>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    U: Send + 'static,
    F: Future<Output = Result<U, Failure>> + Send + 'static,
{
    let Enrich { under_way_max, timeout, retry } = how;
    if under_way_max == 0 {
        return Err(format!("step {name:?}: with a concurrency of 0 nothing is ever asked: take 1 or more"));
    }
    let mut declaration = Declaration::default();
    outlet.declare(&mut declaration);
    let ask: Ask<T, U> = Arc::new(move |input: Input<T>| ask(input.value).boxed());
    let make = move |streams: &[u32]| -> Box<dyn Processor> {
        let decoder = Arc::new(|bytes: &bytes::Bytes| Postcard::decode(bytes));
        let inputs = Inputs::new(streams.iter().map(|stream| (*stream, decoder.clone() as _)).collect());
        Box::new(Asking { inputs, ask: ask.clone(), under_way_max, timeout, outlet: outlet.clone() })
    };
    let options = StepOptions { retry, ..StepOptions::default() };
    let inputs = vec![stream.into()];
    Ok(ErasedStep { name, inputs, declaration, options, make: Arc::new(make), role: Role::Own })
}
