mod graphs;
mod operators;

use super::*;
use crate::pipeline::PipelineError;
use crate::window::aggregators::Count;
use crate::window::{FixedWindows, Trigger};
use crate::{EventTime, JsonLinesSink, JsonLinesSource, Key, Stream};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

static NUMBERS: Stream<u32> = Stream::new("numbers");

fn numbers(folder: &Path) -> JsonLinesSource<u32> {
    let file = folder.join("numbers.jsonl");
    std::fs::write(&file, "1\n2\n").unwrap();
    JsonLinesSource::new(file, &NUMBERS)
        .key(|_| "all".into())
        .event_time(|n| EventTime::from_secs(i64::from(*n)))
}

fn minutes() -> FixedWindows {
    FixedWindows::of(Duration::from_secs(60))
}

fn built(say: impl FnOnce(&Flow, &TempDir)) -> Result<Pipeline, PipelineError> {
    let folder = tempfile::tempdir().unwrap();
    let flow = Flow::new("flow");
    say(&flow, &folder);
    flow.build()
}

fn parity(n: &u32) -> Key {
    (if n.is_multiple_of(2) { "even" } else { "odd" }).into()
}

#[test]
fn steps_without_a_key_are_fused_and_make_no_computation() {
    let pipeline = built(|flow, folder| {
        let numbers = flow.read(numbers(folder.path())).map(|n| n + 1).filter(|n| *n > 1);
        let panes =
            numbers.flat_map(|n| [n, n]).key_by(parity).window(minutes()).aggregate("count", Count::new());
        panes.map(|pane| pane.value).write("counts", |to| JsonLinesSink::new(folder.path().join("out"), to));
        numbers.write("all", |to| JsonLinesSink::new(folder.path().join("all"), to));
    });
    let pipeline = pipeline.unwrap();
    let mut computations = pipeline.graph().computations();
    computations.sort_unstable();
    let expected = [
        "all.format",
        "all.write",
        "count",
        "counts.format",
        "counts.write",
        "numbers.read",
        "numbers.splits",
    ];
    assert_eq!(computations, expected);
    let text = pipeline.graph().to_text();
    for fused in ["map, filter, flat_map, key_by -> count.in", "map, filter -> all", "map -> counts"] {
        assert!(text.contains(&format!("    fused: {fused}\n")), "{text}");
    }
    let streams = pipeline.graph().streams();
    let of_source: Vec<&str> = streams
        .iter()
        .filter(|(_, from, _)| from.contains(&"numbers.read"))
        .map(|(name, ..)| *name)
        .collect();
    assert_eq!(
        of_source,
        ["all", "count.in"],
        "the source feeds both branches, and has no stream of its own"
    );
}

#[test]
fn what_is_wrong_is_said_by_the_name_of_its_step() {
    let error = built(|flow, folder| {
        flow.read(numbers(folder.path()));
    });
    assert!(error.unwrap_err().to_string().contains("what source \"numbers\" reads: end it with"));
    let error = built(|flow, folder| {
        let keyed = flow.read(numbers(folder.path())).key_by(parity);
        let trigger = Trigger::after_all([]);
        keyed
            .window(minutes())
            .trigger(trigger)
            .aggregate("all", Count::new())
            .send(&Stream::<_>::named("panes"));
    });
    assert!(error.unwrap_err().to_string().contains("step \"all\": AfterAll of no triggers never fires"));
    let error = built(|flow, folder| {
        let numbers = flow.read(numbers(folder.path()));
        numbers.key_by(parity).window(minutes()).aggregate("lost", Count::new());
    });
    assert!(error.unwrap_err().to_string().contains("nothing is done with the panes of step \"lost\""));
    let error = built(|flow, _| {
        let missing = JsonLinesSource::<u32>::new("/nowhere/numbers.jsonl", &NUMBERS).key(|_| "all".into());
        flow.read(missing).send(&Stream::<_>::named("gone"));
    });
    assert!(error.unwrap_err().to_string().contains("source \"numbers\": "));
}

#[test]
fn two_steps_of_one_name_are_refused() {
    let error = built(|flow, folder| {
        let numbers = flow.read(numbers(folder.path()));
        for name in ["a", "b"] {
            let panes = numbers.key_by(parity).window(minutes()).aggregate("twice", Count::new());
            panes.send(&Stream::<_>::named(name));
        }
    });
    assert!(error.unwrap_err().to_string().contains("twice"));
}
