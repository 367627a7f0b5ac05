//! The fence record: bounds, owner, the token of its last commit, and what that commit relied on.

use bytes::Bytes;
use pelton_domain::{
    AttemptToken, CommitNumber, EventTime, Incarnation, KeyInterval, KeyPosition, Sequencer, SystemTime,
};
use pelton_proto::convert::{self, Malformed};
use pelton_proto::{Message, store};

/// The fence of one interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The positions it guards.
    pub interval: KeyInterval,
    /// Who owns it; nobody after creation and after a split that left a part without an owner.
    pub sequencer: Option<Sequencer>,
    /// Commits so far, through all reigns.
    pub commit_number: CommitNumber,
    /// The attempt that wrote this.
    pub token: AttemptToken,
    /// Ids of earlier system times are forgotten, and known to be duplicates (I6).
    pub dedup_horizon: SystemTime,
    /// The input low watermark that the owner has acted on (I7).
    pub input_watermark: EventTime,
    /// The least system time that a later id may carry (I6).
    pub id_time_floor: SystemTime,
    /// Former intervals whose packed dedup entries must be consulted.
    pub ancestors: Vec<Ancestor>,
    /// The life of the store this reign began in.
    pub incarnation: Incarnation,
    /// What the interval has done, each count committed with the work.
    pub counters: Counters,
}

/// A former interval that covered positions of this one: its packed dedup entries stay under its first position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Under which first position they lie.
    pub first: KeyPosition,
    /// The last commit whose entries count.
    pub last_commit: CommitNumber,
    /// When the dedup horizon reaches this, nothing of the ancestor is needed any more.
    pub expires: SystemTime,
}

/// Totals of an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records processed.
    pub records: u64,
    /// Duplicates dropped (only those beside work that was committed anyway).
    pub duplicates: u64,
    /// Records that user code dropped as late.
    pub late_dropped: u64,
    /// Records and rows given up.
    pub dead_lettered: u64,
    /// Timers fired.
    pub timers_fired: u64,
    /// Productions made.
    pub productions: u64,
}

impl Counters {
    /// Adds `other` to it, count by count.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.duplicates += other.duplicates;
        self.late_dropped += other.late_dropped;
        self.dead_lettered += other.dead_lettered;
        self.timers_fired += other.timers_fired;
        self.productions += other.productions;
    }
}

/// What a commit changes in its fence, besides commit number and token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceUpdate {
    /// See [`Fence::dedup_horizon`].
    pub dedup_horizon: SystemTime,
    /// See [`Fence::input_watermark`].
    pub input_watermark: EventTime,
    /// See [`Fence::id_time_floor`].
    pub id_time_floor: SystemTime,
    /// See [`Fence::counters`].
    pub counters: Counters,
}

impl Fence {
    /// The fence after one more commit, by the attempt `token`.
    ///
    /// # Panics
    /// Where the update would take horizon, input watermark or id floor back (I6, I7): a bug of the caller.
    #[must_use]
    pub fn after_commit(&self, update: &FenceUpdate, token: AttemptToken) -> Self {
        assert!(update.dedup_horizon >= self.dedup_horizon, "I6: the dedup horizon went back");
        assert!(update.input_watermark >= self.input_watermark, "I7: the input watermark went back");
        assert!(update.id_time_floor >= self.id_time_floor, "I6: the id time floor went back");
        let expired = |ancestor: &Ancestor| ancestor.expires <= update.dedup_horizon;
        Self {
            commit_number: self.commit_number.next(),
            token,
            dedup_horizon: update.dedup_horizon,
            input_watermark: update.input_watermark,
            id_time_floor: update.id_time_floor,
            ancestors: self.ancestors.iter().filter(|a| !expired(a)).copied().collect(),
            counters: update.counters,
            ..*self
        }
    }

    /// What its owner would write if nothing but the commit number changed.
    #[must_use]
    pub fn unchanged(&self) -> FenceUpdate {
        FenceUpdate {
            dedup_horizon: self.dedup_horizon,
            input_watermark: self.input_watermark,
            id_time_floor: self.id_time_floor,
            counters: self.counters,
        }
    }

