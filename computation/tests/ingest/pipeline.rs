//! A pipeline that ingests, and says in the end what came.

use bytes::Bytes;
use pelton::codec::Raw;
use pelton::{Computation, Context, Declaration, EventTime, Failure, Fired, Ingest, Input, List, Pipeline};
use pelton::{Retention, Step, Stream, Timer};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

static ORDERS: Stream<Bytes, Raw> = Stream::new("orders");
static CAME: List<u64> = List::new("came");

/// What came, by key, once the stream has ended.
#[derive(Clone, Default)]
pub(crate) struct Book {
    pub(crate) keys: Arc<Mutex<BTreeMap<String, Vec<u64>>>>,
    /// How often records were seen, some perhaps more than once.
    pub(crate) calls: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Collect(Book);

impl Computation for Collect {
    type Input = Bytes;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&CAME);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Bytes>) -> Result<(), Failure> {
        let number = std::str::from_utf8(&input.value).ok().and_then(|text| text.parse().ok());
        CAME.push(cx, &number.ok_or_else(|| Failure::permanent("no number"))?)?;
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        cx.set_timer(Timer::event("end", EventTime::MAX))
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
        let came = CAME.all(cx).await?;
        self.0.keys.lock().unwrap().insert(cx.key().to_string(), came);
        Ok(())
    }
}

pub(crate) fn pipeline(book: &Book) -> Pipeline {
    let collect = Step::new("collect", Collect(book.clone())).reads(&ORDERS).intervals(2);
    let orders = Ingest::new(&ORDERS).intervals(3).record(Retention::days(7));
    Pipeline::builder("shop").with(orders).with(collect).build().unwrap()
}
