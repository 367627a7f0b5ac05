//! What happened in a run, in the order in which it happened: what the store applied, and what the intervals sent
//! each other. Rows that say nothing to the checker are left out by whoever records.

use crate::journal::{Entry, Node, Packet, TimerName};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The store applied a commit.
    Commit(Box<Commit>),
    /// An interval sent another one something.
    Letter(Letter),
}

/// The fence of an interval, as a commit wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Of which computation.
    pub computation: u16,
    /// The interval's first key position.
    pub first: u64,
    /// And its last.
    pub last: u64,
    /// The reign; 0 is nobody's.
    pub sequencer: u64,
    /// The number of the commit.
    pub commit_number: u64,
    /// Unique to the attempt.
    pub token: Vec<u8>,
    /// The input watermark that was applied.
    pub input_watermark_us: i64,
}

/// The name of a row of the store, for rows that come and go as they are.
pub type Row = Vec<u8>;

/// A production that waits to be acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its id.
    pub id: u128,
    /// On which stream.
    pub stream: u16,
    /// To which key.
    pub key: u64,
    /// What it carries.
    pub packet: Packet,
    /// Its event time.
    pub event_time_us: i64,
}

/// A record whose code fails, and that waits with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Which key waits.
    pub node: Node,
    /// What it carries.
    pub packet: Packet,
    /// Its event time.
    pub event_time_us: i64,
}

/// A timer as the store has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerRow {
    /// Of which key.
    pub node: Node,
    /// Which.
    pub name: TimerName,
    /// When it is to fire and what it holds; `None` where the commit removed it.
    pub set: Option<(i64, i64)>,
}

/// What the injector journaled for a computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Of which.
    pub computation: u16,
    /// Its low watermark.
    pub low_watermark_us: i64,
    /// No id that it will still send is older.
    pub oldest_unacknowledged_ms: u64,
}

/// What a commit changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Fences written.
    pub fences: Vec<Fence>,
    /// Fences deleted: computation and last position.
    pub fences_removed: Vec<(u16, u64)>,
    /// Rows of keys and intervals that were written or deleted: computation, kind and key position.
    pub touched: Vec<(u16, char, u64)>,
    /// Steps.
    pub entries: Vec<(Node, Entry)>,
    /// Dead letters.
    pub dead: Vec<(Node, Packet)>,
    /// Records parked.
    pub parked: Vec<(Row, Parked)>,
    /// Parked no more.
    pub parked_removed: Vec<Row>,
    /// Timers set and removed.
    pub timers: Vec<TimerRow>,
    /// Productions journaled, by their producer's computation.
    pub outbox: Vec<(Row, u16, Vec<Pending>)>,
    /// Productions forgotten.
    pub outbox_removed: Vec<Row>,
    /// Ids remembered, by computation.
    pub ids: Vec<(Row, u16, Vec<u128>)>,
    /// Ids forgotten, as ranges of rows, the end left out.
    pub ids_removed: Vec<(Row, Row)>,
    /// What the injector announced.
    pub announced: Vec<Announced>,
}

/// One reign over one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Party {
    /// Of which computation.
    pub computation: u16,
    /// The interval's first key position.
    pub first: u64,
    /// The reign.
    pub sequencer: u64,
}

/// What one interval sent another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Who.
    pub from: Party,
    /// To whom.
    pub to: Party,
    /// The channel's epoch.
    pub epoch: u64,
    /// The number in it.
    pub number: u64,
    /// What it is.
    pub content: Content,
}

/// What a letter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Records.
    Delivery(Vec<Pending>),
    /// They are settled.
    Acknowledgement,
    /// Something before them is missing.
    Refusal,
}
