//! Timers between the table and the store: read in after a take-over, and when far ones come due (I8, I11).
//!
//! Each time all timers of the interval are read, page by page, and the nearest stay in the table. The limit of
//! the table is what keeps that rare: with as many timers as it holds, far ones never come to be.

use super::super::timers::{Nearest, TimerEntry};
use super::core::Core;
use crate::failure::Failure;
use pelton_domain::ProcessingTime;
use pelton_statestore::Scan;
use std::time::Duration;

/// How long to wait before reading again only because a far timer holds the watermark: twice as long each time.
const DOUBT_DELAY_MIN: Duration = Duration::from_secs(1);
const DOUBT_DELAY_MAX: Duration = Duration::from_secs(60);

/// When far timers are read in because they hold the watermark, though none is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doubt {
    at: ProcessingTime,
    delay: Duration,
}

impl Default for Doubt {
    fn default() -> Self {
        Self { at: ProcessingTime::MIN, delay: DOUBT_DELAY_MIN }
    }
}

impl Core {
    /// Whether the timers of the store are to be read in now.
    pub(crate) fn must_read_timers(&self) -> bool {
        let (watermark, now) = (self.scope.input_watermark, self.scope.now);
        self.scope.timers.must_read(watermark.as_micros(), now.as_micros())
            || self.timers_in_doubt_at().is_some_and(|at| at <= now)
    }

    /// When they are to be read in because one that may be gone holds the watermark.
    pub(crate) fn timers_in_doubt_at(&self) -> Option<ProcessingTime> {
        self.scope.timers.far_hold_in_doubt(self.scope.input_watermark).then_some(self.doubt.at)
    }

    /// Reads all timers of the interval; the nearest come into the table.
    pub(crate) async fn read_timers(&mut self) -> Result<(), Failure> {
        let mut nearest = Nearest::new(self.options.timers_near_max);
        let mut range = self.scope.keys.timers(self.interval);
        loop {
            let page = self.scope.scan(Scan::page_of(range.clone())).await?;
            for (place, value) in page.entries {
                let address = self.scope.keys.read_timer(&place).map_err(Failure::engine)?;
                let entry = TimerEntry::decode(&value).map_err(Failure::engine)?;
                self.scope.timers.read(&mut nearest, address, entry);
            }
            match page.next {
                Some(next) => range.start = next,
                None => break,
            }
        }
        let held = self.scope.timers.hold();
        self.scope.timers.bring_near(nearest);
        metrics::counter!("pelton_timer_reads_total").increment(1);
        let vain = self.scope.timers.hold() == held;
        let delay = if vain { (self.doubt.delay * 2).min(DOUBT_DELAY_MAX) } else { DOUBT_DELAY_MIN };
        self.doubt = Doubt { at: self.scope.now.plus(delay), delay };
        Ok(())
    }
}
