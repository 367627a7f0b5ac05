//! Orders from outside, counted for each customer: the smallest pipeline that ingests.
//!
//! Each order is a line of JSON with a customer. `tests/python/ingest.py` appends them.

use pelton::codec::Json;
use pelton::{
    Computation, Context, Declaration, Failure, Ingest, Input, JsonLinesSink, Pipeline, Step, Stream, Value,
};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

static ORDERS: Stream<Order, Json> = Stream::new("orders");
static COUNTS: Stream<Count> = Stream::new("counts");
static ORDERED: Value<u64> = Value::new("ordered");

#[derive(Serialize, Deserialize)]
struct Order {
    customer: String,
}

#[derive(Serialize, Deserialize)]
struct Count {
    customer: String,
    orders: u64,
}

#[derive(Clone)]
struct Counting;

impl Computation for Counting {
    type Input = Order;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&ORDERED).output(&COUNTS);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Order>) -> Result<(), Failure> {
        let orders = ORDERED.get(cx).await?.unwrap_or(0) + 1;
        ORDERED.set(cx, &orders)?;
        let count = Count { customer: input.value.customer, orders };
        cx.emit(&COUNTS, input.key, input.event_time, &count)
    }
}

#[derive(clap::Args)]
struct Arguments {
    /// The file that gets a line for each order: its customer, and which of that customer's it is.
    #[arg(long)]
    output: PathBuf,
}

fn main() -> ExitCode {
    pelton::cli::main(|arguments: &Arguments| -> Result<Pipeline, Box<dyn Error + Send + Sync>> {
        let sink = JsonLinesSink::new(&arguments.output, &COUNTS);
        sink.validate()?;
        let count = Step::new("count", Counting).reads(&ORDERS);
        Ok(Pipeline::builder("orders").with(Ingest::new(&ORDERS)).with(count).with(sink).build()?)
    })
}
