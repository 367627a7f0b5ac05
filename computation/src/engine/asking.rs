//! Code that asks the outside about each record, and of a bundle about several at once.
//!
//! An interval does serially. What takes long here is to wait for the outside, so the questions of a bundle are under
//! way together, up to a bound (I11), while their answers are taken in order, each in a call of its own: so the order
//! of a key is kept (I9), and a question that fails is tried again as any call is. A question may be asked again, and
//! also where an earlier record of its key fails; an answer takes effect once (I2).
//!
//! The interval takes no mail while it waits, as with any call that waits: a bundle is kept to a few times the bound.

use super::bundle::{Bundle, Inputs, Processor, Work, guarded};
use super::failing::RecordWork;
use super::outbox::Item;
use crate::computation::Input;
use crate::failure::Failure;
use crate::outlet::Outlet;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, Stream, StreamExt};
use pelton_domain::RecordId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A bundle has at most so many questions for each that may be under way.
const BUNDLES_MAX: usize = 4;

/// Asks about one record.
pub(crate) type Ask<T, U> = Arc<dyn Fn(Input<T>) -> BoxFuture<'static, Result<U, Failure>> + Send + Sync>;

/// Asks the outside about each record, and tells the answer under the record's key and event time.
pub(crate) struct Asking<T, U> {
    pub(crate) inputs: Inputs<T>,
    pub(crate) ask: Ask<T, U>,
    pub(crate) under_way_max: usize,
    pub(crate) timeout: Duration,
    pub(crate) outlet: Outlet<U>,
}

fn item(work: &Work) -> Option<&Item> {
    match work {
        Work::Record(RecordWork { item, .. }) | Work::Parked { item, .. } => Some(item),
        Work::Timer { .. } => None,
    }
}

impl<T: Send + 'static, U: Send + 'static> Asking<T, U> {
    /// The answers, as they come.
    fn questions(
        &self,
        bundle: &Bundle<'_>,
    ) -> impl Stream<Item = (RecordId, Result<U, Failure>)> + Send + use<T, U> {
        let (ask, timeout) = (self.ask.clone(), self.timeout);
        let records = bundle.upcoming().filter_map(item);
        let inputs: Vec<_> = records.map(|item| (item.record.id, self.inputs.decode(item))).collect();
        let question = move |(id, input): (RecordId, Result<Input<T>, Failure>)| {
            let ask = ask.clone();
            async move {
                let answer = async { ask(input?).await };
                (id, guarded(answer, timeout).await)
            }
        };
        stream::iter(inputs).map(question).buffer_unordered(self.under_way_max)
    }
}

impl<T: Send + 'static, U: Send + 'static> Processor for Asking<T, U> {
    fn run<'a, 'c: 'a>(&'a mut self, bundle: &'a mut Bundle<'c>) -> BoxFuture<'a, ()> {
        async move {
            let mut questions = std::pin::pin!(self.questions(bundle));
            let mut answers: HashMap<RecordId, Result<U, Failure>> = HashMap::new();
            while let Some(work) = bundle.next() {
                let Some(Item { record, .. }) = item(&work) else {
                    bundle.end_call(work, Ok(()));
                    continue;
                };
                let (id, key, at) = (record.id, record.key.clone(), record.event_time);
                while !answers.contains_key(&id)
                    && let Some((id, answer)) = questions.next().await
                {
                    answers.insert(id, answer);
                }
                let answer = answers.remove(&id).unwrap_or_else(|| Err(Failure::retry("it was not asked")));
                let result = {
                    let mut cx = bundle.context(&work);
                    // What is fused behind it is code of the user's, too.
                    let told = async { self.outlet.emit(&mut cx, key, at, answer?) };
                    guarded(told, self.timeout).await
                };
                bundle.end_call(work, result);
            }
        }
        .boxed()
    }

    fn calls_max(&self) -> usize {
        self.under_way_max.saturating_mul(BUNDLES_MAX)
    }
}
