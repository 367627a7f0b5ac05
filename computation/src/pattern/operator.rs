//! Patterns as a computation: on keyed state and timers.
//!
//! A record waits in state until the watermark has passed it; a timer right behind the first that waits holds the
//! output watermark there (I7), for no match that is still to come ends before it. Then records are taken in order,
//! each exactly once (I8, I12). A second timer is for the partial matches whose time is up. A record that is late,
//! that is too much, or that a condition panics at is counted, told, and changes nothing (I10).

use super::found::Match;
use super::kept::{self, Kept, Next, PARTIAL, WAITING_COUNT, Waiting};
use super::run::Event;
use super::said::Pattern;
use super::telling::{guarded, send};
use crate::codec::{Codec, Postcard};
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::outlet::{Outlet, Routed};
use crate::timer::{Fired, TimeDomain, Timer};
use pelton_domain::EventTime;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;

/// The tag of the timer for the first record that waits.
const RECORDS: &str = "records";
/// The tag of the timer for the first partial match whose time is up.
const TIME_UP: &str = "time-up";
/// Once what a call has looked at and told weighs so much, the rest is another call's: its effects are one commit.
const CALL_BYTES: usize = 500_000;

/// Finds the matches of a pattern among the records of each key. Made by [`Matching`](super::Matching).
pub struct PatternOperator<T> {
    pub(super) shared: Arc<Shared<T>>,
}

/// What every interval's copy of the operator has in common.
#[derive(Debug)]
pub(super) struct Shared<T> {
    pub(super) pattern: Pattern<T>,
    pub(super) matches: Outlet<Match<T>>,
    pub(super) late: Option<Outlet<T>>,
}

impl<T> Clone for PatternOperator<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T> fmt::Debug for PatternOperator<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PatternOperator({:?})", self.shared.pattern)
    }
}

impl<T> Computation for PatternOperator<T>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    type Input = T;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&Waiting).cell(&WAITING_COUNT).cell(&PARTIAL).cell(&kept::held::<T>());
        self.shared.matches.declare(declaration);
        if let Some(late) = &self.shared.late {
            late.declare(declaration);
        }
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<T>) -> Result<(), Failure> {
        let Input { key, event_time, value, .. } = input;
        if event_time < cx.input_watermark() {
            cx.drop_late();
            return match &self.shared.late {
                Some(late) => late.emit(cx, key, event_time, value),
                None => Ok(()),
            };
        }
        let place = kept::place(cx, event_time, (self.shared.pattern.tie)(&value));
        kept::wait(cx, &place, &value).await?;
        let due_us = behind(event_time.as_micros());
        match cx.timer(RECORDS, TimeDomain::Event).await? {
            Some(set_us) if set_us <= due_us => Ok(()),
            _ => look_at(cx, event_time.as_micros()),
        }
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
        self.shared.run(cx).await
    }
}

/// The first moment at which no record with this event time can come any more.
fn behind(at_us: i64) -> i64 {
    at_us.saturating_add(1)
}

/// Looks at the record of this time once that can be done; until then the output watermark waits there.
fn look_at(cx: &mut Context<'_>, at_us: i64) -> Result<(), Failure> {
    let due = EventTime::from_micros(behind(at_us));
    cx.set_timer(Timer::event(RECORDS, due).output_at(EventTime::from_micros(at_us)))
}

