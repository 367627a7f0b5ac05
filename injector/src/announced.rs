//! What the authority has announced: two values per computation that never go back (I7), and their snapshot.

use crate::end::End;
use pelton_domain::{EventTime, Sequencer, SystemTime};
use std::collections::BTreeMap;

/// Two promises, of one interval or of all intervals of one computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The low watermark of what it produces: no record of an earlier event time, late ones apart.
    pub low_watermark: EventTime,
    /// No id that it sends from now on has an earlier system time (I6).
    pub oldest_unacknowledged: SystemTime,
}

impl Announced {
    /// Nothing is promised: minus infinity and zero.
    pub const LEAST: Self = Self { low_watermark: EventTime::MIN, oldest_unacknowledged: SystemTime::ZERO };
    /// Nothing comes any more.
    pub const MOST: Self = Self { low_watermark: EventTime::MAX, oldest_unacknowledged: SystemTime::MAX };

    /// The lesser of each: what two promises are worth together.
    #[must_use]
    pub fn least_of(self, other: Self) -> Self {
        Self {
            low_watermark: self.low_watermark.min(other.low_watermark),
            oldest_unacknowledged: self.oldest_unacknowledged.min(other.oldest_unacknowledged),
        }
    }

    /// The greater of each: a promise once made stays made.
    #[must_use]
    pub fn greatest_of(self, other: Self) -> Self {
        Self {
            low_watermark: self.low_watermark.max(other.low_watermark),
            oldest_unacknowledged: self.oldest_unacknowledged.max(other.oldest_unacknowledged),
        }
    }

    /// Whether neither of the two is less than in `other`.
    #[must_use]
    pub fn is_at_least(self, other: Self) -> bool {
        self.greatest_of(other) == self
    }
}

impl Default for Announced {
    fn default() -> Self {
        Self::LEAST
    }
}

/// What stands announced of every computation of a pipeline: an immutable snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncedTable {
    epoch: Sequencer,
    announced: BTreeMap<u32, Announced>,
    end: Option<End>,
}

impl AnnouncedTable {
    /// The table of `announced`, by the leader `epoch`.
    #[must_use]
    pub fn new(epoch: Sequencer, announced: impl IntoIterator<Item = (u32, Announced)>) -> Self {
        Self { epoch, announced: announced.into_iter().collect(), end: None }
    }

    /// Which leadership announced it: a later one is larger.
    #[must_use]
    pub fn epoch(&self) -> Sequencer {
        self.epoch
    }

    /// What stands announced of `computation`; [`Announced::LEAST`] where nothing was.
    #[must_use]
    pub fn of(&self, computation: u32) -> Announced {
        self.announced.get(&computation).copied().unwrap_or_default()
    }

    /// Everything announced, by computation.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Announced)> {
        self.announced.iter().map(|(computation, announced)| (*computation, *announced))
    }

    /// Whether everything is done: plus infinity for every computation that has an entry.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.announced.values().all(|announced| announced.low_watermark == EventTime::MAX)
    }

    /// Why no later table comes from this injector; `None` while it works. What stands in the table stays true.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The same table as the last one, because of `end`.
    pub(crate) fn ended(&self, end: End) -> Self {
        Self { end: Some(end), ..self.clone() }
    }
}
