//! Records from outside: several clients append to one stream, and are killed and started again as workers are.
//!
//! What would show: a record that was answered and is not there, one that is there twice (I4, I6), records of one client
//! out of order (I9), an end of the stream that overtakes a record (I7, I10).

use crate::workload::at;
use pelton::client::{IngestClient, NewRecord};
use pelton::codec::Json;
use pelton::testing::simulation::{ClientError, ClientMachine, Simulation};
use pelton::{
    Computation, Context, Declaration, EventTime, Failure, Fired, Ingest, Input, Map, Pipeline, Step, Stream,
    Timer, Value,
};
use std::time::Duration;

const CLIENTS: [&str; 3] = ["ann", "bob", "cyd"];
/// Orders of each client.
const ORDERS_EACH: u64 = 80;
/// How many a client appends at a time, and how many of them are one request.
const CHUNK: u64 = 16;
const REQUEST: usize = 3;
const PAUSE: Duration = Duration::from_millis(250);
const ACCOUNTS: u64 = 5;

/// Who ordered, and the number among the orders of that client.
type Order = (String, u64);

static ORDERS: Stream<Order, Json> = Stream::new("orders");

/// Three clients, of whom the last finishes the stream.
#[must_use]
pub(super) fn ingested() -> Simulation {
    let simulation = Simulation::new(pipeline);
    CLIENTS.into_iter().fold(simulation, |simulation, name| simulation.client(move |here| orders(here, name)))
}

#[expect(clippy::expect_used, reason = "the graph is fixed")]
fn pipeline() -> Pipeline {
    // No order is late: what the answer is does not depend on the clock.
    let always = Duration::from_secs(100 * 365 * 24 * 3600);
    Pipeline::builder("ingested")
        .with(Ingest::new(&ORDERS).disorder(always).intervals(2))
        .with(Step::new("account", Account).reads(&ORDERS).intervals(3))
        .build()
        .expect("a sound graph")
}

fn record(name: &str, number: u64) -> Result<NewRecord, ClientError> {
    let order: Order = (name.to_owned(), number);
    Ok(NewRecord {
        id: number.to_string().into(),
        key: (number % ACCOUNTS).to_string().into(),
        value: serde_json::to_vec(&order)?.into(),
        event_time: Some(at(number)),
    })
}

async fn orders(here: ClientMachine, name: &'static str) -> Result<(), ClientError> {
    let mut client = IngestClient::connect(here.workers(), ORDERS.name(), name)?.requests_of(REQUEST);
    let kept = here.kept("appended").map(|kept| kept.as_ref().try_into()).transpose()?;
    let mut appended = kept.map_or(0, u64::from_be_bytes);
    while appended < ORDERS_EACH {
        let next = (appended + CHUNK).min(ORDERS_EACH);
        let chunk = (appended..next).map(|number| record(name, number)).collect::<Result<_, _>>()?;
        client.append(chunk).await?;
        here.keep("appended", next.to_be_bytes().to_vec());
        appended = next;
        tokio::time::sleep(PAUSE).await;
    }
    if Some(&name) == CLIENTS.last() {
        here.others_ended().await;
        client.finish().await?;
        // I10: what came in time may be sent again at any time, and is answered as before.
        client.append(vec![record(name, 0)?, record(name, ORDERS_EACH - 1)?]).await?;
    }
    Ok(())
}

static SUM: Value<u64> = Value::new("sum");
static LAST: Map<String, u64> = Map::new("last");
static AT_END: Value<u64> = Value::new("at_end");

/// Adds up the orders of an account, and refuses one that does not follow the last of its client.
#[derive(Clone)]
struct Account;

impl Computation for Account {
    type Input = Order;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&SUM).cell(&LAST).cell(&AT_END);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Order>) -> Result<(), Failure> {
        let (client, number) = input.value;
        let follows = LAST.get(cx, &client).await?.map_or(number % ACCOUNTS, |last| last + ACCOUNTS);
        if number != follows {
            return Err(Failure::permanent(format!("I9: {client} has {number} where {follows} is due")));
        }
        LAST.insert(cx, &client, &number)?;
        let sum = SUM.get(cx).await?.unwrap_or(0) + number;
        SUM.set(cx, &sum)?;
        cx.set_timer(Timer::event("end", EventTime::MAX))
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
        let sum = SUM.get(cx).await?.unwrap_or(0);
        AT_END.set(cx, &sum)
    }
}
