//! The catalogue: the numbers that a store gives to names, and what may change between two runs.
//!
//! Computations and streams are numbered once, and a number is never used again, so keys stay short and a
//! graph can change around its state. Whenever the graph differs from the stored one its version grows, and
//! the subscribers of every version are kept: a production goes to those of the version it was made under (I5).

use super::changes::{Changes, is_removed};
use super::replaced;
use super::step::{ErasedStep, StepOptions};
use crate::state::CellSpec;
use crate::stream::dead_letters;
use pelton_domain::Name;
use pelton_proto::store;
use std::collections::{BTreeMap, BTreeSet};

/// A computation bound to a store.
#[derive(Debug)]
pub(crate) struct ComputationSpec {
    pub(crate) name: Name,
    pub(crate) number: u32,
    pub(crate) graph_version: u32,
    pub(crate) cells: Vec<CellSpec>,
    pub(crate) cell_names: Vec<&'static str>,
    pub(crate) outputs: Vec<Output>,
    /// The number of its dead-letter stream, where something reads it.
    pub(crate) dead_letters: Option<u32>,
    /// The streams it reads, in the order of its inputs.
    pub(crate) inputs: Vec<u32>,
    /// The computations that produce those.
    pub(crate) producers: Vec<u32>,
    pub(crate) options: StepOptions,
}

/// A stream that a computation produces.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) stream: u32,
    pub(crate) subscribed: bool,
}

impl ComputationSpec {
    pub(crate) fn output(&self, name: &str) -> Option<&Output> {
        self.outputs.iter().find(|output| output.name == name)
    }

    /// The place of a cell in the declaration.
    pub(crate) fn cell(&self, name: &str) -> Option<u16> {
        let place = self.cell_names.iter().position(|cell| *cell == name)?;
        u16::try_from(place).ok()
    }
}

/// Why a pipeline cannot go on with what a store holds of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// A computation is gone.
    #[error(
        "the store has state of computation {name:?}, which this pipeline lacks: keep it, declare it with `.removes({name:?})` or `.renames({name:?}, ..)`, or start on another store"
    )]
    Removed {
        /// Its name.
        name: String,
    },
    /// A newer graph has taken this one's place.
    #[error(
        "this program's graph was replaced, and the store has version {graph_version}: run the newer program; to go back on purpose, raise `.revision(..)` in this one"
    )]
    Replaced {
        /// The version that the store has.
        graph_version: u32,
    },
    /// There are both.
    #[error(
        "computation {from:?} is declared as renamed to {to:?}, but the store has state of both: drop `.renames({from:?}, {to:?})` and declare one of them with `.removes(..)`, or choose a new name"
    )]
    RenamedOnto {
        /// The old name.
        from: String,
        /// The new one.
        to: String,
    },
    /// There is neither.
    #[error(
        "computation {from:?} is declared as renamed to {to:?}, and the store knows neither: correct the old name, or drop `.renames({from:?}, {to:?})`"
    )]
    RenamesNothing {
        /// The old name.
        from: String,
        /// The new one.
        to: String,
    },
    /// A cell became another kind.
    #[error(
        "cell {cell:?} of {computation} is a {stored} in the store and a {declared} in the code: give the new one another name"
    )]
    Kind {
        /// Which computation.
        computation: String,
        /// Which cell.
        cell: String,
        /// Its kind in the store.
        stored: String,
        /// Its kind in the code.
        declared: String,
    },
    /// The store was written by newer code.
    #[error(
        "cell {cell:?} of {computation} has schema version {stored} in the store and {declared} in the code: run the newer code"
    )]
    Newer {
        /// Which computation.
        computation: String,
        /// Which cell.
        cell: String,
        /// Its version in the store.
        stored: u32,
        /// Its version in the code.
        declared: u32,
    },
    /// There is no way from the stored version to the declared one.
    #[error(
        "cell {cell:?} of {computation} has schema version {stored} in the store and {declared} in the code, without migrations between them: declare them with `.schema({declared}, &[..])`"
    )]
    NoMigration {
        /// Which computation.
        computation: String,
        /// Which cell.
        cell: String,
        /// Its version in the store.
        stored: u32,
        /// Its version in the code.
        declared: u32,
    },
}

