//! The join with a table as a computation: each record meets the row that was valid at its event time.
//!
//! * A record waits until the watermark has passed its event time: then every row up to it is there. So the result
//!   does not depend on which of the two came first, and a replay sees the same (I12). The output watermark waits
//!   with it (I7).
//! * A row that comes late is taken in all the same: it is valid for what has not been told. A record that comes
//!   later than the allowed lateness is dropped and counted (I10): the rows of its time may be gone.
//! * For a side input the key of the step is a part of the stream, and every part has a copy of the table. How many
//!   parts there are is remembered in each, because rows of earlier are only where they were sent to.

use super::shelf::{CALL_BYTES_SOFT_MAX, Kept, Place, Shelf};
use super::side::Side;
use super::versions::{COLLECT, Versions};
use crate::alarm::{ensure_alarm, moved};
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::outlet::Outlet;
use crate::state::Value;
use crate::timer::{Fired, TimeDomain, Timer};
use bytes::Bytes;
use pelton_domain::{EventTime, Key};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// The tag of the timer for records that wait.
const DUE: &str = "due";

/// How many parts a side input has.
static COPIES: Value<u32> = Value::new("copies");

/// A record that asks for a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Asked<A> {
    /// The key it goes on with; `None`: that of the step.
    pub(crate) key: Option<Vec<u8>>,
    /// Which row it asks for.
    pub(crate) kind: Vec<u8>,
    pub(crate) value: A,
}

/// A row of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row<B> {
    /// Which one: it replaces earlier ones of this kind.
    pub(crate) kind: Vec<u8>,
    pub(crate) value: B,
}

/// What a join with a table is.
pub(crate) struct TableJoinSpec<A, B, O> {
    pub(crate) lateness: Duration,
    /// Into how many parts the stream of a side input is cut.
    pub(crate) copies: Option<u32>,
    /// Whether a row says that there is none any more.
    pub(crate) is_deletion: Option<Arc<dyn Fn(&B) -> bool + Send + Sync>>,
    pub(crate) join: Box<dyn Fn(A, Option<&B>) -> Option<O> + Send + Sync>,
    pub(crate) outlet: Outlet<O>,
}

/// Joins records with the rows that were valid at their event time.
pub(crate) struct TableJoinOperator<A, B, O> {
    shared: Arc<Shared<A, B, O>>,
}

impl<A, B, O> Clone for TableJoinOperator<A, B, O> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

struct Shared<A, B, O> {
    spec: TableJoinSpec<A, B, O>,
    waiting: Shelf<Asked<A>>,
    versions: Versions<B>,
}

impl<A: Kept, B: Kept, O: 'static> TableJoinOperator<A, B, O> {
    pub(crate) fn new(spec: TableJoinSpec<A, B, O>) -> Self {
        let versions = Versions::new(spec.lateness);
        Self { shared: Arc::new(Shared { spec, waiting: Shelf::new("waiting"), versions }) }
    }
}

impl<A: Kept, B: Kept, O: 'static> Computation for TableJoinOperator<A, B, O> {
    type Input = Side<Asked<A>, Row<B>>;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&self.shared.waiting).cell(&self.shared.versions.rows);
        if self.shared.spec.copies.is_some() {
            declaration.cell(&COPIES);
        }
        self.shared.spec.outlet.declare(declaration);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Self::Input>) -> Result<(), Failure> {
        let Shared { spec, waiting, versions } = &*self.shared;
        if let Some(copies) = spec.copies {
            check_copies(cx, copies).await?;
        }
        check_kind(&input.value)?;
        let (at, place) = (input.event_time, Place::of(input.event_time, input.id));
        match input.value {
            Side::Right(Row { kind, value }) => {
                let deleted = spec.is_deletion.as_ref().is_some_and(|is_deletion| is_deletion(&value));
                versions.put(cx, kind.into(), &place, (!deleted).then_some(value)).await
            }
            Side::Left(_) if at < cx.input_watermark().minus(spec.lateness) => {
                cx.drop_late();
                Ok(())
            }
            Side::Left(asked) if due(at) <= cx.input_watermark() => self.shared.tell(cx, at, asked).await,
            Side::Left(asked) => {
                waiting.put(cx, &place, &asked)?;
                ensure_alarm(cx, DUE, due(at), at).await
            }
        }
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, timer: Fired) -> Result<(), Failure> {
        let shared = &*self.shared;
        if timer.tag == COLLECT {
            // The watermark may have leapt over records that are still to be told: they need the rows of their time.
            let first =
                cx.timer(DUE, TimeDomain::Event).await?.map_or(EventTime::MAX, EventTime::from_micros);
            let until = cx.input_watermark().min(first);
            cx.enter(timer.namespace);
            return shared.versions.collect(cx, until).await;
        }
        let mut after: Option<Place> = None;
        loop {
            cx.enter(Bytes::new());
            let page = shared.waiting.page(cx, after.as_ref()).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (place, asked) in page {
                cx.enter(Bytes::new());
                let at = place.at();
                if due(at) > cx.input_watermark() || cx.call_bytes() > CALL_BYTES_SOFT_MAX {
                    return cx.set_timer(Timer::event(DUE, due(at)).output_at(at));
                }
                shared.waiting.remove(cx, &place)?;
                shared.tell(cx, at, asked).await?;
            }
        }
    }
}

impl<A: Kept, B: Kept, O: 'static> Shared<A, B, O> {
    async fn tell(&self, cx: &mut Context<'_>, at: EventTime, asked: Asked<A>) -> Result<(), Failure> {
        let Asked { key, kind, value } = asked;
        let row = self.versions.at(cx, kind.into(), at).await?;
        let key = key.map_or_else(|| cx.key().clone(), Key::new);
        match (self.spec.join)(value, row.as_ref()) {
            Some(told) => self.spec.outlet.emit(cx, key, at, told),
            None => Ok(()),
        }
    }
}

/// When every row up to this time is there.
fn due(at: EventTime) -> EventTime {
    moved(at, 1)
}

/// Rows of a kind have a namespace of its name: it must be as short as a key.
fn check_kind<A, B>(record: &Side<Asked<A>, Row<B>>) -> Result<(), Failure> {
    let (Side::Left(Asked { kind, .. }) | Side::Right(Row { kind, .. })) = record;
    if kind.len() <= Key::LENGTH_MAX {
        return Ok(());
    }
    let (bytes, bytes_max) = (kind.len(), Key::LENGTH_MAX);
    Err(Failure::permanent(format!(
        "a row is looked up by a key of {bytes} bytes, and {bytes_max} is the limit"
    )))
}

async fn check_copies(cx: &mut Context<'_>, copies: u32) -> Result<(), Failure> {
    match COPIES.get(cx).await? {
        None => COPIES.set(cx, &copies),
        Some(known) if known == copies => Ok(()),
        Some(known) => Err(Failure::stop(format!(
            "the side input has {known} copies in the store and {copies} in the code: its rows are only where they \
             were sent to; keep {known}, or give the step a new name"
        ))),
    }
}
