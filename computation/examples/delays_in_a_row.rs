//! A pattern: aircraft that left New York an hour late, or later, three times in a row.
//!
//!     cargo run --release --example delays_in_a_row -- --output target/delays_in_a_row

pub(crate) mod common;

use anyhow::Result;
use common::{Arguments, Flight, flights, lines};
use pelton::flow::Flow;
use pelton::pattern::{AfterMatch, Pattern};
use pelton::{JsonLinesSink, Pipeline};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    aircraft: String,
    from: String,
    to: String,
    delays: Vec<i64>,
}

pub(crate) fn build(arguments: &Arguments) -> Result<Pipeline> {
    let flow = Flow::new("delays-in-a-row");
    let late = |flight: &Flight| flight.delay().is_some_and(|minutes| minutes >= 60);
    flow.read(flights(arguments))
        .filter(|flight| flight.delay().is_some() && flight.tailnum.is_some())
        .key_by(|flight| flight.tailnum.as_deref().unwrap_or_default().into())
        .matches(
            "three-late",
            Pattern::begin("late", late)
                .times(3)
                .consecutive()
                .after_match(AfterMatch::SkipPastLastEvent)
                .ties_by(|flight: &Flight| flight.flight),
        )
        .map_with_key(|aircraft, found| Row {
            aircraft: aircraft.to_string(),
            from: found.began().to_string(),
            to: found.ended().to_string(),
            delays: found.of("late").iter().filter_map(Flight::delay).collect(),
        })
        .write("rows", |rows| JsonLinesSink::new(arguments.output.join("rows.jsonl"), rows));
    Ok(flow.build()?)
}

fn main() -> Result<()> {
    let rows = lines(&common::main(build)?.join("rows.jsonl"))?;
    println!("{} times an aircraft was an hour late three times in a row, such as", rows.len());
    rows.iter().take(5).for_each(|row| println!("  {row}"));
    Ok(())
}
