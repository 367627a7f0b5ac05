//! Of the panes of a window only the final one.
//!
//! The last pane of each window is kept under the window's namespace, with a timer for the moment from which there is
//! no other (I8); the output watermark waits where the pane will be (I7).

use super::records::Records;
use crate::alarm::moved;
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::outlet::Outlet;
use crate::pipeline::Step;
use crate::state::Value;
use crate::stream::Stream;
use crate::timer::{Fired, Timer};
use crate::window::{Pane, Window};
use bytes::Bytes;
use pelton_domain::EventTime;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The tag of the timers that tell.
const FINAL: &str = "final";

impl<'f, T> Records<'f, Pane<T>>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// Only the last pane of each window and key, as the step `name`, once the watermark says that there is no other:
    /// `allowed_lateness` after the end of the window, which must be that of the step the panes come from. So one
    /// branch can show what is known so far, and another what is certain.
    ///
    /// Each pane takes the place of the one before, so panes must be accumulating; those of sessions retracting, so
    /// that a session that has been merged away is taken back. Where only the final panes matter, no step is needed:
    /// a windowed step with [`Trigger::Never`](crate::window::Trigger::Never) tells nothing else.
    pub fn suppress(&self, name: &str, allowed_lateness: Duration) -> Records<'f, Pane<T>> {
        let stream: Stream<Pane<T>> = Stream::named(format!("{name}.in"));
        self.send(&stream);
        let step_name = name.to_owned();
        self.flow.step(name, move |outlet| {
            Ok(Step::new(step_name, Suppress { lateness: allowed_lateness, outlet }).reads(&stream))
        })
    }
}

/// Keeps panes until they are final.
pub(super) struct Suppress<T> {
    pub(super) lateness: Duration,
    pub(super) outlet: Outlet<Pane<T>>,
}

impl<T> Clone for Suppress<T> {
    fn clone(&self) -> Self {
        Self { lateness: self.lateness, outlet: self.outlet.clone() }
    }
}

/// The last pane of a window, with its event time.
const fn last<T>() -> Value<(i64, Pane<T>)> {
    Value::new("last")
}

impl<T> Computation for Suppress<T>
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Input = Pane<T>;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&last::<T>());
        self.outlet.declare(declaration);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Pane<T>>) -> Result<(), Failure> {
        let (at, pane) = (input.event_time, input.value);
        let final_at = moved(pane.window.end().plus(self.lateness), 1);
        if final_at <= cx.input_watermark() {
            cx.drop_late();
            return Ok(());
        }
        cx.enter(Bytes::copy_from_slice(&pane.window.namespace()));
        if pane.retraction {
            // Its timer stays: a pane that replaces it mostly follows.
            return last::<T>().clear(cx);
        }
        let before = last::<T>().get(cx).await?;
        if before.is_none_or(|(before, _)| before != at.as_micros()) {
            cx.set_timer(Timer::event(FINAL, final_at).output_at(at))?;
        }
        last().set(cx, &(at.as_micros(), pane))
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, timer: Fired) -> Result<(), Failure> {
        if Window::of_namespace(&timer.namespace).is_none() {
            return Err(Failure::permanent(format!("a timer of a window is none: {timer:?}")));
        }
        cx.enter(timer.namespace);
        let Some((at, pane)) = last::<T>().get(cx).await? else { return Ok(()) };
        last::<T>().clear(cx)?;
        self.outlet.emit(cx, cx.key().clone(), EventTime::from_micros(at), pane)
    }
}