impl<T> Shared<T>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// Takes the records that the watermark has passed, in order, as far as they fit into a call.
    async fn run(&self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let mut kept = Kept::load(cx, &self.pattern).await?;
        let (mut page, full) = kept::page(cx).await?;
        let watermark = cx.input_watermark();
        let passed = |record: &Next| watermark == EventTime::MAX || record.at_us() < watermark.as_micros();
        let due = page.iter().take_while(|record| passed(record)).count();
        // What is behind the page may be due as well.
        let more = full && due == page.len();
        let (mut taken, mut bytes) = (0, 0);
        for record in page.iter().take(due) {
            bytes += self.expire(cx, &mut kept, record.at_us(), CALL_BYTES.saturating_sub(bytes)).await?;
            if bytes >= CALL_BYTES {
                break;
            }
            bytes += self.take(cx, &mut kept, record).await?;
            taken += 1;
        }
        if taken == due && !more {
            self.expire(cx, &mut kept, watermark.as_micros(), CALL_BYTES.saturating_sub(bytes)).await?;
        }
        let rest = page.split_off(taken);
        kept::done(cx, &page).await?;
        match rest.first() {
            Some(next) => look_at(cx, next.at_us())?,
            // What is behind the page is not earlier than its last record.
            None if more => look_at(cx, page.last().map_or(i64::MIN, Next::at_us))?,
            None => cx.clear_timer(RECORDS, TimeDomain::Event)?,
        }
        self.set_time_up(cx, &kept).await?;
        kept.save(cx)
    }

    /// Takes one record, and tells the matches it completes. Returns what all that weighs.
    async fn take(&self, cx: &mut Context<'_>, kept: &mut Kept<T>, next: &Next) -> Result<usize, Failure> {
        let told = match self.matched(cx, kept, next).await {
            Ok(matches) => send(cx, matches)?,
            Err(refused) => {
                let at = EventTime::from_micros(next.at_us());
                cx.dead_letter(next.value.clone(), refused.reason(), at)?;
                0
            }
        };
        Ok(told + next.value.len())
    }

    /// The matches that the record completes, on their way; or why it is refused, and then it changes nothing.
    async fn matched(
        &self,
        cx: &mut Context<'_>,
        kept: &mut Kept<T>,
        next: &Next,
    ) -> Result<Vec<Routed>, Failure> {
        let record: T = <Postcard as Codec<T>>::decode(&next.value)?;
        let number = kept.partial.next_number();
        let event = Event { number, at_us: next.at_us(), record: &record, records: &kept.records };
        let (partial, found) =
            guarded(|| kept.partial.advance(&self.pattern, &event))?.map_err(Failure::permanent)?;
        let before = std::mem::replace(&mut kept.partial, partial);
        kept.records.insert(number, record);
        let told = self.tell(cx, kept, found).await;
        if told.is_err() {
            kept.partial = before;
            kept.records.remove(&number);
        }
        told
    }

    /// Gives up partial matches whose time is up at `to_us`, and tells those that waited for that; until that weighs
    /// `bytes_max`. Returns what it weighs.
    async fn expire(
        &self,
        cx: &mut Context<'_>,
        kept: &mut Kept<T>,
        to_us: i64,
        bytes_max: usize,
    ) -> Result<usize, Failure> {
        let mut bytes = 0;
        while bytes < bytes_max
            && let Some(found) = kept.partial.expire(&self.pattern, to_us)
        {
            let at = found.first().map_or(EventTime::MIN, |one| EventTime::from_micros(one.at_us));
            match self.tell(cx, kept, found).await {
                Ok(matches) => bytes += send(cx, matches)?,
                Err(refused) => cx.dead_letter(Vec::new(), refused.reason(), at)?,
            }
        }
        if bytes < bytes_max && to_us == i64::MAX {
            // The input has ended.
            kept.partial.give_up();
        }
        Ok(bytes)
    }

    /// Wakes up when the time of the first partial match is up.
    async fn set_time_up(&self, cx: &mut Context<'_>, kept: &Kept<T>) -> Result<(), Failure> {
        if kept.partial.is_empty() {
            return cx.clear_timer(TIME_UP, TimeDomain::Event);
        }
        let deadline_us = kept.partial.deadline_us(&self.pattern).unwrap_or(i64::MAX);
        if cx.timer(TIME_UP, TimeDomain::Event).await? == Some(deadline_us) {
            return Ok(());
        }
        let holds = if self.pattern.ends_with_not() { deadline_us } else { i64::MAX };
        let timer = Timer::event(TIME_UP, EventTime::from_micros(deadline_us));
        cx.set_timer(timer.output_at(EventTime::from_micros(holds)))
    }
}
