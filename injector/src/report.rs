//! What the owner of an interval reports, and why a report is refused. Plain values.

use pelton_domain::{EventTime, Key, KeyInterval, Sequencer, SystemTime};
use std::fmt;

/// What the owner of one interval says of it.
///
/// Watermarks are no consistent cut (I7), so `low_watermark` is one number that the owner has made: the
/// minimum of the input watermark that it has **applied** and of all its holds. A report begins to count when the
/// owner's take-over scan has ended; none may be sent before.
///
/// Within a reign, `low_watermark` may fall (a late record is a hold too); what was announced stays. Reports
/// of one reign should arrive in order: if an older one overtakes a newer one, the interval holds at the
/// older value until its next report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntervalReport {
    /// The computation's number.
    pub computation: u32,
    /// The exact bounds that were assigned.
    pub interval: KeyInterval,
    /// The reign it comes from.
    pub sequencer: Sequencer,
    /// The minimum of the applied input watermark and all holds.
    pub low_watermark: EventTime,
    /// A promise: every id that this interval sends later has at least this system time, through moves too.
    pub oldest_unacknowledged: SystemTime,
    /// What `low_watermark` waits for; `None` where it just follows its input.
    pub holder: Option<Holder>,
    /// How much work the interval is.
    pub load: Load,
}

/// What keeps an interval's low watermark where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Of which kind.
    pub what: HolderKind,
    /// Whose, where it belongs to one key.
    pub key: Option<Key>,
}

/// The kinds of holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HolderKind {
    /// The applied input watermark: nothing of its own, it waits for a producer.
    Input,
    /// A record that waits to be processed, or whose batch is not committed.
    Pending,
    /// A production that is not acknowledged.
    Outbox,
    /// A timer's output time.
    Timer,
    /// A record of a key whose code fails.
    Parked,
    /// A hold that user code set.
    Explicit,
    /// A source's or an ingest's own estimate of what is still to come from outside.
    Source,
}

impl HolderKind {
    /// Its name, for messages and labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Pending => "pending record",
            Self::Outbox => "unacknowledged production",
            Self::Timer => "timer",
            Self::Parked => "parked record",
            Self::Explicit => "explicit hold",
            Self::Source => "source",
        }
    }
}

impl fmt::Display for HolderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{} of key {key}", self.what),
            None => self.what.fmt(f),
        }
    }
}

/// How much work an interval is, as its owner measures it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// The share of one processor that it keeps busy, in thousandths.
    pub busy_permille: u32,
    /// The memory that it holds: cache, filters, mailbox, timers.
    pub memory_bytes: u64,
}

impl Load {
    /// What two intervals would be as one.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            busy_permille: self.busy_permille.saturating_add(other.busy_permille),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
        }
    }
}

/// What became of an accepted report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The computation can now advance.
    Advances,
    /// It stays where it is: another interval holds it, or nothing changed.
    Holds,
}

/// Why a report was refused. It changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportRefused {
    /// There is no such computation in the graph.
    #[error("computation {computation} is not in the graph")]
    NoSuchComputation {
        /// Which number.
        computation: u32,
    },
    /// These bounds are assigned to nobody: the interval was split or merged, or never assigned. Stop work on it.
    #[error("{interval} of computation {computation} is not assigned in these bounds")]
    NotAssigned {
        /// Which computation.
        computation: u32,
        /// The reported bounds.
        interval: KeyInterval,
    },
    /// A newer reign is assigned. Stop work on the interval.
    #[error("the report of reign {reported} came too late: {interval} is assigned to {assigned}")]
    Stale {
        /// Which interval.
        interval: KeyInterval,
        /// The report's reign.
        reported: Sequencer,
        /// The assigned one.
        assigned: Sequencer,
    },
    /// This authority never assigned that reign: another leads. Report to that one.
    #[error("reign {reported} over {interval} is newer than the assigned {assigned}: another injector leads")]
    Ahead {
        /// Which interval.
        interval: KeyInterval,
        /// The report's reign.
        reported: Sequencer,
        /// The assigned one.
        assigned: Sequencer,
    },
    /// The injector has ended. Look for its successor.
    #[error("the injector has ended")]
    Ended,
}

impl ReportRefused {
    /// A short name of the reason, for labels.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoSuchComputation { .. } => "no_such_computation",
            Self::NotAssigned { .. } => "not_assigned",
            Self::Stale { .. } => "stale",
            Self::Ahead { .. } => "ahead",
            Self::Ended => "ended",
        }
    }
}
