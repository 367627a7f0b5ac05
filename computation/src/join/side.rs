//! Which of two streams a record is of, pairs of records, and how far apart they may be.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A record of one of two streams. A [`WindowFn`](crate::window::WindowFn) of one's own sees it where streams are
/// joined by windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side<A, B> {
    /// Of the stream that is joined.
    Left(A),
    /// Of the stream it is joined with.
    Right(B),
}

/// What a full join tells: two records that have met, or one that has met none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair<A, B> {
    /// They have met.
    Both(A, B),
    /// Nothing on the right has met it.
    Left(A),
    /// Nothing on the left has met it.
    Right(B),
}

/// How far the event time of a right record may be from that of a left one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offset {
    micros: i64,
}

impl Offset {
    /// At the same time.
    pub const ZERO: Self = Self { micros: 0 };

    /// The right record is so much earlier.
    #[must_use]
    pub fn before(by: Duration) -> Self {
        Self { micros: -whole(by) }
    }

    /// The right record is so much later.
    #[must_use]
    pub fn after(by: Duration) -> Self {
        Self { micros: whole(by) }
    }

    pub(crate) const fn micros(self) -> i64 {
        self.micros
    }
}

fn whole(by: Duration) -> i64 {
    i64::try_from(by.as_micros()).unwrap_or(i64::MAX)
}
