//! A case as it is written: a line of JSON, in a file that may be compressed by gzip.

use super::strategy::{AccumulationText, Seconds, TimestampText, TriggerText, Windows};
use anyhow::{Context, Result, ensure};
use flate2::read::MultiGzDecoder;
use pelton::window::Window;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_json::Value as Json;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;

/// One case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its number.
    pub case: u64,
    /// How records fall into windows.
    pub window: Windows,
    /// When these fire.
    pub trigger: TriggerText,
    /// What panes hold of what was told before.
    pub accumulation: AccumulationText,
    /// The event time of panes.
    pub timestamp_combiner: TimestampText,
    /// How long after its end a window takes records.
    pub allowed_lateness: Seconds,
    /// What happens.
    pub steps: Vec<Step>,
}

/// What happens, and what fires then.
#[derive(Clone, Debug)]
pub enum Step {
    /// A record comes.
    Element(ElementStep),
    /// The watermark advances.
    Watermark(WatermarkStep),
}

impl<'de> Deserialize<'de> for Step {
    /// By hand, so that what is wrong inside of a step is said, and not only that it is none.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let step = Json::deserialize(from)?;
        let made = match (step.get("element"), step.get("watermark")) {
            (Some(_), None) => serde_json::from_value(step).map(Self::Element),
            (None, Some(_)) => serde_json::from_value(step).map(Self::Watermark),
            _ => return Err(de::Error::custom("a step has either an `element` or a `watermark`")),
        };
        made.map_err(|error| de::Error::custom(format!("a step: {error}")))
    }
}

/// A record comes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElementStep {
    /// Its value.
    pub element: Json,
    /// Its event time.
    pub at: Seconds,
    /// What fires.
    pub panes: Vec<PaneText>,
}

/// The watermark advances.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatermarkStep {
    /// To there.
    pub watermark: Seconds,
    /// What fires.
    pub panes: Vec<PaneText>,
}

/// One firing. The order of its fields is that in which differences show them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct PaneText {
    /// From where to where, in microseconds; `None` for the global window.
    #[serde(deserialize_with = "present")]
    pub window: Option<(i64, i64)>,
    /// What is in it, sorted by its text.
    pub values: Vec<Json>,
    /// Its event time in microseconds; `None` for the end of the global window.
    #[serde(deserialize_with = "present")]
    pub timestamp: Option<i64>,
    /// Its number.
    pub index: u64,
    /// Its number among those that are not early; -1 for an early one.
    pub nonspeculative_index: i64,
    /// When it fires.
    pub timing: String,
    /// Whether it is the first.
    pub first: bool,
    /// Whether it is the last.
    pub last: bool,
}

/// A field that may be null, but not be missing.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(from)
}

impl PaneText {
    /// The window, as the engine has it.
    ///
    /// # Errors
    /// Where it is empty.
    pub fn window(&self) -> Result<Window, String> {
        self.window.map_or(Ok(Window::GLOBAL), Window::try_from)
    }
}

/// Reads a file of cases, each with the number of its line.
///
/// # Errors
/// Where it cannot be read, has no case, or a line is none: with the file, the line and the reason.
pub fn read(path: &Path) -> Result<Vec<(usize, Case)>> {
    let name = path.display();
    let mut file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    let mut cases = Vec::new();
    for (place, line) in lines(&mut file).with_context(|| format!("cannot read {name}"))?.enumerate() {
        let number = place + 1;
        let line = line.with_context(|| format!("{name}, line {number}: cannot be read"))?;
        if line.trim().is_empty() {
            continue;
        }
        let case: Case =
            serde_json::from_str(&line).with_context(|| format!("{name}, line {number}: is no case"))?;
        for (step, pane) in case.steps.iter().flat_map(Step::panes).enumerate() {
            pane.window().map_err(|reason| {
                anyhow::anyhow!("{name}, line {number}: pane {} of the case: {reason}", step + 1)
            })?;
        }
        case.trigger.trigger().check().with_context(|| format!("{name}, line {number}: no such trigger"))?;
        cases.push((number, case));
    }
    ensure!(!cases.is_empty(), "{name} has no case: it should have one JSON object a line");
    Ok(cases)
}

impl Step {
    /// What fires.
    #[must_use]
    pub fn panes(&self) -> &[PaneText] {
        match self {
            Self::Element(step) => &step.panes,
            Self::Watermark(step) => &step.panes,
        }
    }
}

/// The lines of a file, which is compressed if it begins like that.
fn lines(file: &mut File) -> std::io::Result<impl Iterator<Item = std::io::Result<String>> + '_> {
    let mut magic = Vec::new();
    file.by_ref().take(2).read_to_end(&mut magic)?;
    file.rewind()?;
    let bytes: Box<dyn BufRead + '_> = match magic[..] {
        [0x1f, 0x8b] => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        _ => Box::new(BufReader::new(file)),
    };
    Ok(bytes.lines())
}
