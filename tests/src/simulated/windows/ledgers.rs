//! What takes the panes, and keeps of them only what is the same in every run (I12).
//!
//! | ledger | keeps | for |
//! |---|---|---|
//! | [`Listed`] | every pane, in order | windows that are told once, all of whose records are in time |
//! | [`Netted`] | of each window what has been told and not taken back | panes that are taken back |
//! | [`Numbered`] | what panes and refused records come to; the numbers of panes only while their window is open | late records |
//!
//! What cannot be becomes a dead letter, which no run without a fault has.

use super::readings::Reading;
use pelton::flow::Records;
use pelton::window::{Pane, Refused, Timing};
use pelton::{Computation, Context, Declaration, Failure, Input, List, Map, Value};
use serde::{Deserialize, Serialize};

/// How many readings, and the sum of their numbers.
pub type Tally = (u64, u128);
/// First and last moment of a window, microseconds.
pub type Span = (i64, i64);

/// What a ledger is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Told {
    /// The windows and the key that it is of.
    pub(super) of: String,
    what: What,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum What {
    Pane(Pane<Tally>),
    Refused(Reading),
}

/// The panes of the windows called `of`, for a ledger.
pub(super) fn panes<'f>(of: &'static str, panes: &Records<'f, Pane<Tally>>) -> Records<'f, Told> {
    panes.map_with_key(move |key, pane| Told { of: format!("{of}/{key}"), what: What::Pane(pane) })
}

/// What the windows called `of` have refused, for a ledger.
pub(super) fn refused<'f>(of: &'static str, refused: &Records<'f, Refused<Reading>>) -> Records<'f, Told> {
    refused.map(move |refused| Told {
        of: format!("{of}/{}", refused.value.key()),
        what: What::Refused(refused.value),
    })
}

fn span(pane: &Pane<Tally>) -> Span {
    (pane.window.start().as_micros(), pane.window.latest().as_micros())
}

/// A pane, where there can be nothing else.
fn pane_of(told: Told) -> Result<Pane<Tally>, Failure> {
    match told.what {
        What::Pane(pane) => Ok(pane),
        What::Refused(reading) => {
            Err(Failure::permanent(format!("I7: {reading:?} was refused by a window that is open")))
        }
    }
}

pub(super) static LISTED: List<(Span, Tally)> = List::new("listed");

/// Keeps every pane.
#[derive(Clone)]
pub(super) struct Listed;

impl Computation for Listed {
    type Input = Told;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&LISTED);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Told>) -> Result<(), Failure> {
        let pane = pane_of(input.value)?;
        LISTED.push(cx, &(span(&pane), pane.value))
    }
}

static NETTED: Map<Span, (i64, i128)> = Map::new("netted");

/// Adds up panes, and subtracts those that are taken back. A window that comes to nothing is forgotten.
#[derive(Clone)]
pub(super) struct Netted;

impl Computation for Netted {
    type Input = Told;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&NETTED);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Told>) -> Result<(), Failure> {
        let pane = pane_of(input.value)?;
        let (window, sign) = (span(&pane), if pane.retraction { -1 } else { 1 });
        let count = i64::try_from(pane.value.0).map_err(Failure::permanent)?;
        let sum = i128::try_from(pane.value.1).map_err(Failure::permanent)?;
        let held = NETTED.get(cx, &window).await?.unwrap_or_default();
        match (held.0 + sign * count, held.1 + i128::from(sign) * sum) {
            (0, 0) => NETTED.remove(cx, &window),
            (count, _) if count < 0 => {
                Err(Failure::permanent(format!("a pane is taken back that was not told: {pane:?}")))
            }
            held => NETTED.insert(cx, &window, &held),
        }
    }
}

/// What is known of a window that is open: the number of its next pane, and whether one has come that is not early.
static OPEN: Map<Span, (u64, bool)> = Map::new("open");
static CLOSED: Map<Span, Tally> = Map::new("closed");
static TOTAL: Value<Tally> = Value::new("total");

/// Checks the numbers and the timing of panes.
#[derive(Clone)]
pub(super) struct Numbered {
    /// Whether a pane has all of its window, and not what has come since the one before.
    pub(super) accumulating: bool,
}

impl Computation for Numbered {
    type Input = Told;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&OPEN).cell(&CLOSED).cell(&TOTAL);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Told>) -> Result<(), Failure> {
        match input.value.what {
            What::Pane(pane) => {
                number(cx, &pane).await?;
                match (self.accumulating, pane.info.last) {
                    (false, _) => add(cx, pane.value).await,
                    (true, true) => CLOSED.insert(cx, &span(&pane), &pane.value),
                    (true, false) => Ok(()),
                }
            }
            What::Refused(reading) if reading.in_time => {
                Err(Failure::permanent(format!("I7: {reading:?} was refused, and it is in time")))
            }
            What::Refused(reading) if self.accumulating => {
                Err(Failure::permanent(format!("{reading:?} was refused within the allowed lateness")))
            }
            What::Refused(reading) => add(cx, (1, reading.number.into())).await,
        }
    }
}

async fn add(cx: &mut Context<'_>, more: Tally) -> Result<(), Failure> {
    let total = TOTAL.get(cx).await?.unwrap_or_default();
    TOTAL.set(cx, &(total.0 + more.0, total.1 + more.1))
}

/// Panes come one after the other, early ones first, at most one on time, and none after the last.
async fn number(cx: &mut Context<'_>, pane: &Pane<Tally>) -> Result<(), Failure> {
    let (window, info) = (span(pane), pane.info);
    let (next, past) = OPEN.get(cx, &window).await?.unwrap_or_default();
    let in_order = info.index == next && (info.timing == Timing::Late || !past);
    if !in_order || info.first != (next == 0) || CLOSED.contains(cx, &window).await? {
        return Err(Failure::permanent(format!("I9: after {next} panes, past {past}: {pane:?}")));
    }
    if info.last {
        return OPEN.remove(cx, &window);
    }
    OPEN.insert(cx, &window, &(next + 1, info.timing != Timing::Early))
}
