//! What a log knows of itself: which offsets it has, and blocks of them that go together. Pure.
//!
//! Offsets are given in order, without a gap, and what goes are always the oldest: so a log is one range (I10). A block
//! closes when it is full or has been open for a sixteenth of the time that records are kept.

use pelton_domain::ProcessingTime;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What closes a block.
const BLOCK_RECORDS: u64 = 256;
const BLOCK_BYTES: u64 = 256 << 10;
const BLOCK_AGE_SHARE: u32 = 16;

/// How much is kept (I11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) age: Duration,
    pub(crate) records_max: u64,
    pub(crate) bytes_max: u64,
}

impl Kept {
    /// Some blocks: so the block that records are added to never goes for its size.
    pub(crate) const RECORDS_MIN: u64 = 1_000;
    pub(crate) const BYTES_MIN: u64 = 1 << 20;
}

impl Default for Kept {
    fn default() -> Self {
        Self { age: Duration::from_secs(24 * 3600), records_max: 1_000_000, bytes_max: 256 << 20 }
    }
}

/// Records that go together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Block {
    pub(crate) first: u64,
    /// Behind its last.
    pub(crate) end: u64,
    bytes: u64,
    began_us: i64,
    ended_us: i64,
}

impl Block {
    fn at(first: u64) -> Self {
        Self { first, end: first, ..Self::default() }
    }

    fn is_full(&self, now: ProcessingTime, kept: &Kept) -> bool {
        let open_until = ProcessingTime::from_micros(self.began_us).plus(kept.age / BLOCK_AGE_SHARE);
        self.end > self.first
            && (self.end - self.first >= BLOCK_RECORDS || self.bytes >= BLOCK_BYTES || open_until <= now)
    }

    fn add(&mut self, bytes: u64, now: ProcessingTime) {
        if self.end == self.first {
            self.began_us = now.as_micros();
        }
        self.end += 1;
        self.bytes += bytes;
        self.ended_us = self.ended_us.max(now.as_micros());
    }

    /// When its newest record has been kept for long enough.
    pub(crate) fn expires(&self, kept: &Kept) -> ProcessingTime {
        ProcessingTime::from_micros(self.ended_us).plus(kept.age)
    }
}

/// One log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ledger {
    /// The oldest record that is kept.
    pub(crate) first: u64,
    /// The offset that the next record will have.
    pub(crate) next: u64,
    bytes: u64,
    /// The block that records are added to.
    pub(crate) open: Block,
}

impl Ledger {
    /// Gives a record of so many bytes its offset; and the block that closes before it.
    pub(crate) fn append(&mut self, bytes: u64, now: ProcessingTime, kept: &Kept) -> (u64, Option<Block>) {
        let full = self.open.is_full(now, kept);
        let closed = full.then(|| std::mem::replace(&mut self.open, Block::at(self.next)));
        let offset = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.open.add(bytes, now);
        (offset, closed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first == self.next
    }

    /// Whether there are more records or bytes than are kept.
    pub(crate) fn is_over(&self, kept: &Kept) -> bool {
        self.next - self.first > kept.records_max || self.bytes > kept.bytes_max
    }

    /// Takes off the oldest block.
    pub(crate) fn drop_oldest(&mut self, oldest: &Block) {
        if oldest.first == self.open.first {
            self.open = Block::at(self.next);
        }
        self.first = oldest.end;
        self.bytes = self.bytes.saturating_sub(oldest.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const KEPT: Kept = Kept { age: Duration::from_secs(160), records_max: 1_000, bytes_max: 1 << 20 };

    proptest! {
        /// Against a list of all records that are kept.
        #[test]
        fn i11_a_log_is_one_range_within_its_bounds(
            steps in proptest::collection::vec((0u64..20_000, 0u64..2), 0..3000),
        ) {
            let (mut ledger, mut blocks, mut kept) = (Ledger::default(), VecDeque::new(), VecDeque::new());
            let mut now = ProcessingTime::from_secs(1_000);
            for (bytes, seconds) in steps {
                now = now.plus(Duration::from_secs(seconds));
                let (offset, closed) = ledger.append(bytes, now, &KEPT);
                blocks.extend(closed);
                kept.push_back((offset, bytes, now));
                loop {
                    let oldest = *blocks.front().unwrap_or(&ledger.open);
                    let go = ledger.is_over(&KEPT) || (!ledger.is_empty() && oldest.expires(&KEPT) <= now);
                    if !go {
                        break;
                    }
                    blocks.pop_front();
                    ledger.drop_oldest(&oldest);
                    while kept.front().is_some_and(|(offset, ..)| *offset < oldest.end) {
                        kept.pop_front();
                    }
                }
                prop_assert_eq!(kept.front().map(|k| k.0), (!ledger.is_empty()).then_some(ledger.first));
                prop_assert_eq!(ledger.next - ledger.first, kept.len() as u64);
                prop_assert_eq!(ledger.bytes, kept.iter().map(|k| k.1).sum::<u64>());
                prop_assert!(ledger.next - ledger.first <= 1_000 && ledger.bytes <= 1 << 20);
                // Nothing is older than it may be, and nothing goes before its time but for its number or size.
                let oldest_max = KEPT.age + KEPT.age / BLOCK_AGE_SHARE;
                prop_assert!(kept.iter().all(|k| k.2.plus(oldest_max) >= now), "{:?} {now}", kept.front());
            }
        }
    }

    #[test]
    fn a_block_that_records_are_added_to_goes_when_it_has_expired() {
        let (mut ledger, now) = (Ledger::default(), ProcessingTime::from_secs(1_000));
        ledger.append(7, now, &KEPT);
        assert_eq!(ledger.open.expires(&KEPT), now.plus(KEPT.age));
        let open = ledger.open;
        ledger.drop_oldest(&open);
        assert!(ledger.is_empty() && ledger.bytes == 0);
        let later = now.plus(KEPT.age);
        assert_eq!(ledger.append(7, later, &KEPT), (1, None));
        assert_eq!((ledger.open.first, ledger.open.began_us), (1, later.as_micros()));
    }
}
