//! The owners of the two intervals, as far as watermarks go: a producer that reads records from outside, and a consumer
//! that holds each for a while. What they hold is the truth that no announced value may pass.
//!
//! They are the model's own, for the engine's are another crate's: `Core::low_watermark` (the minimum of applied input and
//! holds), `Recovery::recover` (fence first, then what the store holds) and `Session::hear_announced` (of all that was
//! heard the greatest).

use pelton_domain::EventTime;

pub(crate) const PRODUCER: usize = 0;
pub(crate) const CONSUMER: usize = 1;

/// A set of records: bit n is the record of event time n.
type Records = u8;

/// What the store holds of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    /// The fence: the reign that may write.
    pub(crate) reign: u64,
    /// The input watermark in the fence.
    pub(crate) input: EventTime,
    /// The producer: the next record that it reads.
    pub(crate) next: u8,
    /// The producer: what it has made and not removed.
    pub(crate) outbox: Records,
    /// The consumer: what it has admitted.
    pub(crate) seen: Records,
    /// The consumer: what it has admitted and not done with, by timers.
    pub(crate) held: Records,
}

impl Row {
    pub(crate) const FIRST: Self =
        Self { reign: 0, input: EventTime::MIN, next: 1, outbox: 0, seen: 0, held: 0 };
}

/// One reign, in its worker's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) row: Row,
    pub(crate) acknowledged: Records,
    pub(crate) applied: EventTime,
}

impl Owner {
    /// What it holds beside its input.
    pub(crate) fn hold(&self, stage: usize, records: u8, outbox_held: bool) -> EventTime {
        match stage {
            PRODUCER => {
                let outbox = if outbox_held { self.row.outbox & !self.acknowledged } else { 0 };
                to_come(&self.row, records).min(earliest(outbox))
            }
            _ => earliest(self.row.held),
        }
    }
}

/// Two rows in the store: what no value that is announced of either stage may pass.
pub(crate) fn bounds(rows: &[Row; 2], records: u8) -> [EventTime; 2] {
    let [producer, consumer] = rows;
    let under_way = producer.outbox & !consumer.seen;
    let first = to_come(producer, records).min(earliest(under_way));
    [first, first.min(earliest(consumer.held))]
}

fn to_come(row: &Row, records: u8) -> EventTime {
    if row.next > records { EventTime::MAX } else { EventTime::from_secs(i64::from(row.next)) }
}

pub(crate) fn earliest(records: Records) -> EventTime {
    if records == 0 { EventTime::MAX } else { EventTime::from_secs(i64::from(records.trailing_zeros())) }
}
