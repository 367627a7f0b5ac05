//! Top-n with early panes: where most flights from New York go, hour by hour. While an hour goes on, what is known of
//! it is told now and then; once the watermark has passed its end, the last word.
//!
//!     cargo run --release --example busiest_airports -- --output target/busiest_airports

pub(crate) mod common;

use anyhow::Result;
use common::{Arguments, HOUR, flights, lines};
use pelton::flow::Flow;
use pelton::window::aggregators::Count;
use pelton::window::{Accumulation, Aggregator, FixedWindows, Trigger};
use pelton::{JsonLinesSink, Pipeline};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Busiest {
    hour: String,
    timing: String,
    airports: Vec<(u64, String)>,
}

/// The airports with the highest counts, of which each comes several times and grows.
#[derive(Clone)]
struct Top(usize);

impl Aggregator for Top {
    type Input = (String, u64);
    type Accumulator = BTreeMap<String, u64>;
    type Output = Vec<(u64, String)>;

    fn create(&self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }

    fn add(&self, counts: &mut BTreeMap<String, u64>, (airport, count): &(String, u64)) {
        let known = counts.entry(airport.clone()).or_default();
        *known = (*known).max(*count);
    }

    fn merge(&self, counts: &mut BTreeMap<String, u64>, other: BTreeMap<String, u64>) {
        other.into_iter().for_each(|count| self.add(counts, &count));
    }

    fn output(&self, counts: &BTreeMap<String, u64>) -> Vec<(u64, String)> {
        let mut all: Vec<(u64, String)> = counts.iter().map(|(airport, n)| (*n, airport.clone())).collect();
        all.sort_by_key(|(count, airport)| (Reverse(*count), airport.clone()));
        all.truncate(self.0);
        all
    }
}

pub(crate) fn build(arguments: &Arguments) -> Result<Pipeline> {
    let flow = Flow::new("busiest-airports");
    let early = |records| Trigger::after_watermark().early(Trigger::after_count(records));
    flow.read(flights(arguments))
        .key_by(|flight| flight.dest.as_str().into())
        .window(FixedWindows::of(HOUR))
        .trigger(early(2))
        .accumulation(Accumulation::Accumulating)
        .aggregate("count", Count::new())
        .map_with_key(|airport, pane| (airport.to_string(), pane.value))
        .key_by(|_| "all".into())
        .window(FixedWindows::of(HOUR))
        .trigger(early(20))
        .accumulation(Accumulation::Accumulating)
        .aggregate("top", Top(5))
        .map(|pane| Busiest {
            hour: pane.window.start().to_string(),
            timing: pane.info.timing.as_str().to_owned(),
            airports: pane.value,
        })
        .write("busiest", |busiest| JsonLinesSink::new(arguments.output.join("busiest.jsonl"), busiest));
    Ok(flow.build()?)
}

fn main() -> Result<()> {
    let panes = lines(&common::main(build)?.join("busiest.jsonl"))?;
    println!("{} panes; those of the last hour:", panes.len());
    let hour = panes.last().map(|line| line.chars().take(30).collect::<String>()).unwrap_or_default();
    panes.iter().filter(|line| line.starts_with(&hour)).for_each(|line| println!("  {line}"));
    Ok(())
}
