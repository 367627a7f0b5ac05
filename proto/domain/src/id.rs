//! Identities: of records, of reigns, of commits and of stores.

use crate::time::SystemTime;
use std::fmt;
use std::num::NonZeroU64;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

/// The identity of one record, stable through every resend (I6): a version 7 UUID.
///
/// | bits | strong production | weak production |
/// |---|---|---|
/// | 48 | sender-assigned [`SystemTime`] | that of the record that caused it |
/// | 44 of 74 | the sender's [`Sequencer`] | a hash of cause, computation and index |
/// | 30 of 74 | a counter within the millisecond | (the same hash) |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(Uuid);

impl RecordId {
    /// An id from its UUID; `None` where that is not a version 7 UUID, which carries its time.
    #[must_use]
    pub fn from_uuid(uuid: Uuid) -> Option<Self> {
        (uuid.get_version_num() == 7).then_some(Self(uuid))
    }

    /// The id of the `counter`th production of one millisecond in the reign `sequencer`.
    #[must_use]
    pub fn assigned(time: SystemTime, sequencer: Sequencer, counter: u32) -> Self {
        let low = (u128::from(sequencer.get()) << 30) | u128::from(counter & 0x3fff_ffff);
        Self::from_parts(time, low)
    }

    /// The id of the `index`th production that the record `cause` causes in the computation `computation`.
    ///
    /// The same cause makes the same id, so that a weak production made again is known again; its system
    /// time is the cause's, so that its contribution to the dedup horizon is at most that of the input.
    #[must_use]
    pub fn derived(cause: Self, computation: u32, index: u32) -> Self {
        let mut seed = [0u8; 24];
        let (id, rest) = seed.split_at_mut(16);
        id.copy_from_slice(cause.0.as_bytes());
        rest.copy_from_slice(&((u64::from(computation) << 32) | u64::from(index)).to_be_bytes());
        Self::from_parts(cause.system_time(), xxh3_128(&seed))
    }

    fn from_parts(time: SystemTime, low: u128) -> Self {
        let high = (low >> 62) & 0xfff;
        let bits = (u128::from(time.as_millis()) << 80)
            | (0x7 << 76)
            | (high << 64)
            | (0b10 << 62)
            | (low & ((1 << 62) - 1));
        Self(Uuid::from_u128(bits))
    }

    /// The system time that its sender gave it.
    #[must_use]
    pub fn system_time(self) -> SystemTime {
        SystemTime::from_millis(u64::try_from(self.0.as_u128() >> 80).unwrap_or(u64::MAX))
    }

    /// The UUID itself.
    #[must_use]
    pub fn as_uuid(self) -> Uuid {
        self.0
    }

    /// Its 16 bytes, in an order that sorts by system time first.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        *self.0.as_bytes()
    }

    /// The id in 16 bytes; `None` where they are no version 7 UUID.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        Self::from_uuid(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The token of one worker's reign over one interval (I1). A newer one is larger, and fences every older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequencer(NonZeroU64);

impl Sequencer {
    /// The first there is.
    pub const MIN: Self = Self(NonZeroU64::MIN);

    /// The sequencer numbered `number`; `None` for 0, which stands for "nobody" in stores.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// Its number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Sequencer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// How many commits an interval has seen, through all its reigns. A split's children go on from the parent's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitNumber(pub u64);

impl CommitNumber {
    /// The number after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for CommitNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Unique to one attempt of one commit: the only thing that says whether *this* attempt happened (I3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptToken(pub u128);

/// The identity of one life of a store. A restored or cloned store gets a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Incarnation(pub Uuid);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_carries_its_time_and_is_unique(time in 0u64..1 << 48, seq in 1u64..1 << 44, counter in 0u32..1 << 30) {
            let time = SystemTime::from_millis(time);
            let sequencer = Sequencer::new(seq).unwrap();
            let id = RecordId::assigned(time, sequencer, counter);
            prop_assert_eq!(id.system_time(), time);
            prop_assert_eq!(id.as_uuid().get_version_num(), 7);
            prop_assert_eq!(RecordId::from_bytes(id.to_bytes()), Some(id));
            prop_assert_ne!(id, RecordId::assigned(time, sequencer, counter ^ 1));
            prop_assert_ne!(id, RecordId::assigned(time, Sequencer::new(seq ^ (1 << 20)).unwrap_or(sequencer), counter ^ 2));
        }

        #[test]
        fn a_derived_id_repeats_and_keeps_the_cause_s_time(time in 0u64..1 << 48, index: u32, computation: u32) {
            let cause = RecordId::assigned(SystemTime::from_millis(time), Sequencer::new(9).unwrap(), 1);
            let id = RecordId::derived(cause, computation, index);
            prop_assert_eq!(id, RecordId::derived(cause, computation, index));
            prop_assert_eq!(id.system_time(), cause.system_time());
            prop_assert_ne!(id, RecordId::derived(cause, computation, index.wrapping_add(1)));
        }
    }
}
