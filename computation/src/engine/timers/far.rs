//! Far timers: those that are in the store only, so that the table stays bounded (I11).
//!
//! Of all of them together three numbers are known: the earliest fire time of each domain, and the earliest
//! hold. Each is a bound, never later than the truth: a far timer that is cleared or replaced leaves it as it is.
//! So no far timer is passed over (I8) and no hold is let go too early (I7). When a bound is reached, the timers of
//! the store are read page by page, and the earliest of each domain come near.

use super::{TimerEntry, Timers};
use pelton_domain::EventTime;
use pelton_domain::mutants::{Mutant, mutant};
use pelton_statestore::keys::{TimeDomain, TimerAddress};

/// What is known of the far timers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Far {
    event_us: Option<i64>,
    processing_us: Option<i64>,
    hold: Option<EventTime>,
}

impl Far {
    pub(super) fn is_empty(&self) -> bool {
        self.hold.is_none()
    }

    /// No far timer of `domain` fires earlier; `None` where there is none.
    pub(super) fn from(&self, domain: TimeDomain) -> Option<i64> {
        match domain {
            TimeDomain::Event => self.event_us,
            TimeDomain::Processing => self.processing_us,
        }
    }

    /// No far timer holds at an earlier time.
    pub(super) fn hold(&self) -> EventTime {
        self.hold.unwrap_or(EventTime::MAX)
    }

    fn add(&mut self, domain: TimeDomain, entry: &TimerEntry) {
        let from = match domain {
            TimeDomain::Event => &mut self.event_us,
            TimeDomain::Processing => &mut self.processing_us,
        };
        *from = Some(from.map_or(entry.fire_at_us, |from| from.min(entry.fire_at_us)));
        self.hold = Some(self.hold().min(entry.output_time));
    }
}

/// The earliest timers of each domain among many, and what is known of the rest.
#[derive(Debug)]
pub(crate) struct Nearest {
    event: Vec<(TimerAddress, TimerEntry)>,
    processing: Vec<(TimerAddress, TimerEntry)>,
    each_max: usize,
    rest: Far,
}

impl Nearest {
    /// Keeps about `count` timers, half of them of each domain.
    pub(crate) fn new(count: usize) -> Self {
        Self { event: Vec::new(), processing: Vec::new(), each_max: (count / 2).max(1), rest: Far::default() }
    }

    fn add(&mut self, address: TimerAddress, entry: TimerEntry) {
        let of_domain = match address.domain {
            TimeDomain::Event => &mut self.event,
            TimeDomain::Processing => &mut self.processing,
        };
        of_domain.push((address, entry));
        // Cut at twice the limit, so that each timer is moved a bounded number of times.
        if of_domain.len() > 2 * self.each_max {
            cut(of_domain, self.each_max, &mut self.rest);
        }
    }
}

fn cut(timers: &mut Vec<(TimerAddress, TimerEntry)>, count: usize, rest: &mut Far) {
    if timers.len() > count {
        timers.select_nth_unstable_by_key(count, |(_, entry)| entry.fire_at_us);
        for (address, entry) in timers.drain(count..) {
            rest.add(address.domain, &entry);
        }
    }
}

impl Timers {
    /// Whether far timers must be read in before anything else of theirs fires: the earliest may be due, and what
    /// is near and comes before it has fired.
    pub(crate) fn must_read(&self, event_us: i64, processing_us: i64) -> bool {
        if mutant(Mutant::FarTimersNeverRead) {
            return false;
        }
        [(TimeDomain::Event, event_us), (TimeDomain::Processing, processing_us)].into_iter().any(
            |(domain, time_us)| {
                let due = self.far.from(domain).filter(|from| *from <= time_us);
                due.is_some_and(|from| self.next_near(domain).is_none_or(|near| near > from))
            },
        )
    }

    /// Whether it is a far timer that holds the watermark at `input` back: it may have been cleared meanwhile, and
    /// reading in would tell.
    pub(crate) fn far_hold_in_doubt(&self, input: EventTime) -> bool {
        !self.far.is_empty() && self.far.hold() <= input && self.far.hold() <= self.holds.min()
    }

    /// One timer of the store, for `nearest`: unless the table knows better.
    pub(crate) fn read(&self, nearest: &mut Nearest, address: TimerAddress, entry: TimerEntry) {
        let settled = !self.is_unsettled(&address) || mutant(Mutant::ClearedFarTimerRead);
        if !self.entries.contains_key(&address) && settled {
            nearest.add(address, entry);
        }
    }

    /// All timers of the store have been read: the nearest come near, the rest is far.
    pub(crate) fn bring_near(&mut self, mut nearest: Nearest) {
        cut(&mut nearest.event, nearest.each_max, &mut nearest.rest);
        cut(&mut nearest.processing, nearest.each_max, &mut nearest.rest);
        for (address, entry) in nearest.event.into_iter().chain(nearest.processing) {
            self.load(&address, entry);
        }
        self.far = nearest.rest;
    }

    /// The sealed batch has committed: the store has what it changed. Where there are more than `near_max` timers
    /// in the table, the latest become far, until half of that is left.
    pub(crate) fn committed(&mut self, near_max: usize) {
        self.sealed.clear();
        if self.entries.len() <= near_max {
            return;
        }
        let mut kept = Vec::new();
        while self.entries.len() > near_max / 2 {
            let domain = match self.event.len() >= self.processing.len() {
                true => TimeDomain::Event,
                false => TimeDomain::Processing,
            };
            let Some((at, address)) = self.queue(domain).pop_last() else { break };
            if self.is_unsettled(&address) {
                kept.push((at, address));
            } else if let Some(entry) = self.entries.remove(&address) {
                self.holds.remove(entry.output_time);
                self.far.add(domain, &entry);
            }
        }
        for (at, address) in kept {
            self.queue(address.domain).insert((at, address));
        }
    }
}
