//! Pipelines: computations joined by named streams, checked before anything runs.
//!
//! | module | what |
//! |---|---|
//! | `step` | one computation with its inputs and options |
//! | `graph` | the checks, and the graph in words and as Mermaid |
//! | `changes` | computations that were removed or renamed |
//! | `replaced` | graphs that a newer one has replaced |
//! | `role` | what a step is to a run beside the pipeline |
//! | `catalogue` | the numbers that a store gives to names, and what may change between two runs |

mod catalogue;
mod changes;
mod graph;
pub(crate) mod replaced;
mod role;
mod step;

pub use catalogue::CatalogueError;
pub(crate) use catalogue::{Bound, ComputationSpec};
pub(crate) use changes::Changes;
pub use graph::{Graph, PipelineError};
pub(crate) use role::{Ingested, Kept, Role};
pub(crate) use step::OUTSIDE_STREAM;
pub use step::{ErasedStep, IntoSteps, RetryPolicy, Step, StepOptions};

use crate::codec::Codec;
use crate::publish::Publish;
use crate::stream::Stream;
use pelton_domain::Name;

/// A checked pipeline, ready to run.
#[derive(Debug)]
pub struct Pipeline {
    pub(crate) name: Name,
    pub(crate) steps: Vec<ErasedStep>,
    pub(crate) changes: Changes,
    graph: Graph,
}

impl Pipeline {
    /// Begins the pipeline `name`. Its state in a store hangs on that name.
    #[must_use]
    pub fn builder(name: impl Into<String>) -> PipelineBuilder {
        PipelineBuilder { name: name.into(), steps: Vec::new(), changes: Changes::default() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its graph.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }
}

/// Collects the steps of a pipeline.
#[derive(Debug)]
pub struct PipelineBuilder {
    name: String,
    steps: Vec<ErasedStep>,
    changes: Changes,
}

impl PipelineBuilder {
    /// Adds a step, or the steps of a source or sink.
    #[must_use]
    pub fn with(mut self, steps: impl IntoSteps) -> Self {
        self.steps.extend(steps.into_steps());
        self
    }

    /// Clients may subscribe to `stream`, under `name`: [`Publish`] with its defaults.
    #[must_use]
    pub fn publish<T: 'static, C: Codec<T>>(self, name: impl Into<String>, stream: &Stream<T, C>) -> Self {
        self.with(Publish::new(name, stream))
    }

    /// The computation `name`, which a store may know, is not part of the pipeline any more. Records that wait for it
    /// are dropped, its state stays in the store unused, and its name may be given to a new computation. It may be
    /// declared for as long as a store may know it.
    #[must_use]
    pub fn removes(mut self, name: impl Into<String>) -> Self {
        self.changes.removed.push(name.into());
        self
    }

    /// The computation that a store knows as `from` is now called `to`, and keeps its state, timers and records.
    #[must_use]
    pub fn renames(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.changes.renamed.push((from.into(), to.into()));
        self
    }

    /// A number that makes this graph another one than it was, 0 unless set. A worker whose graph a newer one has
    /// replaced is refused, so that an old program which starts again in the middle of an update does not take the
    /// pipeline back. To go back to such a graph on purpose, raise its revision.
    #[must_use]
    pub fn revision(mut self, revision: u32) -> Self {
        self.changes.revision = revision;
        self
    }

    /// Checks the graph.
    ///
    /// # Errors
    /// [`PipelineError`] with everything that is wrong, each with what to do.
    pub fn build(self) -> Result<Pipeline, PipelineError> {
        let graph = Graph::check(&self.name, &self.steps)?;
        let problems = self.changes.problems(&graph.computations());
        if !problems.is_empty() {
            return Err(PipelineError { problems });
        }
        let name = Name::new(&self.name).map_err(|error| PipelineError::one(error.to_string()))?;
        // Producers before consumers, so that everything that walks the steps walks the stream's way.
        let mut steps: Vec<Option<ErasedStep>> = self.steps.into_iter().map(Some).collect();
        let ordered = graph.order().iter().filter_map(|&at| steps.get_mut(at)?.take()).collect();
        Ok(Pipeline { name, steps: ordered, changes: self.changes, graph })
    }
}
