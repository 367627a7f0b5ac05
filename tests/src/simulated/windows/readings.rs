//! A source out of order, of which it is known what comes in time: what windows make of it does not depend on how the
//! watermark goes on in a run (I12).
//!
//! Two splits with a slot of event time for each of their readings, blocks of which come shuffled. The watermark is as
//! far as it can be: at the earliest reading in time that is still to come. Some readings may be kept back for some
//! blocks, and come behind it. Each reading says itself whether it is in time.

use pelton::source::{Chunk, ChunkRequest, Next, SourceError, SourceRecord, SplitReader, SplitSource};
use pelton::{EventTime, Failure, Key, Stream};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The stream that gives the source its name.
pub(super) static READINGS: Stream<Reading> = Stream::new("readings");

/// How many readings a split has.
const SLOTS: u64 = 120;
/// How many splits there are. The readings of a key are all of one split, so their order is known.
const SPLITS: u64 = 2;
/// How many keys there are.
const KEYS: u64 = 4;
/// Where each slot of a block comes in its block: no key has its readings in order.
const PLACES: [u64; 8] = [3, 6, 0, 5, 1, 7, 4, 2];
/// How many readings come at a time.
const CHUNK: usize = 5;
const PAUSE: Duration = Duration::from_millis(100);
/// Two nights before the clocks of Berlin go forward: 2026-03-28, midnight, UTC.
const FIRST: EventTime = EventTime::from_secs(1_774_656_000);
const STEP: Duration = Duration::from_secs(900);

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Its number by event time, among those of both splits.
    pub number: u64,
    /// Whether it comes before the watermark has passed it.
    pub in_time: bool,
}

impl Reading {
    /// When it was.
    #[must_use]
    pub fn at(&self) -> EventTime {
        FIRST.plus(STEP * u32::try_from(self.number).unwrap_or(u32::MAX))
    }

    /// What it is of.
    #[must_use]
    pub fn key(&self) -> String {
        format!("k{}", self.number % KEYS)
    }
}

/// The source.
#[derive(Clone, Copy, Debug)]
pub struct Readings {
    /// Whether some are late.
    pub late: bool,
}

impl Readings {
    /// Every reading, each split's in the order in which they come.
    #[must_use]
    pub fn all(self) -> Vec<Reading> {
        (0..SPLITS).flat_map(|split| self.of(split)).collect()
    }

    fn of(self, split: u64) -> Vec<Reading> {
        let mut slots: Vec<u64> = (0..SLOTS).collect();
        let block = PLACES.len() as u64;
        let place = |slot: u64| usize::try_from(slot % block).ok().and_then(|at| PLACES.get(at));
        slots.sort_by_key(|slot| (slot / block + self.blocks_late(*slot), place(*slot)));
        let reading = |slot| Reading { number: slot * SPLITS + split, in_time: self.blocks_late(slot) == 0 };
        slots.into_iter().map(reading).collect()
    }

    /// How many blocks a reading is kept back.
    fn blocks_late(self, slot: u64) -> u64 {
        if self.late && slot % 9 == 4 { 2 + slot % 5 } else { 0 }
    }
}

impl SplitSource for Readings {
    type Value = Reading;
    type Split = u64;
    type Cursor = u64;
    type Reader = Rest;

    fn validate(&self) -> Result<(), SourceError> {
        Ok(())
    }

    async fn splits(&self) -> Result<Vec<(Key, u64)>, Failure> {
        Ok((0..SPLITS).map(|split| (Key::from(split), split)).collect())
    }

    async fn open(&self, split: &u64, from: Option<&u64>) -> Result<Rest, Failure> {
        Ok(Rest { readings: self.of(*split), from: from.copied().unwrap_or(0) })
    }
}

/// What is still to come of a split.
#[derive(Debug)]
pub struct Rest {
    readings: Vec<Reading>,
    from: u64,
}

impl SplitReader for Rest {
    type Value = Reading;
    type Cursor = u64;

    async fn next_chunk(&mut self, request: ChunkRequest) -> Result<Chunk<Reading, u64>, Failure> {
        let from = usize::try_from(self.from).map_err(Failure::stop)?;
        let to = (from + CHUNK.min(request.rows_max)).min(self.readings.len());
        let (before, rest) = self.readings.split_at(to);
        let come = before.iter().skip(from).map(|reading| SourceRecord {
            key: Key::from(reading.key()),
            event_time: reading.at(),
            value: *reading,
            origin: reading.number,
        });
        let records = come.collect();
        let end = Reading { number: SLOTS * SPLITS, in_time: true };
        let in_time = rest.iter().chain([&end]).filter(|reading| reading.in_time);
        let watermark = in_time.map(Reading::at).min().unwrap_or(EventTime::MIN);
        let next = if rest.is_empty() { Next::End } else { Next::Idle(PAUSE) };
        self.from = to as u64;
        Ok(Chunk { records, rejected: Vec::new(), cursor: self.from, watermark, next })
    }
}
