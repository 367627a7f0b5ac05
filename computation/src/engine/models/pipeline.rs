//! The pipeline of the model: what comes from outside is passed on, and kept.

use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::engine::bundle::Processor;
use crate::engine::channel::Party;
use crate::engine::outbox::Routes;
use crate::failure::Failure;
use crate::pipeline::{Bound, Changes, ComputationSpec, ErasedStep, IntoSteps, Step};
use crate::stream::Stream;
use pelton_domain::{KeyPosition, Name};
use std::sync::{Arc, Mutex};

pub(super) const PIPELINE: &str = "modelled";

static IN: Stream<u64> = Stream::new("in");
static BETWEEN: Stream<u64> = Stream::new("between");

/// What comes from outside.
#[derive(Clone)]
struct Outside;

impl Computation for Outside {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.output(&IN);
    }

    async fn process(&mut self, _: &mut Context<'_>, _: Input<u64>) -> Result<(), Failure> {
        Ok(())
    }
}

#[derive(Clone)]
struct PassOn;

impl Computation for PassOn {
    type Input = u64;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.output(&BETWEEN);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        cx.emit(&BETWEEN, input.key.clone(), input.event_time, &input.value)
    }
}

/// Says which records have run.
#[derive(Clone, Default)]
struct Keep(Arc<Mutex<Vec<u64>>>);

impl Computation for Keep {
    type Input = u64;

    fn declare(&self, _: &mut Declaration) {}

    async fn process(&mut self, _: &mut Context<'_>, input: Input<u64>) -> Result<(), Failure> {
        self.0.lock().unwrap().push(input.value);
        Ok(())
    }
}

/// The two computations whose intervals are modelled, the producer first.
pub(super) struct Pipeline {
    pub(super) specs: [Arc<ComputationSpec>; 2],
    steps: [ErasedStep; 2],
    ran: Arc<Mutex<Vec<u64>>>,
}

impl Pipeline {
    pub(super) fn new() -> Self {
        let keep = Keep::default();
        let ran = keep.0.clone();
        let mut steps = Step::new("outside", Outside).into_steps();
        steps.extend(Step::new("producer", PassOn).reads(&IN).into_steps());
        steps.extend(Step::new("consumer", keep).reads(&BETWEEN).into_steps());
        let name = Name::new(PIPELINE).unwrap();
        let mut specs = Bound::new(&name, &steps, &Changes::default(), None).unwrap().specs;
        let mut spec = |name: &str| {
            let at = specs.iter().position(|spec| spec.name.as_str() == name).unwrap();
            Arc::new(specs.remove(at))
        };
        let specs = [spec("producer"), spec("consumer")];
        let mut step = |name: &str| {
            let at = steps.iter().position(|step| step.name == name).unwrap();
            steps.remove(at)
        };
        Self { specs, steps: [step("producer"), step("consumer")], ran }
    }

    pub(super) fn processor(&self, side: usize) -> Box<dyn Processor> {
        (self.steps[side].make)(&self.specs[side].inputs)
    }

    /// The records that have run at the consumer since this was last asked.
    pub(super) fn ran(&self) -> Vec<u64> {
        std::mem::take(&mut self.ran.lock().unwrap())
    }
}

/// The one owner of the consumer that a producer knows of.
#[derive(Clone, Copy)]
pub(super) struct Route(pub(super) Party);

impl Routes for Route {
    fn subscribers(&self, _: u32, _: u32) -> &[u32] {
        std::slice::from_ref(&self.0.address.computation)
    }

    fn owner(&self, _: u32, _: KeyPosition) -> Option<Party> {
        Some(self.0)
    }
}
