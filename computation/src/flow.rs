//! Pipelines as one says them: `flow.read(source).map(..).key_by(..).window(..).aggregate(..).write(..)`.
//!
//! A [`Flow`] makes the same steps and streams that one would write by hand, and is checked by the same rules. Steps
//! that need no key (`map`, `filter`, `flat_map`, `inspect`) are fused into whatever produces their records, a
//! source or a windowed step: they cost a call of a closure, no stream, no hop and no commit. Only what groups by a
//! key is a step of its own, with a name, because state hangs on it.
//!
//! | module | noun |
//! |---|---|
//! | `records` | records on their way, and what can be done to each of them |
//! | `branch` | ways apart and together |
//! | `keyed` | records by key |
//! | `windowed` | records by key and windows |
//! | `process` | a computation of one's own |
//! | `join`, `interval` | two streams by key |
//! | `table` | a stream and a table |
//! | `dedup`, `suppress`, `rate` | which records go on, and when |
//! | `enrich` | what the outside knows of them |
//! | `matches` | patterns over the records of one key |
//! | `reduce` | records of a key that become one |
//! | `scan` | records of a key, each with what is remembered of those before it |
//! | `source` | what can be read |

mod branch;
mod dedup;
mod enrich;
mod interval;
mod join;
mod keyed;
mod matches;
mod process;
mod rate;
mod records;
mod reduce;
mod scan;
mod source;
mod suppress;
mod table;
mod windowed;

pub use dedup::Dedup;
pub use enrich::Enrich;
pub use interval::IntervalJoin;
pub use join::{Joined, WindowedJoin};
pub use keyed::Keyed;
pub use process::Processed;
pub use rate::Rate;
pub use records::Records;
pub use source::FlowSource;
pub use table::{SideInput, Table, TableJoin};
pub use windowed::WindowedRecords;

use crate::computation::Computation;
use crate::outlet::Outlet;
use crate::pipeline::{ErasedStep, IntoSteps, Pipeline, PipelineError, Step};
use records::Node;
use std::cell::RefCell;
use std::fmt;

/// A pipeline in the making.
///
/// ```no_run
/// use pelton::flow::Flow;
/// use pelton::window::{FixedWindows, Trigger, aggregators::Count};
/// use pelton::{EventTime, JsonLinesSink, JsonLinesSource, Stream};
/// use std::time::Duration;
///
/// static LINES: Stream<(i64, String)> = Stream::new("lines");
///
/// let lines = JsonLinesSource::<(i64, String)>::new("lines.jsonl", &LINES)
///     .key(|(_, line)| line.as_str().into())
///     .event_time(|(second, _)| EventTime::from_secs(*second));
///
/// let flow = Flow::new("word-count");
/// flow.read(lines)
///     .flat_map(|(_, line)| line.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
///     .key_by(|word| word.as_str().into())
///     .window(FixedWindows::of(Duration::from_secs(60)))
///     .trigger(Trigger::after_watermark().early(Trigger::after_count(100)))
///     .aggregate("count", Count::new())
///     .map_with_key(|word, pane| (word.to_string(), pane.window.end().to_string(), pane.value))
///     .write("counts", |counts| JsonLinesSink::new("counts.jsonl", counts));
/// let pipeline = flow.build()?;
/// # Ok::<(), pelton::PipelineError>(())
/// ```
pub struct Flow {
    name: String,
    steps: RefCell<Vec<Unbuilt>>,
}

/// A step that waits for everything behind it to be said. It gives its steps, or what is wrong with it.
type Unbuilt = Box<dyn FnOnce() -> Result<Vec<ErasedStep>, String>>;

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flow({})", self.name)
    }
}

impl Flow {
    /// Begins the pipeline `name`. Its state in a store hangs on that name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), steps: RefCell::new(Vec::new()) }
    }

    /// Reads a source.
    pub fn read<S: FlowSource>(&self, source: S) -> Records<'_, S::Value>
    where
        S::Value: Clone,
    {
        let node = Node::new();
        let mine = node.clone();
        self.later(move || {
            let name = source.name();
            source.check().map_err(|reason| format!("source {name:?}: {reason}"))?;
            let outlet = ended(mine.outlet(), format_args!("what source {name:?} reads"))?;
            Ok(source.steps(outlet))
        });
        Records::of(self, node)
    }

    /// Adds steps said by hand, such as a sink of a dead-letter stream.
    pub fn with(&self, steps: impl IntoSteps) -> &Self {
        let steps = steps.into_steps();
        self.later(move || Ok(steps));
        self
    }

    /// Checks all of it.
    ///
    /// # Errors
    /// [`PipelineError`] with everything that is wrong, each with the step it is wrong with.
    pub fn build(self) -> Result<Pipeline, PipelineError> {
        let (mut steps, mut problems) = (Vec::new(), Vec::new());
        for step in self.steps.into_inner() {
            match step() {
                Ok(made) => steps.extend(made),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(PipelineError { problems });
        }
        Pipeline::builder(self.name).with(steps).build()
    }

    /// Adds a step that gives out records, made by `make` once it is known where they go.
    fn step<O: Clone + 'static, C: Computation + Sync>(
        &self,
        name: &str,
        make: impl FnOnce(Outlet<O>) -> Result<Step<C>, String> + 'static,
    ) -> Records<'_, O> {
        let node = Node::new();
        let (mine, name) = (node.clone(), name.to_owned());
        self.later(move || {
            let outlet = ended(mine.outlet(), format_args!("what step {name:?} gives"))?;
            Ok(make(outlet)?.into_steps())
        });
        Records::of(self, node)
    }

    /// What comes together must be of one flow: what one flow produces another cannot read.
    fn same(&self, other: &Self) {
        if !std::ptr::eq(self, other) {
            let problem = format!(
                "records of flow {:?} and of flow {:?} are merged or joined: one pipeline is one flow, read the source here too",
                self.name, other.name,
            );
            self.later(move || Err(problem));
        }
    }

    fn later(&self, step: impl FnOnce() -> Result<Vec<ErasedStep>, String> + 'static) {
        self.steps.borrow_mut().push(Box::new(step));
    }
}

/// Where the records of a producer go.
fn ended<T>(outlet: Option<T>, what: impl fmt::Display) -> Result<T, String> {
    outlet.ok_or_else(|| format!("nothing is done with {what}: end it with `.write(..)`"))
}

/// The chapter of the book, whose examples are tested with the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../docs/src/operators.md")]
struct Chapter;

#[cfg(test)]
pub(crate) mod disturbed;
#[cfg(test)]
mod tests;