/// A pipeline bound to a store: the catalogue to write, and the specs.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) catalogue: store::Catalogue,
    pub(crate) specs: Vec<ComputationSpec>,
    /// Subscribers by graph version and stream; those removed since, too.
    pub(crate) subscribers: BTreeMap<(u32, u32), Vec<u32>>,
}

impl Bound {
    /// Binds `steps` to what the store knows, `None` where it knows nothing of the pipeline.
    pub(crate) fn new(
        pipeline: &Name,
        steps: &[ErasedStep],
        changes: &Changes,
        stored: Option<&store::Catalogue>,
    ) -> Result<Self, CatalogueError> {
        let before = stored.cloned().unwrap_or_default();
        let stored = changes.applied(before.clone());
        changes.check(&before, &stored)?;
        check_cells(steps, &stored)?;
        let mut computations = numbers(&stored.computations);
        let mut streams = numbers(&stored.streams);
        let letters = |step: &ErasedStep| dead_letters(&step.name).name().to_owned();
        let read: BTreeSet<String> = steps.iter().flat_map(|s| &s.inputs).map(|s| s.name.clone()).collect();
        for step in steps {
            number(&mut computations, &step.name);
            step.declaration.outputs.iter().for_each(|output| number(&mut streams, &output.name));
            if read.contains(&letters(step)) {
                number(&mut streams, &letters(step));
            }
        }
        let of = |map: &BTreeMap<String, u32>, name: &str| map.get(name).copied().unwrap_or(0);
        let mut current: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for step in steps {
            for input in &step.inputs {
                let readers = current.entry(of(&streams, &input.name)).or_default();
                readers.push(of(&computations, &step.name));
            }
        }
        current.values_mut().for_each(|readers| {
            readers.sort_unstable();
            readers.dedup();
        });
        let mut subscribers: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
        for entry in &stored.subscribers {
            subscribers.insert((entry.graph_version, entry.stream), entry.computations.clone());
        }
        let latest: BTreeMap<u32, Vec<u32>> = subscribers
            .iter()
            .filter(|((version, _), _)| *version == stored.graph_version)
            .map(|((_, stream), readers)| (*stream, readers.clone()))
            .collect();
        let same = stored.graph_version > 0
            && stored == before
            && latest == current
            && stored.computations.len() == computations.len();
        let graph_version = if same { stored.graph_version } else { stored.graph_version + 1 };
        subscribers
            .extend(current.iter().map(|(stream, readers)| ((graph_version, *stream), readers.clone())));
        let fingerprint = replaced::fingerprint(steps, changes.revision);
        let specs: Vec<ComputationSpec> = steps
            .iter()
            .filter_map(|step| spec(step, graph_version, &computations, &streams, &current, steps))
            .collect();
        let catalogue = store::Catalogue {
            pipeline: pipeline.to_string(),
            graph_version,
            computations: named(&computations),
            streams: named(&streams),
            cells: cells(steps),
            subscribers: subscribers
                .iter()
                .map(|((graph_version, stream), computations)| store::Subscribers {
                    graph_version: *graph_version,
                    stream: *stream,
                    computations: computations.clone(),
                })
                .collect(),
            graph: specs.iter().map(|spec| node(spec, graph_version, &stored)).collect(),
            fingerprint,
            replaced: if same { stored.replaced.clone() } else { replaced::after(&stored, fingerprint) },
        };
        Ok(Self { catalogue, specs, subscribers })
    }
}

fn node(spec: &ComputationSpec, graph_version: u32, stored: &store::Catalogue) -> store::GraphNode {
    let before = stored.graph.iter().find(|node| node.computation == spec.number);
    let knew = |before: &&store::GraphNode| {
        spec.producers.iter().all(|producer| before.producers.contains(producer))
            && spec.inputs.iter().all(|stream| before.inputs.contains(stream))
    };
    store::GraphNode {
        computation: spec.number,
        name: spec.name.to_string(),
        producers: spec.producers.clone(),
        inputs_since: before.filter(knew).map_or(graph_version, |before| before.inputs_since),
        inputs: spec.inputs.clone(),
    }
}

