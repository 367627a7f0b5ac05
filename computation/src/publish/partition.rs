//! Which part of a published stream a record is in, and the step that sends it there.
//!
//! The name of a partition, which is a key of the log, has their number in it: a stream that is cut anew has other
//! logs, and no key ever moves from one log to another behind the back of its order (I9).

use crate::codec::Raw;
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::stream::Stream;
use bytes::Bytes;
use pelton_domain::{EventTime, Key};
use pelton_proto::{Message, store};

/// How many partitions a published stream has: 1 to [`Partitions::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partitions(u32);

impl Default for Partitions {
    fn default() -> Self {
        Self(4)
    }
}

impl Partitions {
    /// So many that a token stays short.
    pub const MAX: u32 = 64;

    /// `count` of them, or the nearest number that there may be.
    #[must_use]
    pub fn new(count: u32) -> Self {
        Self(count.clamp(1, Self::MAX))
    }

    /// How many.
    #[must_use]
    pub fn count(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// The partition of a record, by its key's position: neighbours go together.
    pub(crate) fn of(self, key: &Key) -> u32 {
        let place = (u128::from(key.position().0) * u128::from(self.0)) >> 64;
        u32::try_from(place).unwrap_or(0)
    }

    /// The key under which the log of `partition` is kept.
    pub(crate) fn key(self, partition: u32) -> Key {
        Key::from(format!("{partition}/{}", self.0))
    }

    /// The keys of all, in their order.
    pub(crate) fn keys(self) -> Vec<Key> {
        (0..self.0).map(|partition| self.key(partition)).collect()
    }

    /// Whose key this is; `None` for one of another number of partitions.
    pub(crate) fn read(self, key: &Key) -> Option<usize> {
        let (partition, count) = key.as_str()?.split_once('/')?;
        let (partition, count): (u32, u32) = (partition.parse().ok()?, count.parse().ok()?);
        (count == self.0 && partition < count).then(|| usize::try_from(partition).ok())?
    }
}

/// A record as its log keeps it.
pub(crate) fn encode(key: &Key, value: Bytes, event_time: EventTime) -> Bytes {
    let record = store::Published { key: key.to_bytes(), value, event_time_us: event_time.as_micros() };
    record.encode_to_vec().into()
}

/// Sends each record to the log of its partition.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    pub(super) partitions: Partitions,
    pub(super) to: Stream<Bytes, Raw>,
}

impl Computation for Partition {
    type Input = Bytes;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.output(&self.to);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Bytes>) -> Result<(), Failure> {
        let Input { key, event_time, value, .. } = input;
        let log = self.partitions.key(self.partitions.of(&key));
        cx.emit(&self.to, log, event_time, &encode(&key, value, event_time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_key_has_one_partition_and_every_partition_one_key(key: Vec<u8>, count in 0u32..100) {
            let partitions = Partitions::new(count);
            let partition = partitions.of(&Key::from(key));
            prop_assert!(usize::try_from(partition).unwrap() < partitions.count());
            prop_assert_eq!(partitions.read(&partitions.key(partition)), usize::try_from(partition).ok());
            prop_assert_eq!(Partitions::new(count + 1).read(&partitions.key(partition)).is_some(), count == 0 || count >= 64);
        }
    }

    #[test]
    fn keys_spread_over_all_partitions_and_stay_where_they_are() {
        let partitions = Partitions::new(8);
        let mut counts = [0; 8];
        for number in 0..8_000u64 {
            counts[partitions.of(&Key::from(number)) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_partition_of_a_key_never_changes() {
        // The position of the empty key is 0x2d06.., whose first bits are 001 011. Stored records are where they say.
        let of = |count| Partitions::new(count).of(&Key::from(""));
        assert_eq!((of(1), of(8), of(64)), (0, 0b001, 0b001_011));
    }
}
