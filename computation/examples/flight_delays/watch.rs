//! When deviations become an alert: several in a row, the same way; and when it clears.

use crate::hour::Hour;
use crate::usual::Direction;
use serde::{Deserialize, Serialize};

/// How many buckets in a row raise an alert, and how many in a row clear it.
pub(crate) const IN_A_ROW: u32 = 3;

/// Deviations in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Streak {
    /// Which way.
    pub(crate) direction: Direction,
    /// The bucket it began with.
    pub(crate) since: Hour,
    /// How many buckets deviated.
    pub(crate) buckets: u32,
}

/// What one signal of one airport is up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Watch {
    /// All as usual.
    #[default]
    Calm,
    /// Deviations, too few for an alert.
    Suspicious(Streak),
    /// An alert is open; so many buckets in a row did not deviate its way.
    Alert(Streak, u32),
}

/// What a bucket changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// An alert was raised.
    Raised(Streak),
    /// An alert was cleared.
    Cleared(Streak),
}

impl Watch {
    /// The next bucket, in order of time, and whether it deviates.
    pub(crate) fn see(&mut self, hour: Hour, deviation: Option<Direction>) -> Option<Change> {
        let (next, change) = self.after(hour, deviation);
        *self = next;
        change
    }

    fn after(self, hour: Hour, deviation: Option<Direction>) -> (Self, Option<Change>) {
        match (self, deviation) {
            (Self::Calm | Self::Suspicious(_), None) => (Self::Calm, None),
            (Self::Suspicious(streak), Some(direction)) if streak.direction == direction => {
                let streak = Streak { buckets: streak.buckets.saturating_add(1), ..streak };
                if streak.buckets < IN_A_ROW {
                    (Self::Suspicious(streak), None)
                } else {
                    (Self::Alert(streak, 0), Some(Change::Raised(streak)))
                }
            }
            (Self::Calm | Self::Suspicious(_), Some(direction)) => {
                (Self::Suspicious(Streak { direction, since: hour, buckets: 1 }), None)
            }
            (Self::Alert(streak, _), Some(direction)) if streak.direction == direction => {
                (Self::Alert(Streak { buckets: streak.buckets.saturating_add(1), ..streak }, 0), None)
            }
            (Self::Alert(streak, calm), _) if calm + 1 < IN_A_ROW => (Self::Alert(streak, calm + 1), None),
            (Self::Alert(streak, _), _) => (Self::Calm, Some(Change::Cleared(streak))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Dip, Spike};

    /// What a watch says to deviations at 0, 1, 2, .. o'clock.
    fn changes(deviations: &[Option<Direction>]) -> Vec<(usize, Change)> {
        let mut watch = Watch::default();
        let see = |(at, deviation): (usize, &Option<Direction>)| Some((at, watch.see(hour(at), *deviation)?));
        deviations.iter().enumerate().filter_map(see).collect()
    }

    fn hour(of_day: usize) -> Hour {
        format!("2013-01-01T{of_day:02}:00:00Z").parse().unwrap()
    }

    fn streak(direction: Direction, since: usize, buckets: u32) -> Streak {
        Streak { direction, since: hour(since), buckets }
    }

    #[test]
    fn three_in_a_row_raise_and_three_without_clear() {
        let s = Some(Spike);
        let seen = changes(&[None, s, s, s, s, None, s, None, None, None, None]);
        let expected = [(3, Change::Raised(streak(Spike, 1, 3))), (9, Change::Cleared(streak(Spike, 1, 5)))];
        assert_eq!(seen, expected);
    }

    #[test]
    fn an_interrupted_row_begins_anew() {
        let (s, d) = (Some(Spike), Some(Dip));
        assert_eq!(changes(&[s, s, None, s, s, d, d, s, d]), []);
        assert_eq!(changes(&[s, s, d, d, d]), [(4, Change::Raised(streak(Dip, 2, 3)))]);
    }

    #[test]
    fn the_other_way_clears_as_calm_does() {
        let (s, d) = (Some(Spike), Some(Dip));
        let seen = changes(&[s, s, s, d, d, d]);
        assert_eq!(
            seen,
            [(2, Change::Raised(streak(Spike, 0, 3))), (5, Change::Cleared(streak(Spike, 0, 3)))]
        );
    }
}
