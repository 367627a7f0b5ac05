//! The rows of a table in the state of a key: each is valid from its event time on, until the next one of its kind.
//!
//! The rows of one kind have a namespace of their own. What no record in time can ask for any more is collected, by a
//! timer that holds nothing (I11).

use super::shelf::{Kept, Place, Shelf};
use crate::alarm::{ensure_alarm, moved};
use crate::context::Context;
use crate::failure::Failure;
use crate::timer::Timer;
use bytes::Bytes;
use pelton_domain::EventTime;
use std::time::Duration;

/// The tag of the timers that collect.
pub(super) const COLLECT: &str = "rows";

/// The rows of a table, `None` where one was deleted.
pub(super) struct Versions<B> {
    pub(super) rows: Shelf<Option<B>>,
    lateness: Duration,
}

impl<B: Kept> Versions<B> {
    pub(super) const fn new(lateness: Duration) -> Self {
        Self { rows: Shelf::new("rows"), lateness }
    }

    /// From its event time on this is the row of `kind`.
    pub(super) async fn put(
        &self,
        cx: &mut Context<'_>,
        kind: Bytes,
        place: &Place,
        row: Option<B>,
    ) -> Result<(), Failure> {
        cx.enter(kind);
        self.rows.put(cx, place, &row)?;
        ensure_alarm(cx, COLLECT, self.due(place.at()), EventTime::MAX).await
    }

    /// The row of `kind` at this time.
    pub(super) async fn at(
        &self,
        cx: &mut Context<'_>,
        kind: Bytes,
        at: EventTime,
    ) -> Result<Option<B>, Failure> {
        cx.enter(kind);
        let (mut after, mut found): (Option<Place>, _) = (None, None);
        loop {
            let page = self.rows.page(cx, after.as_ref()).await?;
            let Some((last, _)) = page.last() else { return Ok(found) };
            after = Some(last.clone());
            for (place, row) in page {
                if place.at() > at {
                    return Ok(found);
                }
                found = row;
            }
        }
    }

    /// Removes the rows of the entered kind that have been replaced for good: before `until` all has been told.
    pub(super) async fn collect(&self, cx: &mut Context<'_>, until: EventTime) -> Result<(), Failure> {
        let (mut after, mut valid): (Option<Place>, Option<(Place, bool)>) = (None, None);
        let mut next = None;
        'pages: loop {
            let page = self.rows.page(cx, after.as_ref()).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (place, row) in page {
                if self.due(place.at()) > until {
                    next = Some(self.due(place.at()));
                    break 'pages;
                }
                if let Some((replaced, _)) = valid.replace((place, row.is_none())) {
                    self.rows.remove(cx, &replaced)?;
                }
            }
        }
        if let Some((deleted, true)) = valid {
            self.rows.remove(cx, &deleted)?;
        }
        match next {
            Some(due) => cx.set_timer(Timer::event(COLLECT, due).output_at(EventTime::MAX)),
            None => Ok(()),
        }
    }

    /// When no record in time is from before this time any more.
    fn due(&self, at: EventTime) -> EventTime {
        moved(at.plus(self.lateness), 1)
    }
}