fn spec(
    step: &ErasedStep,
    graph_version: u32,
    computations: &BTreeMap<String, u32>,
    streams: &BTreeMap<String, u32>,
    current: &BTreeMap<u32, Vec<u32>>,
    steps: &[ErasedStep],
) -> Option<ComputationSpec> {
    let produces = |other: &ErasedStep, stream: &str| {
        other.declaration.outputs.iter().any(|output| output.name == stream)
            || dead_letters(&other.name).name() == stream
    };
    let mut producers: Vec<u32> = steps
        .iter()
        .filter(|other| step.inputs.iter().any(|input| produces(other, &input.name)))
        .filter_map(|other| computations.get(&other.name).copied())
        .collect();
    producers.sort_unstable();
    producers.dedup();
    let output = |stream: &crate::stream::StreamType| {
        let number = streams.get(&stream.name).copied()?;
        Some(Output { name: stream.name.clone(), stream: number, subscribed: current.contains_key(&number) })
    };
    Some(ComputationSpec {
        name: Name::new(&step.name).ok()?,
        number: computations.get(&step.name).copied()?,
        graph_version,
        cells: step.declaration.cells.clone(),
        cell_names: step.declaration.cells.iter().map(|cell| cell.name).collect(),
        outputs: step.declaration.outputs.iter().filter_map(output).collect(),
        dead_letters: streams
            .get(dead_letters(&step.name).name())
            .copied()
            .filter(|s| current.contains_key(s)),
        inputs: step.inputs.iter().filter_map(|input| streams.get(&input.name).copied()).collect(),
        producers,
        options: step.options.clone(),
    })
}

fn check_cells(steps: &[ErasedStep], stored: &store::Catalogue) -> Result<(), CatalogueError> {
    for computation in &stored.computations {
        if !is_removed(&computation.name) && !steps.iter().any(|step| step.name == computation.name) {
            return Err(CatalogueError::Removed { name: computation.name.clone() });
        }
    }
    for cell in &stored.cells {
        let declared = steps
            .iter()
            .filter(|step| step.name == cell.computation)
            .flat_map(|step| &step.declaration.cells)
            .find(|declared| declared.name == cell.name);
        let Some(declared) = declared else { continue };
        let (computation, name) = (cell.computation.clone(), cell.name.clone());
        let (stored, known) = (cell.schema_version, u32::from(declared.version));
        if declared.kind.as_str() != cell.kind {
            let (stored, declared) = (cell.kind.clone(), declared.kind.as_str().to_owned());
            return Err(CatalogueError::Kind { computation, cell: name, stored, declared });
        }
        if stored > known {
            return Err(CatalogueError::Newer { computation, cell: name, stored, declared: known });
        }
        if !declared.migrates_from(u16::try_from(stored).unwrap_or(u16::MAX)) {
            return Err(CatalogueError::NoMigration { computation, cell: name, stored, declared: known });
        }
    }
    Ok(())
}

fn cells(steps: &[ErasedStep]) -> Vec<store::Cell> {
    let cell = |step: &ErasedStep, cell: &CellSpec| store::Cell {
        computation: step.name.clone(),
        name: cell.name.to_owned(),
        kind: cell.kind.as_str().to_owned(),
        schema_version: u32::from(cell.version),
    };
    steps.iter().flat_map(|step| step.declaration.cells.iter().map(move |c| cell(step, c))).collect()
}

fn numbers(named: &[store::NamedNumber]) -> BTreeMap<String, u32> {
    named.iter().map(|entry| (entry.name.clone(), entry.number)).collect()
}

fn number(map: &mut BTreeMap<String, u32>, name: &str) {
    let next = map.values().max().map_or(1, |highest| highest + 1);
    map.entry(name.to_owned()).or_insert(next);
}

fn named(map: &BTreeMap<String, u32>) -> Vec<store::NamedNumber> {
    map.iter().map(|(name, number)| store::NamedNumber { name: name.clone(), number: *number }).collect()
}
