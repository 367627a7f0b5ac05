//! When a standby takes the lead: a pure decision over what it read and when.
//!
//! A leader writes its record again at least every third of the lease, each time with another token. A standby that
//! has seen the same bytes for a whole lease, by its own clock, takes the lead; so clocks are never compared.
//!
//! I7 does not depend on it. A standby that is wrong, because the leader was only slow or its own clock runs fast,
//! deposes a living leader: that one's next commit is refused, and it says nothing new.

use crate::leader;
use bytes::Bytes;
use std::time::Duration;

/// What a standby has seen of the leader.
#[derive(Clone, Debug)]
pub struct Election {
    lease: Duration,
    /// The record as last read, and since when it has been the same; `None` before the first look.
    seen: Option<(Option<Bytes>, Duration)>,
}

/// What to do after a look at the leader's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody leads, reached at the address where it is known.
    StandBy {
        /// HOST:PORT.
        address: Option<String>,
    },
    /// Nobody leads. Take the lead from exactly this record.
    Take {
        /// What stands.
        from: Option<Bytes>,
    },
}

impl Election {
    /// Begins to watch, with nothing seen.
    #[must_use]
    pub fn new(lease: Duration) -> Self {
        Self { lease, seen: None }
    }

    /// What follows from `record`, read at `now` by a monotonic clock of this process.
    pub fn observe(&mut self, record: Option<Bytes>, now: Duration) -> Verdict {
        if record.is_none() {
            self.seen = None;
            return Verdict::Take { from: None };
        }
        let since = match &self.seen {
            Some((seen, since)) if *seen == record => *since,
            _ => now,
        };
        let silent = now.saturating_sub(since) >= self.lease;
        let standing = record.as_deref().and_then(|bytes| leader::decode(bytes).ok());
        self.seen = Some((record.clone(), since));
        if silent {
            return Verdict::Take { from: record };
        }
        let address = standing.map(|standing| standing.address).filter(|address| !address.is_empty());
        Verdict::StandBy { address }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_proto::{Message, store};

    fn record(token: u8) -> Option<Bytes> {
        let token = Bytes::copy_from_slice(&[token; 16]);
        let leader = store::Leader { sequencer: 3, token, address: "h:1".to_owned() };
        Some(leader.encode_to_vec().into())
    }

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_leader_that_renews_is_left_in_place_and_one_that_does_not_is_followed() {
        let mut election = Election::new(at(2_000));
        let stand_by = Verdict::StandBy { address: Some("h:1".to_owned()) };
        for (ms, token) in [(0, 1), (1_999, 1), (2_000, 2), (3_999, 2), (4_100, 3), (6_099, 3)] {
            assert_eq!(election.observe(record(token), at(ms)), stand_by, "at {ms} ms");
        }
        assert_eq!(election.observe(record(3), at(6_100)), Verdict::Take { from: record(3) });
    }

    #[test]
    fn where_nobody_ever_led_the_lead_is_taken_at_once() {
        let mut election = Election::new(at(2_000));
        assert_eq!(election.observe(None, at(0)), Verdict::Take { from: None });
    }

    #[test]
    fn the_first_look_never_takes_the_lead_from_anybody() {
        let mut election = Election::new(at(2_000));
        assert!(matches!(election.observe(record(1), at(900_000)), Verdict::StandBy { .. }));
    }
}
