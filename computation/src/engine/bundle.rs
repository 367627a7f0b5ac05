//! The contract between an interval and code: a bundle of work goes in, effects come out, and the effects of
//! the bundle belong to one commit (I2).
//!
//! [`PerRecord`] is the adaptor for the API that users write. Code in another process, or code that takes many
//! records at once, would be another implementation of [`Processor`].

use super::failing::RecordWork;
use super::interval::core::Core;
use super::outbox::Item;
use super::panics;
use super::timers::TimerEntry;
use crate::codec::CodecError;
use crate::computation::{Computation, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::timer::Fired;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use pelton_domain::Key;
use pelton_statestore::keys::TimerAddress;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Turns the bytes of one stream into a computation's input.
pub(crate) type Decoder<T> = Arc<dyn Fn(&Bytes) -> Result<T, CodecError> + Send + Sync>;

/// One thing to do for one key.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// A record that has arrived.
    Record(RecordWork),
    /// A record that was parked under this number.
    Parked { number: u64, item: Item },
    /// A timer that is due.
    Timer { address: TimerAddress, entry: TimerEntry },
}

impl Work {
    /// Whose work it is.
    pub(crate) fn key(&self) -> &Key {
        match self {
            Self::Record(work) => &work.item.record.key,
            Self::Parked { item, .. } => &item.record.key,
            Self::Timer { address, .. } => &address.key,
        }
    }
}

/// A batch of work, and the interval it is for.
pub(crate) struct Bundle<'c> {
    core: &'c mut Core,
    work: VecDeque<Work>,
}

impl<'c> Bundle<'c> {
    pub(crate) fn new(core: &'c mut Core, work: VecDeque<Work>) -> Self {
        Self { core, work }
    }

    /// The next thing to do; work of keys that must wait is put aside on the way.
    pub(crate) fn next(&mut self) -> Option<Work> {
        while let Some(work) = self.work.pop_front() {
            if self.core.scope.fault().is_some() {
                return None;
            }
            if let Some(work) = self.core.begin_call(work) {
                return Some(work);
            }
        }
        None
    }

    /// What is still to do, in order. Of some of it [`Self::next`] may find that it must wait.
    pub(crate) fn upcoming(&self) -> impl Iterator<Item = &Work> {
        self.work.iter()
    }

    /// What the code for `work` acts on.
    pub(crate) fn context(&mut self, work: &Work) -> Context<'_> {
        self.core.context(work)
    }

    /// The code for `work` has ended like this.
    pub(crate) fn end_call(&mut self, work: Work, result: Result<(), Failure>) {
        self.core.end_call(work, result);
    }
}

/// Code that takes bundles.
pub(crate) trait Processor: Send {
    /// Does all of the bundle's work.
    fn run<'a, 'c: 'a>(&'a mut self, bundle: &'a mut Bundle<'c>) -> BoxFuture<'a, ()>;

    /// It takes bundles of at most so many calls, however many there are to do.
    fn calls_max(&self) -> usize {
        usize::MAX
    }
}

/// Turns records into a computation's input.
pub(crate) struct Inputs<T> {
    decoders: Vec<(u32, Decoder<T>)>,
}

impl<T> Inputs<T> {
    /// Each stream by its number.
    pub(crate) fn new(decoders: Vec<(u32, Decoder<T>)>) -> Self {
        Self { decoders }
    }

    pub(crate) fn decode(&self, item: &Item) -> Result<Input<T>, Failure> {
        let (_, decoder) =
            self.decoders.iter().find(|(stream, _)| *stream == item.stream).ok_or_else(|| {
                Failure::permanent(format!(
                    "a record of stream number {}, which is not read any more",
                    item.stream
                ))
            })?;
        let record = &item.record;
        Ok(Input {
            id: record.id,
            key: record.key.clone(),
            event_time: record.event_time,
            value: decoder(&record.value)?,
        })
    }
}

/// Runs a [`Computation`] record by record.
pub(crate) struct PerRecord<C: Computation> {
    computation: C,
    inputs: Inputs<C::Input>,
    deadline: Duration,
}

impl<C: Computation> PerRecord<C> {
    pub(crate) fn new(computation: C, decoders: Vec<(u32, Decoder<C::Input>)>, deadline: Duration) -> Self {
        Self { computation, inputs: Inputs::new(decoders), deadline }
    }

    async fn call(&mut self, cx: &mut Context<'_>, work: &Work) -> Result<(), Failure> {
        match work {
            Work::Timer { address, entry } => self.computation.on_timer(cx, fired(address, entry)).await,
            Work::Record(RecordWork { item, .. }) | Work::Parked { item, .. } => {
                let input = self.inputs.decode(item)?;
                self.computation.process(cx, input).await
            }
        }
    }
}

fn fired(address: &TimerAddress, entry: &TimerEntry) -> Fired {
    Fired {
        tag: String::from_utf8_lossy(&address.tag).into_owned(),
        domain: address.domain,
        fire_at_us: entry.fire_at_us,
        output_time: entry.output_time,
        namespace: address.namespace.clone(),
        payload: entry.payload.clone(),
    }
}

impl<C: Computation + Sync> Processor for PerRecord<C> {
    fn run<'a, 'c: 'a>(&'a mut self, bundle: &'a mut Bundle<'c>) -> BoxFuture<'a, ()> {
        async move {
            while let Some(work) = bundle.next() {
                let deadline = self.deadline;
                let result = {
                    let mut cx = bundle.context(&work);
                    guarded(self.call(&mut cx, &work), deadline).await
                };
                bundle.end_call(work, result);
            }
        }
        .boxed()
    }
}

/// Runs a call of user code: a panic or an overrun becomes a failure. The deadline costs nothing for a call
/// that never waits.
pub(crate) async fn guarded<T>(
    call: impl Future<Output = Result<T, Failure>> + Send,
    deadline: Duration,
) -> Result<T, Failure> {
    let mut call = pin!(AssertUnwindSafe(call).catch_unwind());
    let first = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
    let ended = match first {
        Poll::Ready(ended) => ended,
        Poll::Pending => match tokio::time::timeout(deadline, call).await {
            Ok(ended) => ended,
            Err(_) => return Err(Failure::crashed(format!("the call did not return within {deadline:?}"))),
        },
    };
    ended.unwrap_or_else(|panic| {
        Err(Failure::crashed(format!("the call panicked: {}", panics::caught(panic.as_ref()))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_and_an_overrun_are_failures_that_may_be_retried() {
        let panic = guarded::<()>(async { panic!("boom {}", 7) }, Duration::from_secs(1)).await.unwrap_err();
        assert!(panic.reason().contains("boom 7") && panic.is_retryable());
        let stuck = guarded::<()>(std::future::pending(), Duration::from_millis(1)).await.unwrap_err();
        assert!(stuck.reason().contains("1ms") && stuck.is_retryable());
        assert_eq!(guarded(async { Ok(()) }, Duration::ZERO).await, Ok(()));
    }
}
