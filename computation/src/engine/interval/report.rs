//! The one number that says how far an interval is (I7): the minimum of the input watermark it has applied and
//! of everything it holds, in the store and in batches that have not committed.
//!
//! Records in the mailbox need no hold here: until they are acknowledged their senders' outboxes hold for them.

use super::core::Core;
use pelton_domain::mutants::{Mutant, mutant};
use pelton_domain::{EventTime, ProcessingTime, SystemTime};
use pelton_injector::{Holder, HolderKind, IntervalReport, Load};

/// What was last reported.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reported {
    last: Option<(EventTime, SystemTime)>,
    at: Option<ProcessingTime>,
}

impl Core {
    /// The low watermark of this interval, and what holds it.
    pub(crate) fn low_watermark(&self) -> (EventTime, HolderKind) {
        let batch = self.scope.batch.hold().min(self.scope.timers.released());
        let sealed = self.sealed.as_ref().map_or(EventTime::MAX, |sealed| sealed.hold);
        [
            (self.scope.input_watermark, HolderKind::Input),
            (unless(Mutant::TimersNotHeld, self.scope.timers.hold()), HolderKind::Timer),
            (unless(Mutant::OutboxNotHeld, self.outbox.hold()), HolderKind::Outbox),
            (unless(Mutant::ParkedNotHeld, self.failing.hold()), HolderKind::Parked),
            (unless(Mutant::BatchNotHeld, batch.min(sealed)), HolderKind::Pending),
        ]
        .into_iter()
        .min_by_key(|(time, _)| *time)
        .unwrap_or((EventTime::MIN, HolderKind::Input))
    }

    /// The report to send, if there is news: an advance at once, a mere renewal of the promise now and then.
    pub(crate) fn next_report(&mut self, load: Load) -> Option<IntervalReport> {
        let (low_watermark, what) = self.low_watermark();
        let now = self.scope.now;
        let renewal = self.reported.at.is_none_or(|at| at.plus(self.options.promise_interval) <= now);
        if !renewal && self.reported.last.is_some_and(|(watermark, _)| watermark == low_watermark) {
            return None;
        }
        let oldest_unacknowledged = self.promise();
        if self.reported.last == Some((low_watermark, oldest_unacknowledged)) {
            self.reported.at = Some(now);
            return None;
        }
        self.reported = Reported { last: Some((low_watermark, oldest_unacknowledged)), at: Some(now) };
        let key = match what {
            HolderKind::Timer => self.scope.timers.holder().map(|address| address.key.clone()),
            HolderKind::Parked => self.failing.holder().cloned(),
            _ => None,
        };
        Some(IntervalReport {
            computation: self.me.address.computation,
            interval: self.interval,
            sequencer: self.me.sequencer,
            low_watermark,
            oldest_unacknowledged,
            holder: Some(Holder { what, key }),
            load,
        })
    }

    /// When the promise is to be renewed.
    pub(crate) fn next_report_at(&self) -> Option<ProcessingTime> {
        self.reported.at.map(|at| at.plus(self.options.promise_interval))
    }
}

/// A hold, which one of the deliberate bugs forgets.
fn unless(forgotten: Mutant, hold: EventTime) -> EventTime {
    if mutant(forgotten) { EventTime::MAX } else { hold }
}
