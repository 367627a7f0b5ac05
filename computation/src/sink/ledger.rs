//! What a sink has written, and what it will write next: the decisions, without I/O.
//!
//! Lines wait in numbered chunks. Those before `planned` are the plan: they were planned in an earlier commit,
//! so they are durable when they are written. Those from `planned` on are gathered for the next plan.
//!
//! A line that finds nothing waiting is planned at once, and alone: an idle sink writes it one commit after
//! its arrival. Lines behind it gather meanwhile, so batches grow under load and only then.

use super::target::Written;
use pelton_domain::EventTime;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A chunk of gathered lines is full at this size. It is read and written with every line that is added.
pub(super) const CHUNK_BYTES: usize = 4096;
/// The longest part of a line in one chunk: well under what a store takes as one value.
pub(super) const PART_BYTES_MAX: usize = 64 * 1024;

/// The state of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ledger {
    /// What the file has for good; `None` until it is this pipeline's own.
    pub(super) written: Option<Written>,
    /// The first chunk that is not written.
    first: u64,
    /// The first chunk that is not planned.
    planned: u64,
    /// The number of the next new chunk.
    next: u64,
    /// What is in the last gathered chunk, in bytes; 0 where it takes no more.
    open_bytes: u32,
    /// What the oldest gathered line holds, in microseconds.
    gathered_hold_us: Option<i64>,
}

/// Where a line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Behind what is in this chunk.
    Append(u64),
    /// Into new chunks from this one on: as many as it has parts.
    New(u64),
}

impl Ledger {
    /// Makes room for a line of `bytes` bytes, which holds the watermark at `hold`. A line behind another one
    /// that waits arrived no earlier, so the older one's hold is for both.
    pub(super) fn add(&mut self, bytes: usize, hold: EventTime) -> Room {
        let idle = self.first == self.next;
        let fits =
            usize::try_from(self.open_bytes).unwrap_or(usize::MAX).saturating_add(bytes) <= CHUNK_BYTES;
        if self.open_bytes > 0 && fits {
            self.open_bytes += u32::try_from(bytes).unwrap_or(u32::MAX);
            return Room::Append(self.next - 1);
        }
        let chunk = self.next;
        self.next += u64::try_from(bytes.div_ceil(PART_BYTES_MAX)).unwrap_or(u64::MAX).max(1);
        if idle {
            self.planned = self.next;
            self.open_bytes = 0;
        } else {
            self.open_bytes = if bytes < CHUNK_BYTES { u32::try_from(bytes).unwrap_or(0) } else { 0 };
            self.gathered_hold_us.get_or_insert(hold.as_micros());
        }
        Room::New(chunk)
    }

    /// The chunks to be written now.
    pub(super) fn plan(&self) -> Range<u64> {
        self.first..self.planned
    }

    /// The plan is in the file, and everything gathered becomes the next one. Returns the event time that
    /// it holds; `None` where there is none.
    pub(super) fn advance(&mut self, written: Written) -> Option<EventTime> {
        debug_assert!(
            self.written.as_ref().is_none_or(|before| before.length <= written.length),
            "files only grow"
        );
        self.written = Some(written);
        self.first = self.planned;
        self.planned = self.next;
        self.open_bytes = 0;
        self.gathered_hold_us.take().map(EventTime::from_micros)
    }

    /// Whether anything waits to be written.
    pub(super) fn is_idle(&self) -> bool {
        self.first == self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: EventTime = EventTime::from_secs(7);

    #[test]
    fn a_line_alone_is_planned_at_once_and_those_behind_it_gather() {
        let mut ledger = Ledger::default();
        assert!(ledger.is_idle());
        assert_eq!(ledger.add(10, EventTime::MIN), Room::New(0));
        assert_eq!(ledger.add(10, AT), Room::New(1));
        assert_eq!(ledger.add(10, EventTime::MAX), Room::Append(1));
        assert_eq!(ledger.plan(), 0..1);
        assert_eq!(ledger.advance(Written::default()), Some(AT), "the hold of the oldest");
        assert_eq!(ledger.plan(), 1..2);
        assert_eq!(ledger.add(10, AT), Room::New(2), "a plan takes no more lines");
        assert_eq!(ledger.advance(Written::default()), Some(AT));
        assert_eq!(ledger.advance(Written::default()), None);
        assert!(ledger.is_idle());
    }

    #[test]
    fn chunks_are_bounded_and_a_long_line_has_several() {
        let mut ledger = Ledger::default();
        ledger.add(1, AT);
        assert_eq!(ledger.add(CHUNK_BYTES - 1, AT), Room::New(1));
        assert_eq!(ledger.add(1, AT), Room::Append(1));
        assert_eq!(ledger.add(1, AT), Room::New(2), "full");
        assert_eq!(ledger.add(2 * PART_BYTES_MAX + 1, AT), Room::New(3));
        assert_eq!(ledger.add(1, AT), Room::New(6));
    }
}
