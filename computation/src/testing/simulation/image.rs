//! What a pipeline has come to, as the store has it: the state of every key, and what was given up.
//!
//! Two runs of a deterministic pipeline over the same input have the same image, whatever happened to them (I12). What
//! depends on when and where something ran is left out: places in lists, system times, attempts, the engine's own rows;
//! and the state of what only keeps or writes records in the order of their arrival, which is judged by what it gives.

use crate::pipeline::{ErasedStep, Pipeline, Role};
use crate::recording::read::CELL as RECORDING;
use crate::state::Envelope;
use bytes::Bytes;
use pelton_proto::{Message, store};
use pelton_statestore::PipelineKeys;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Which cell of which key of which computation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellAddress {
    /// The computation's name.
    pub computation: String,
    /// The key.
    pub key: Bytes,
    /// The window, or empty.
    pub namespace: Bytes,
    /// The cell's name; empty for dead letters.
    pub cell: Bytes,
}

impl fmt::Display for CellAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { computation, key, namespace, cell } = self;
        write!(f, "{computation}, key {key:?}")?;
        if !namespace.is_empty() {
            write!(f, ", window {namespace:?}")?;
        }
        if cell.is_empty() { f.write_str(", dead letters") } else { write!(f, ", cell {cell:?}") }
    }
}

/// One entry of a cell: its sub-key, where that is the user's, and its value.
pub type Entry = (Bytes, Bytes);

/// The state of a whole pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image(pub BTreeMap<CellAddress, Vec<Entry>>);

/// A cell that is not the same in two images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which.
    pub at: CellAddress,
    /// What it should be.
    pub expected: Vec<Entry>,
    /// What it is.
    pub found: Vec<Entry>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {:?}, found {:?}", self.at, self.expected, self.found)
    }
}

impl Image {
    /// The image of `pipeline` in the rows of a store.
    ///
    /// # Errors
    /// In words, where a row cannot be read.
    pub fn read(pipeline: &Pipeline, rows: &[(Bytes, Bytes)]) -> Result<Self, String> {
        let keys = PipelineKeys::new(pipeline.name());
        let by_arrival = by_arrival(pipeline);
        let catalogue = rows.iter().find(|(key, _)| *key == keys.catalogue());
        let Some((_, catalogue)) = catalogue else { return Ok(Self::default()) };
        let catalogue = store::Catalogue::decode(catalogue.clone()).map_err(|error| error.to_string())?;
        let mut image = Self::default();
        for computation in &catalogue.computations {
            let of = keys.computation(computation.number);
            let everything = of.range();
            let cells = catalogue.cells.iter().filter(|cell| cell.computation == computation.name);
            let ordered = cells.filter(|cell| matches!(cell.kind.as_str(), "bag" | "list"));
            let ordered: BTreeSet<&[u8]> = ordered.map(|cell| cell.name.as_bytes()).collect();
            for (key, value) in rows.iter().filter(|(key, _)| everything.contains(key)) {
                let entry = match of.kind(key) {
                    b's' => state_entry(&of, &computation.name, &ordered, (key, value))?,
                    b'x' => dead_letter(&of, &computation.name, key, value)?,
                    _ => continue,
                };
                if !by_arrival(&entry.0) {
                    image.0.entry(entry.0).or_default().push(entry.1);
                }
            }
        }
        // What a key gave up, and what a bag holds, is in no order.
        for (at, entries) in &mut image.0 {
            if at.cell.is_empty() {
                entries.sort();
            }
        }
        Ok(image)
    }

    /// Takes up files, by name: their lines, in whatever order they are.
    pub(crate) fn add_files(&mut self, files: &BTreeMap<String, Vec<u8>>) {
        for (name, content) in files {
            let at = CellAddress {
                computation: "a file".to_owned(),
                key: Bytes::copy_from_slice(name.as_bytes()),
                namespace: Bytes::new(),
                cell: Bytes::from_static(b"lines"),
            };
            let lines = content.split_inclusive(|byte| *byte == b'\n');
            let mut lines: Vec<Entry> =
                lines.map(|line| (Bytes::new(), Bytes::copy_from_slice(line))).collect();
            lines.sort();
            self.0.insert(at, lines);
        }
    }

    /// Where `found` differs from this one.
    #[must_use]
    pub fn differences(&self, found: &Self) -> Vec<Difference> {
        let mut addresses: Vec<&CellAddress> = self.0.keys().chain(found.0.keys()).collect();
        addresses.sort();
        addresses.dedup();
        let entries = |image: &Self, at: &CellAddress| image.0.get(at).cloned().unwrap_or_default();
        let differences = addresses.into_iter().map(|at| Difference {
            at: at.clone(),
            expected: entries(self, at),
            found: entries(found, at),
        });
        differences.filter(|difference| difference.expected != difference.found).collect()
    }
}

/// Whether a cell depends on the order in which records of different keys arrive: what it has is judged elsewhere.
fn by_arrival(pipeline: &Pipeline) -> impl Fn(&CellAddress) -> bool {
    let names = |of: fn(&ErasedStep) -> bool| -> BTreeSet<String> {
        pipeline.steps.iter().filter(|step| of(step)).map(|step| step.name.clone()).collect()
    };
    let keeps = names(|step| step.options.publishes.is_some() || matches!(step.role, Role::Write));
    let takes = names(|step| matches!(step.role, Role::Ingest(_)));
    move |at| {
        let recording = at.cell == RECORDING.as_bytes() && takes.contains(&at.computation);
        !at.cell.is_empty() && (recording || keeps.contains(&at.computation))
    }
}

fn state_entry(
    of: &pelton_statestore::ComputationKeys,
    computation: &str,
    ordered: &BTreeSet<&[u8]>,
    (key, value): (&Bytes, &Bytes),
) -> Result<(CellAddress, Entry), String> {
    let address = of.read_state(key).map_err(|error| error.to_string())?;
    let payload = Envelope::open(value).map_err(|error| error.to_string())?.payload;
    // A bag's and a list's sub-keys are places that the engine chose.
    let sub_key = if ordered.contains(address.cell.as_ref()) { Bytes::new() } else { address.sub_key };
    let at = CellAddress {
        computation: computation.to_owned(),
        key: address.key.to_bytes(),
        namespace: address.namespace,
        cell: address.cell,
    };
    Ok((at, (sub_key, payload)))
}

fn dead_letter(
    of: &pelton_statestore::ComputationKeys,
    computation: &str,
    key: &Bytes,
    value: &Bytes,
) -> Result<(CellAddress, Entry), String> {
    let (of_key, _) = of.read_dead_letter(key).map_err(|error| error.to_string())?;
    let letter = store::DeadLetter::decode(value.clone()).map_err(|error| error.to_string())?;
    let at = CellAddress {
        computation: computation.to_owned(),
        key: of_key.to_bytes(),
        namespace: Bytes::new(),
        cell: Bytes::new(),
    };
    Ok((at, (letter.error.into(), letter.value)))
}
