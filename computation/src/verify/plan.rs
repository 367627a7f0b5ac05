//! What of a pipeline runs in its shadow, and what is compared: decided from what each step is, without I/O.

use super::VerifyError;
use crate::pipeline::{ErasedStep, Ingested, Role};
use crate::recording::Played;
use crate::state::CellSpec;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is to be run and compared.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The steps of the shadow.
    pub(super) steps: Vec<ErasedStep>,
    pub(super) compared: Vec<Compared>,
    /// What is not compared, each with the reason.
    pub(super) not_compared: Vec<(String, &'static str)>,
}

/// What is compared of a computation, beside its dead letters.
#[derive(Clone, Debug)]
pub(super) struct Compared {
    pub(super) computation: String,
    /// Its state and timers are, of these cells.
    pub(super) cells: Option<Vec<CellSpec>>,
    /// It makes the lines of this file.
    pub(super) lines: Option<PathBuf>,
}

/// The streams of a pipeline that come from outside, each with the computation that appends.
pub(super) fn ingested(steps: &[ErasedStep]) -> Vec<(String, Ingested)> {
    let of = |step: &ErasedStep| match &step.role {
        Role::Ingest(ingested) => Some((step.name.clone(), ingested.clone())),
        _ => None,
    };
    steps.iter().filter_map(of).collect()
}

impl Plan {
    /// `played` has the recording of each stream from outside; `left_out` is neither run nor compared.
    pub(super) fn of(
        steps: Vec<ErasedStep>,
        mut played: BTreeMap<String, Played>,
        left_out: &[String],
    ) -> Result<Self, VerifyError> {
        if let Some(name) = left_out.iter().find(|name| !steps.iter().any(|step| step.name == **name)) {
            let known = steps.iter().map(|step| step.name.clone()).collect();
            return Err(VerifyError::NoSuch { name: name.clone(), known });
        }
        let mut plan = Self::default();
        for step in steps {
            let name = step.name.clone();
            if left_out.contains(&name) {
                plan.not_compared.push((name, "it is left out"));
                continue;
            }
            plan.add(step, name, &mut played)?;
        }
        Ok(plan)
    }

    fn add(
        &mut self,
        step: ErasedStep,
        computation: String,
        played: &mut BTreeMap<String, Played>,
    ) -> Result<(), VerifyError> {
        let (mut cells, mut lines) = (None, None);
        match step.role.clone() {
            Role::Own if step.options.stable_input => {
                return Err(VerifyError::ActsOutside { computation });
            }
            Role::Own => {
                cells = Some(step.declaration.cells.clone());
                let expire = step.declaration.cells.iter().filter(|cell| cell.expires_after.is_some());
                self.not_compared
                    .extend(expire.map(|cell| (format!("{computation}, cell {}", cell.name), "it expires")));
                self.steps.push(step);
            }
            Role::Source => self.steps.push(step),
            Role::Format(kept) => {
                lines = Some(kept.target.clone());
                self.steps.extend((kept.keep)());
            }
            Role::Ingest(ingested) => {
                let stream = ingested.stream;
                let recording = played.remove(&stream).ok_or(VerifyError::NotRecorded { stream })?;
                self.steps.extend((ingested.play)(recording));
                return Ok(());
            }
            Role::Write | Role::Clock => return Ok(()),
        }
        self.compared.push(Compared { computation, cells, lines });
        Ok(())
    }
}
