//! A hand-written computation in a flow, and what is done with the streams it produces.

use super::keyed::Keyed;
use super::records::{Node, Records};
use super::{Flow, ended};
use crate::codec::Codec;
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::pipeline::{IntoSteps, Step};
use crate::redirect::{Redirect, Redirected, Redirects};
use crate::stream::{Stream, StreamType};
use crate::timer::Fired;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

/// A computation of one's own as a step of a flow: the streams it produces go on with [`Self::stream`].
pub struct Processed<'f> {
    flow: &'f Flow,
    name: String,
    taken: Rc<RefCell<Vec<Taken>>>,
}

/// A stream that goes on in the flow.
struct Taken {
    stream: StreamType,
    /// What is done with its records, once all has been said.
    close: Box<dyn FnOnce() -> Option<Box<dyn Redirected>>>,
}

impl fmt::Debug for Processed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Processed({})", self.name)
    }
}

impl<'f, T, K> Keyed<'f, T, K>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// Gives them to a computation of one's own, as the step `name`. What it produces goes on with
    /// [`Processed::stream`]; a stream that is not taken there can be read by steps said by hand.
    ///
    /// ```no_run
    /// use pelton::flow::Flow;
    /// use pelton::{Computation, Context, Declaration, EventTime, Failure, Input, Stream, Value};
    /// use pelton::{JsonLinesSink, JsonLinesSource};
    ///
    /// static NUMBERS: Stream<i64> = Stream::new("numbers");
    /// static RECORDS: Stream<i64> = Stream::new("records");
    /// static HIGHEST: Value<i64> = Value::new("highest");
    ///
    /// /// Tells every new highest number of a key.
    /// #[derive(Clone)]
    /// struct Highest;
    ///
    /// impl Computation for Highest {
    ///     type Input = i64;
    ///
    ///     fn declare(&self, declaration: &mut Declaration) {
    ///         declaration.cell(&HIGHEST).output(&RECORDS);
    ///     }
    ///
    ///     async fn process(&mut self, cx: &mut Context<'_>, input: Input<i64>) -> Result<(), Failure> {
    ///         if HIGHEST.get(cx).await?.is_none_or(|highest| highest < input.value) {
    ///             HIGHEST.set(cx, &input.value)?;
    ///             cx.emit(&RECORDS, input.key, input.event_time, &input.value)?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let source = JsonLinesSource::<i64>::new("numbers.jsonl", &NUMBERS)
    ///     .key(|_| "all".into())
    ///     .event_time(|number| EventTime::from_secs(*number));
    /// let flow = Flow::new("records");
    /// let highest = flow.read(source).key_by(|_| "all".into()).process("highest", Highest);
    /// highest
    ///     .stream(&RECORDS)
    ///     .map(|number| format!("a new record: {number}"))
    ///     .write("told", |told| JsonLinesSink::new("told.jsonl", told));
    /// let pipeline = flow.build()?;
    /// # Ok::<(), pelton::PipelineError>(())
    /// ```
    pub fn process<C: Computation<Input = T> + Sync>(
        self,
        name: impl Into<String>,
        computation: C,
    ) -> Processed<'f> {
        self.process_step(Step::new(name, computation))
    }

    /// As [`Self::process`], with the options of the step, and whatever else it reads:
    /// `.process_step(Step::new("watch", Watch).deadline(..))`.
    pub fn process_step<C: Computation<Input = T> + Sync>(self, step: Step<C>) -> Processed<'f> {
        let name = step.name().to_owned();
        let (flow, stream) = self.to_step(&name, "in");
        let taken: Rc<RefCell<Vec<Taken>>> = Rc::default();
        let all = taken.clone();
        flow.later(move || {
            let redirects = redirects(step.name(), step.computation(), all.take())?;
            let wrapped = step.wrapped(|inner| Flowing { inner, redirects: Arc::new(redirects) });
            Ok(wrapped.reads(&stream).into_steps())
        });
        Processed { flow, name, taken }
    }
}

impl<'f> Processed<'f> {
    /// What the computation produces on `stream`. What is done to it is fused into the computation.
    pub fn stream<T: Clone + 'static, C: Codec<T>>(&self, stream: &Stream<T, C>) -> Records<'f, T> {
        let node = Node::new();
        let mine = node.clone();
        let close =
            move || mine.outlet().map(|outlet| Box::new(Redirect::new(outlet)) as Box<dyn Redirected>);
        self.taken.borrow_mut().push(Taken { stream: stream.into(), close: Box::new(close) });
        Records::of(self.flow, node)
    }
}

fn redirects<C: Computation>(name: &str, computation: &C, taken: Vec<Taken>) -> Result<Redirects, String> {
    let mut declaration = Declaration::default();
    computation.declare(&mut declaration);
    let mut redirects = Redirects::default();
    for Taken { stream, close } in taken {
        match declaration.outputs.iter().find(|output| output.name == stream.name) {
            Some(output) if *output == stream => {}
            Some(output) => {
                return Err(format!(
                    "stream {:?} of step {name:?} is {} ({}) there and {} ({}) here: use one `Stream` for both",
                    stream.name, output.type_name, output.codec, stream.type_name, stream.codec,
                ));
            }
            None => {
                let all: Vec<&str> = declaration.outputs.iter().map(|output| output.name.as_str()).collect();
                return Err(format!(
                    "step {name:?} does not produce stream {:?}, only [{}]: add `.output(&..)` to its declaration",
                    stream.name,
                    all.join(", "),
                ));
            }
        }
        let way = ended(close(), format_args!("stream {:?} of step {name:?}", stream.name))?;
        redirects.add(stream.name, way);
    }
    Ok(redirects)
}

/// A computation whose productions go on in a flow.
#[derive(Clone)]
struct Flowing<C> {
    inner: C,
    redirects: Arc<Redirects>,
}

impl<C: Computation + Sync> Computation for Flowing<C> {
    type Input = C::Input;

    fn declare(&self, declaration: &mut Declaration) {
        self.inner.declare(declaration);
        self.redirects.declare(declaration);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<C::Input>) -> Result<(), Failure> {
        cx.redirect(self.redirects.clone());
        self.inner.process(cx, input).await
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, timer: Fired) -> Result<(), Failure> {
        cx.redirect(self.redirects.clone());
        self.inner.on_timer(cx, timer).await
    }
}
