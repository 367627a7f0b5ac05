//! What one commit will hold: the effects of a batch of calls, gathered while the commit before it is under way.

use super::dedup::PackedEntry;
use super::outbox::{ChunkId, Production};
use super::rows::SealedRows;
use bytes::Bytes;
use pelton_domain::{CommitNumber, EventTime, ProcessingTime, RecordId, SystemTime};
use pelton_statestore::Write;
use pelton_statestore::fence::{Counters, FenceUpdate};
use std::collections::BTreeSet;

/// Names a delivery that waits to be acknowledged, within its interval.
pub(crate) type ReceiptId = u64;

/// The open batch.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) number: CommitNumber,
    /// Ids admitted by it.
    pub(crate) ids: Vec<RecordId>,
    /// Deliveries of which records are settled by it, and how many of each.
    pub(crate) settled: Vec<(ReceiptId, usize)>,
    pub(crate) productions: Vec<Production>,
    /// Productions that may be sent before the commit.
    pub(crate) weak_productions: Vec<Production>,
    /// Parked records, dead letters and the like.
    pub(crate) writes: Vec<Write>,
    /// What it adds to the interval's totals.
    pub(crate) counters: Counters,
    /// Calls in it.
    pub(crate) calls: usize,
    /// Bytes of effects so far, roughly.
    pub(crate) bytes: usize,
    /// Parked records and dead letters so far: they are numbered by commit and place.
    pub(crate) numbered: u32,
    /// The dead letters that it replays.
    pub(crate) replayed: BTreeSet<Bytes>,
    /// The earliest hold that it lets go beside those of timers: parked records taken up.
    pub(crate) released: Option<EventTime>,
}

/// What a call began with, to return to when it fails.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    productions: usize,
    weak_productions: usize,
    writes: usize,
    counters: Counters,
    bytes: usize,
    numbered: u32,
}

impl Mark {
    /// Bytes of effects when the call began.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Batch {
    pub(crate) fn new(number: CommitNumber) -> Self {
        Self { number, ..Self::default() }
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            productions: self.productions.len(),
            weak_productions: self.weak_productions.len(),
            writes: self.writes.len(),
            counters: self.counters,
            bytes: self.bytes,
            numbered: self.numbered,
        }
    }

    pub(crate) fn return_to(&mut self, mark: Mark) {
        self.productions.truncate(mark.productions);
        self.weak_productions.truncate(mark.weak_productions);
        self.writes.truncate(mark.writes);
        self.counters = mark.counters;
        self.bytes = mark.bytes;
        self.numbered = mark.numbered;
    }

    /// One record of a delivery is settled once this batch has committed (I4).
    pub(crate) fn settle(&mut self, receipt: ReceiptId) {
        match self.settled.last_mut() {
            Some((last, count)) if *last == receipt => *count += 1,
            _ => self.settled.push((receipt, 1)),
        }
    }

    pub(crate) fn write(&mut self, write: Write) {
        self.bytes += write.size_bytes();
        self.writes.push(write);
    }

    /// A number for a parked record or dead letter: larger than every earlier one of its key.
    pub(crate) fn next_number(&mut self) -> u64 {
        let number = (self.number.0 << 20) | u64::from(self.numbered);
        self.numbered += 1;
        number
    }

    /// Whether it holds nothing that must be committed.
    pub(crate) fn is_empty(&self) -> bool {
        self.calls == 0 && self.ids.is_empty() && self.settled.is_empty() && self.writes.is_empty()
    }

    /// The earliest event time it holds: that of its productions, which are not yet in the outbox.
    pub(crate) fn hold(&self) -> EventTime {
        let productions =
            self.productions.iter().chain(&self.weak_productions).map(|p| p.item.record.event_time).min();
        productions.into_iter().chain(self.released).min().unwrap_or(EventTime::MAX)
    }
}

/// A batch whose commit is under way.
#[derive(Debug)]
pub(crate) struct SealedBatch {
    pub(crate) number: CommitNumber,
    /// Records that it processes.
    pub(crate) records: u64,
    pub(crate) ids: Vec<RecordId>,
    pub(crate) packed: Vec<PackedEntry>,
    pub(crate) settled: Vec<(ReceiptId, usize)>,
    pub(crate) productions: Vec<Production>,
    pub(crate) chunk_keys: Vec<Bytes>,
    pub(crate) rows: SealedRows,
    pub(crate) removed_chunks: Vec<ChunkId>,
    /// The dead letters that it replays.
    pub(crate) replayed: BTreeSet<Bytes>,
    /// The writes of its commit; `None` once the commit has begun.
    pub(crate) writes: Option<Vec<Write>>,
    /// The fence after it.
    pub(crate) update: FenceUpdate,
    /// It sent weak productions, and waits for their acknowledgement until then.
    pub(crate) weak_until: Option<ProcessingTime>,
    /// The earliest event time it holds.
    pub(crate) hold: EventTime,
    /// The oldest system time among its productions.
    pub(crate) oldest_id: Option<SystemTime>,
}
