//! A case through the engine, and what is different.

use super::format::{Case, PaneText, Step};
use super::strategy::Windows;
use anyhow::{Context, Result};
use pelton::testing::{Harness, Output};
use pelton::window::aggregators::Collect;
use pelton::window::{
    Closing, FixedWindows, GlobalWindow, Pane, Sessions, SlidingWindows, Strategy, Window, WindowFn, Windowed,
};
use pelton::{Key, Stream};
use serde_json::Value as Json;

/// The records of a case: the text of their JSON.
static ELEMENTS: Stream<String> = Stream::new("elements");
/// Its panes.
static PANES: Stream<Pane<Vec<String>>> = Stream::new("panes");
/// The one key.
const KEY: &str = "key";

/// Where, in a case, the process dies and starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crashes {
    /// Nowhere.
    None,
    /// After each step.
    EveryStep,
    /// In each step, between its commit and the news of it.
    EveryCommit,
}

/// Runs a case, and tells each difference in words; none where all panes are as they should be.
///
/// # Errors
/// Where the engine refuses the case, such as a watermark that goes back.
pub fn differences(case: &Case, crashes: Crashes) -> Result<Vec<String>> {
    let mut harness = harness(case).with_context(|| format!("case {}", case.case))?;
    let mut found = Vec::new();
    for (place, step) in case.steps.iter().enumerate() {
        let at = || format!("case {}, step {}", case.case, place + 1);
        let panes = take(&mut harness, step, crashes).with_context(at)?;
        compare(step.panes(), panes, |what, pane| {
            let text = serde_json::to_string(&pane).unwrap_or_else(|error| error.to_string());
            found.push(format!("{}: {what} {text}", at()));
        });
    }
    Ok(found)
}

fn harness(case: &Case) -> Result<Harness> {
    match case.window {
        Windows::Fixed { size, offset } => {
            with(case, FixedWindows::of(size.0).offset(offset.as_offset(size)))
        }
        Windows::Sliding { size, period, offset } => {
            with(case, SlidingWindows::of(size.0, period.0).offset(offset.as_offset(period)))
        }
        Windows::Sessions { gap } => with(case, Sessions::with_gap(gap.0)),
        Windows::Global => with(case, GlobalWindow),
    }
}

/// The reference keeps a window for ever and tells nothing at its end: so does this strategy.
fn with(case: &Case, windows: impl WindowFn<String>) -> Result<Harness> {
    let strategy = Strategy {
        trigger: case.trigger.trigger(),
        accumulation: case.accumulation.into(),
        allowed_lateness: case.allowed_lateness.as_duration(),
        timestamps: case.timestamp_combiner.into(),
        closing: Closing::Discard,
        ..Strategy::default()
    };
    let step = Windowed::by(windows, Collect::new()).strategy(strategy).step("windows", &ELEMENTS, &PANES)?;
    Ok(Harness::new(step)?)
}

fn take(harness: &mut Harness, step: &Step, crashes: Crashes) -> Result<Vec<PaneText>> {
    if crashes == Crashes::EveryCommit {
        harness.hold_commits();
    }
    match step {
        Step::Element(step) => {
            harness.push(&ELEMENTS, KEY, step.at.as_time(), &step.element.to_string())?;
        }
        Step::Watermark(step) => harness.advance_watermark(step.watermark.as_time())?,
    }
    match crashes {
        Crashes::None => {}
        Crashes::EveryStep => harness.crash()?,
        Crashes::EveryCommit => harness.crash_after_commit()?,
    }
    harness.output(&PANES)?.into_iter().map(text).collect()
}

/// A pane as cases write it.
fn text(output: Output<Pane<Vec<String>>>) -> Result<PaneText> {
    let Output { value: pane, event_time, key, .. } = output;
    anyhow::ensure!(key == Key::from(KEY), "a pane of another key: {key}");
    let Pane { window, value, info, .. } = pane;
    let values: Vec<Json> = value.iter().map(|text| serde_json::from_str(text)).collect::<Result<_, _>>()?;
    let global = window == Window::GLOBAL;
    Ok(PaneText {
        window: (!global).then_some(window.into()),
        values: sorted(values),
        timestamp: (!global || event_time != window.latest()).then_some(event_time.as_micros()),
        index: info.index,
        nonspeculative_index: info.nonspeculative_index.map_or(Ok(-1), i64::try_from)?,
        timing: info.timing.as_str().to_owned(),
        first: info.first,
        last: info.last,
    })
}

fn sorted(mut values: Vec<Json>) -> Vec<Json> {
    values.sort_by_cached_key(Json::to_string);
    values
}

/// Tells what is missing and what is unexpected, whatever the order.
fn compare(expected: &[PaneText], mut found: Vec<PaneText>, mut tell: impl FnMut(&str, PaneText)) {
    for pane in expected {
        let pane = PaneText { values: sorted(pane.values.clone()), ..pane.clone() };
        match found.iter().position(|other| *other == pane) {
            Some(place) => drop(found.swap_remove(place)),
            None => tell("missing", pane),
        }
    }
    for pane in found {
        tell("unexpected", pane);
    }
}