    /// Its stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let ancestor = |a: &Ancestor| store::Ancestor {
            first_position: a.first.0,
            last_commit: a.last_commit.0,
            expires_ms: a.expires.as_millis(),
        };
        let Counters { records, duplicates, late_dropped, dead_lettered, timers_fired, productions } =
            self.counters;
        let message = store::Fence {
            first_position: self.interval.first().0,
            last_position: self.interval.last().0,
            sequencer: self.sequencer.map_or(0, Sequencer::get),
            commit_number: self.commit_number.0,
            token: Bytes::copy_from_slice(&self.token.0.to_be_bytes()),
            dedup_horizon_ms: self.dedup_horizon.as_millis(),
            input_watermark_us: self.input_watermark.as_micros(),
            id_time_floor_ms: self.id_time_floor.as_millis(),
            ancestors: self.ancestors.iter().map(ancestor).collect(),
            incarnation: Bytes::copy_from_slice(self.incarnation.0.as_bytes()),
            counters: Some(store::Counters {
                records,
                duplicates,
                late_dropped,
                dead_lettered,
                timers_fired,
                productions,
            }),
        };
        message.encode_to_vec().into()
    }

    /// The fence in its stored form.
    ///
    /// # Errors
    /// [`Malformed`] where it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let message: store::Fence = convert::decode("fence", bytes)?;
        let counters = message.counters.unwrap_or_default();
        let ancestor = |a: &store::Ancestor| Ancestor {
            first: KeyPosition(a.first_position),
            last_commit: CommitNumber(a.last_commit),
            expires: SystemTime::from_millis(a.expires_ms),
        };
        Ok(Self {
            interval: convert::interval(message.first_position, message.last_position)?,
            sequencer: Sequencer::new(message.sequencer),
            commit_number: CommitNumber(message.commit_number),
            token: convert::attempt_token(&message.token)?,
            dedup_horizon: SystemTime::from_millis(message.dedup_horizon_ms),
            input_watermark: EventTime::from_micros(message.input_watermark_us),
            id_time_floor: SystemTime::from_millis(message.id_time_floor_ms),
            ancestors: message.ancestors.iter().map(ancestor).collect(),
            incarnation: convert::incarnation(&message.incarnation)?,
            counters: Counters {
                records: counters.records,
                duplicates: counters.duplicates,
                late_dropped: counters.late_dropped,
                dead_lettered: counters.dead_lettered,
                timers_fired: counters.timers_fired,
                productions: counters.productions,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fence() -> Fence {
        Fence {
            interval: KeyInterval::new(KeyPosition(3), KeyPosition(9)).unwrap(),
            sequencer: Sequencer::new(5),
            commit_number: CommitNumber(12),
            token: AttemptToken(77),
            dedup_horizon: SystemTime::from_millis(100),
            input_watermark: EventTime::MIN,
            id_time_floor: SystemTime::from_millis(200),
            ancestors: vec![Ancestor {
                first: KeyPosition(0),
                last_commit: CommitNumber(4),
                expires: SystemTime::from_millis(300),
            }],
            incarnation: Incarnation(uuid::Uuid::from_u128(9)),
            counters: Counters {
                records: 1,
                duplicates: 2,
                late_dropped: 3,
                dead_lettered: 4,
                timers_fired: 5,
                productions: 6,
            },
        }
    }

    #[test]
    fn a_fence_survives_the_round_trip() {
        assert_eq!(Fence::decode(&fence().encode()).unwrap(), fence());
        assert!(Fence::decode(b"\xff\xff").is_err());
        assert!(Fence::decode(b"").unwrap_err().to_string().contains("16"), "an empty message has no token");
    }

    #[test]
    fn an_ancestor_is_forgotten_once_the_horizon_reaches_its_end() {
        let update = |ms| FenceUpdate { dedup_horizon: SystemTime::from_millis(ms), ..fence().unchanged() };
        assert_eq!(fence().after_commit(&update(299), AttemptToken(1)).ancestors.len(), 1);
        assert_eq!(fence().after_commit(&update(300), AttemptToken(1)).ancestors.len(), 0);
    }

    #[test]
    #[should_panic(expected = "I7")]
    fn an_input_watermark_never_goes_back() {
        let later = Fence { input_watermark: EventTime::from_secs(5), ..fence() };
        let _ = later.after_commit(&fence().unchanged(), AttemptToken(1));
    }
}
