//! The graph of a pipeline: its checks, its order, and its looks.

use super::step::ErasedStep;
use crate::stream::{StreamType, dead_letters};
use pelton_domain::Name;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Everything that is wrong with a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pipeline cannot be built:\n{}", problems.iter().map(|p| format!("  - {p}")).collect::<Vec<_>>().join("\n"))]
pub struct PipelineError {
    /// What is wrong, each with what to do.
    pub problems: Vec<String>,
}

impl PipelineError {
    pub(crate) fn one(problem: String) -> Self {
        Self { problems: vec![problem] }
    }
}

/// Which computation produces and reads which stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    name: String,
    nodes: Vec<Node>,
    order: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    name: String,
    inputs: Vec<StreamType>,
    outputs: Vec<StreamType>,
    fused: Vec<String>,
}

impl Graph {
    pub(crate) fn check(name: &str, steps: &[ErasedStep]) -> Result<Self, PipelineError> {
        let read: BTreeSet<&str> = steps.iter().flat_map(|s| &s.inputs).map(|s| s.name.as_str()).collect();
        let nodes: Vec<Node> = steps
            .iter()
            .map(|step| {
                let mut outputs = step.declaration.outputs.clone();
                let letters = StreamType::from(&dead_letters(&step.name));
                if read.contains(letters.name.as_str()) {
                    outputs.push(letters);
                }
                let fused = step.declaration.fused.clone();
                Node { name: step.name.clone(), inputs: step.inputs.clone(), outputs, fused }
            })
            .collect();
        let mut problems = Vec::new();
        check_names(name, steps, &nodes, &mut problems);
        check_streams(&nodes, &mut problems);
        let order = match topological(&nodes) {
            Ok(order) => order,
            Err(cycle) => {
                problems.push(format!(
                    "the streams form a cycle: {cycle}; a pipeline is acyclic, cut one of them"
                ));
                Vec::new()
            }
        };
        if nodes.is_empty() {
            problems.push("it has no computation: add steps with `.with(..)`".into());
        }
        if problems.is_empty() {
            Ok(Self { name: name.to_owned(), nodes, order })
        } else {
            Err(PipelineError { problems })
        }
    }

    /// Positions of the steps, producers before consumers.
    pub(crate) fn order(&self) -> &[usize] {
        &self.order
    }

    /// The names of the computations, producers before consumers.
    #[must_use]
    pub fn computations(&self) -> Vec<&str> {
        self.order.iter().filter_map(|&at| self.nodes.get(at)).map(|node| node.name.as_str()).collect()
    }

    /// Every stream: its name, who produces it, and who reads it.
    #[must_use]
    pub fn streams(&self) -> Vec<(&str, Vec<&str>, Vec<&str>)> {
        let mut streams: BTreeMap<&str, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
        for node in &self.nodes {
            for output in &node.outputs {
                streams.entry(&output.name).or_default().0.push(&node.name);
            }
            for input in &node.inputs {
                streams.entry(&input.name).or_default().1.push(&node.name);
            }
        }
        streams.into_iter().map(|(name, (from, to))| (name, from, to)).collect()
    }

    /// The graph in words, one computation a line, and under it one for each way through steps fused into it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("pipeline {}\n", self.name);
        let list = |streams: &[StreamType]| {
            if streams.is_empty() {
                "-".to_owned()
            } else {
                streams.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ")
            }
        };
        for node in self.order.iter().filter_map(|&at| self.nodes.get(at)) {
            let _ = writeln!(text, "  {}: {} -> {}", node.name, list(&node.inputs), list(&node.outputs));
            for fused in &node.fused {
                let _ = writeln!(text, "    fused: {fused}");
            }
        }
        text
    }

    /// The graph as a Mermaid flowchart.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        let id = |name: &str| self.nodes.iter().position(|node| node.name == name).unwrap_or(0);
        for (at, node) in self.nodes.iter().enumerate() {
            let _ = writeln!(text, "    c{at}[\"{}\"]", node.name);
        }
        for (stream, from, to) in self.streams() {
            for producer in &from {
                for consumer in &to {
                    let _ = writeln!(text, "    c{} -- \"{stream}\" --> c{}", id(producer), id(consumer));
                }
            }
        }
        text
    }
}

fn check_names(pipeline: &str, steps: &[ErasedStep], nodes: &[Node], problems: &mut Vec<String>) {
    let mut check = |what: &str, name: &str| {
        if let Err(error) = Name::new(name) {
            problems.push(format!("{what}: {error}"));
        }
    };
    check("the pipeline", pipeline);
    for node in nodes {
        check("a computation", &node.name);
    }
    for step in steps {
        for cell in &step.declaration.cells {
            check(&format!("a cell of {}", step.name), cell.name);
        }
    }
    let mut seen = BTreeSet::new();
    for node in nodes {
        if !seen.insert(&node.name) {
            problems.push(format!(
                "two computations are named {:?}: state hangs on names, give each its own",
                node.name
            ));
        }
    }
    for step in steps {
        let mut seen = BTreeSet::new();
        for cell in &step.declaration.cells {
            if !seen.insert(cell.name) {
                problems.push(format!(
                    "{} declares cell {:?} twice: give each its own name",
                    step.name, cell.name
                ));
            }
        }
    }
}

fn check_streams(nodes: &[Node], problems: &mut Vec<String>) {
    let mut types: BTreeMap<&str, (&StreamType, &str)> = BTreeMap::new();
    for node in nodes {
        for stream in node.outputs.iter().chain(&node.inputs) {
            if let Err(error) = Name::new(&stream.name)
                && !stream.name.ends_with(".dead-letters")
            {
                problems.push(format!("a stream of {}: {error}", node.name));
            }
            let (first, owner) = types.entry(&stream.name).or_insert((stream, &node.name));
            if (first.type_name, first.codec) != (stream.type_name, stream.codec) {
                problems.push(format!(
                    "stream {:?} is {} ({}) at {owner} and {} ({}) at {}: use one `Stream` for both",
                    stream.name, first.type_name, first.codec, stream.type_name, stream.codec, node.name,
                ));
            }
        }
    }
    let produced: BTreeSet<&str> = nodes.iter().flat_map(|n| &n.outputs).map(|s| s.name.as_str()).collect();
    for node in nodes {
        for input in node.inputs.iter().filter(|input| !produced.contains(input.name.as_str())) {
            problems.push(format!(
                "{} reads stream {:?}, which nothing produces: add its producer, or declare it as an output there",
                node.name, input.name,
            ));
        }
    }
}

/// Positions in an order in which producers come first; or a cycle in words.
fn topological(nodes: &[Node]) -> Result<Vec<usize>, String> {
    let producers = |node: &Node| -> Vec<usize> {
        let feeds = |other: &Node| {
            other.outputs.iter().any(|out| node.inputs.iter().any(|input| input.name == out.name))
        };
        nodes.iter().enumerate().filter(|(_, other)| feeds(other)).map(|(at, _)| at).collect()
    };
    let mut order: Vec<usize> = Vec::new();
    while order.len() < nodes.len() {
        let ready = |at: &usize| {
            !order.contains(at)
                && nodes.get(*at).is_some_and(|n| producers(n).iter().all(|p| order.contains(p)))
        };
        match (0..nodes.len()).find(ready) {
            Some(next) => order.push(next),
            None => {
                let stuck = nodes
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| !order.contains(at))
                    .map(|(_, n)| n.name.as_str());
                return Err(stuck.collect::<Vec<_>>().join(", "));
            }
        }
    }
    Ok(order)
}
