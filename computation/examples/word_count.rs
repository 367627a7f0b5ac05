//! Counting words: how often each is said in each minute of a scene, and how many each speaker says in one go. The book's
//! chapter "Windows, step by step" comes to this.
//!
//!     cargo run --release --example word_count -- --output target/word_count

pub(crate) mod common;

use anyhow::Result;
use common::{Arguments, data, lines};
use pelton::flow::Flow;
use pelton::window::aggregators::{Count, Sum};
use pelton::window::{Accumulation, Aggregator, FixedWindows, Sessions, Trigger};
use pelton::{EventTime, JsonLinesSink, JsonLinesSource, Pipeline, Stream};
use std::time::Duration;

/// What is said: the second, the speaker and the line.
type Said = (i64, String, String);

static SAID: Stream<Said> = Stream::new("said");

/// The words of a line, as they are counted.
fn words(line: &str) -> Vec<String> {
    let words = line.split(|c: char| !c.is_alphanumeric() && c != '\'');
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

pub(crate) fn build(arguments: &Arguments) -> Result<Pipeline> {
    let input = arguments.input.clone().unwrap_or_else(|| data("hamlet.jsonl"));
    let said = JsonLinesSource::<Said>::new(input, &SAID)
        .key(|(_, speaker, _)| speaker.as_str().into())
        .event_time(|(second, ..)| EventTime::from_secs(*second))
        .disorder(Duration::from_secs(30));
    let flow = Flow::new("word-count");
    let said = flow.read(said);

    said.flat_map(|(_, _, line)| words(&line))
        .key_as(String::clone)
        .window(FixedWindows::of(Duration::from_secs(60)))
        .aggregate("minutes", Count::new())
        .map_with_key(|word, pane| (pane.window.start().to_string(), word.to_string(), pane.value))
        .write("minutes.out", |counts| JsonLinesSink::new(arguments.output.join("minutes.jsonl"), counts));

    said.map(|(_, speaker, line)| (speaker, words(&line).len() as u64))
        .key_as(|(speaker, _)| speaker.clone())
        .window(Sessions::with_gap(Duration::from_secs(20)))
        .trigger(Trigger::after_watermark().early(Trigger::after_count(2)).late(Trigger::after_count(1)))
        .accumulation(Accumulation::Retracting)
        .allowed_lateness(Duration::from_secs(60))
        .aggregate("turns", Sum::<u64>::new().of(|(_, words): &(String, u64)| *words))
        .map_with_key(|speaker, pane| {
            let (from, to) = (pane.window.start().to_string(), pane.window.end().to_string());
            let sign = if pane.retraction { "taken back" } else { pane.info.timing.as_str() };
            (speaker.to_string(), from, to, sign.to_owned(), pane.value as u64)
        })
        .write("turns.out", |turns| JsonLinesSink::new(arguments.output.join("turns.jsonl"), turns));
    Ok(flow.build()?)
}

fn main() -> Result<()> {
    let output = common::main(build)?;
    let counts = lines(&output.join("minutes.jsonl"))?;
    println!("{} words and minutes; and who speaks for how long:", counts.len());
    lines(&output.join("turns.jsonl"))?.iter().for_each(|line| println!("  {line}"));
    Ok(())
}
