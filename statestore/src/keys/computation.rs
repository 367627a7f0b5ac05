//! The keys of one computation: its fences, and everything of its intervals.

use super::{MalformedKey, TimeDomain, TimerAddress, kind, put_long, put_short, take_long, take_short};
use crate::store::KeyRange;
use bytes::{BufMut, Bytes, BytesMut};
use pelton_domain::{CommitNumber, Key, KeyInterval, KeyPosition};

/// The keys of one computation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputationKeys {
    pub(super) prefix: Bytes,
}

impl ComputationKeys {
    fn of(&self, kind: u8, position: KeyPosition, more: usize) -> BytesMut {
        let mut key = BytesMut::with_capacity(self.prefix.len() + 9 + more);
        key.put_slice(&self.prefix);
        key.put_u8(kind);
        key.put_u64(position.0);
        key
    }

    fn of_key(&self, kind: u8, key: &Key, more: usize) -> BytesMut {
        let mut out = self.of(kind, key.position(), 2 + key.as_bytes().len() + more);
        put_long(&mut out, key.as_bytes());
        out
    }

    /// Everything of the computation.
    #[must_use]
    pub fn range(&self) -> KeyRange {
        KeyRange::of_prefix(&self.prefix)
    }

    fn positions(&self, kind: u8, interval: KeyInterval) -> KeyRange {
        let start = self.of(kind, interval.first(), 0).freeze();
        let end = KeyRange::of_prefix(&self.of(kind, interval.last(), 0)).end;
        KeyRange { start, end }
    }

    /// The kind of one of this computation's keys: see [`KINDS_OF_COMPUTATION`](super::KINDS_OF_COMPUTATION); 0 where it is none.
    #[must_use]
    pub fn kind(&self, key: &[u8]) -> u8 {
        key.get(self.prefix.len()).copied().unwrap_or(0)
    }

    /// Cuts prefix and kind off a key, and its position.
    fn strip<'a>(
        &self,
        key: &'a [u8],
        kind: u8,
        name: &'static str,
    ) -> Result<(KeyPosition, &'a [u8]), MalformedKey> {
        let malformed = MalformedKey { kind: name };
        let rest = key.strip_prefix(self.prefix.as_ref()).ok_or(malformed)?;
        let rest = rest.strip_prefix(&[kind]).ok_or(malformed)?;
        let (position, rest) = rest.split_first_chunk::<8>().ok_or(malformed)?;
        Ok((KeyPosition(u64::from_be_bytes(*position)), rest))
    }

    /// The fence of the interval that ends at `last`. Ordered by end, so that the fences overlapping an
    /// interval are found by scanning upwards from its first position.
    #[must_use]
    pub fn fence(&self, last: KeyPosition) -> Bytes {
        self.of(kind::FENCE, last, 0).freeze()
    }

    /// The fences of all intervals that end at `from` or later.
    #[must_use]
    pub fn fences_from(&self, from: KeyPosition) -> KeyRange {
        KeyRange { start: self.fence(from), end: self.fences().end }
    }

    /// The fences of all intervals.
    #[must_use]
    pub fn fences(&self) -> KeyRange {
        self.positions(kind::FENCE, KeyInterval::FULL)
    }

    /// One state entry: a cell of a key, and for collections the sub-key.
    #[must_use]
    pub fn state(&self, key: &Key, namespace: &[u8], cell: &[u8], sub_key: &[u8]) -> Bytes {
        let mut out = self.of_key(kind::STATE, key, 2 + namespace.len() + cell.len() + sub_key.len());
        put_short(&mut out, namespace);
        put_short(&mut out, cell);
        out.put_slice(sub_key);
        out.freeze()
    }

    /// All state of `key`.
    #[must_use]
    pub fn state_of_key(&self, key: &Key) -> KeyRange {
        KeyRange::of_prefix(&self.of_key(kind::STATE, key, 0))
    }

    /// All entries of one cell.
    #[must_use]
    pub fn state_of_cell(&self, key: &Key, namespace: &[u8], cell: &[u8]) -> KeyRange {
        KeyRange::of_prefix(&self.state(key, namespace, cell, &[]))
    }

    /// All state of an interval.
    #[must_use]
    pub fn state_of_interval(&self, interval: KeyInterval) -> KeyRange {
        self.positions(kind::STATE, interval)
    }

    /// Reads a state key: key, namespace, cell, sub-key.
    ///
    /// # Errors
    /// [`MalformedKey`] where it is none.
    pub fn read_state(&self, encoded: &Bytes) -> Result<StateAddress, MalformedKey> {
        let malformed = MalformedKey { kind: "state" };
        let (_, rest) = self.strip(encoded, kind::STATE, "state")?;
        let (key, rest) = take_long(rest).ok_or(malformed)?;
        let (namespace, rest) = take_short(rest).ok_or(malformed)?;
        let (cell, sub_key) = take_short(rest).ok_or(malformed)?;
        Ok(StateAddress {
            key: Key::new(encoded.slice_ref(key)),
            namespace: encoded.slice_ref(namespace),
            cell: encoded.slice_ref(cell),
            sub_key: encoded.slice_ref(sub_key),
        })
    }

    /// One timer. Its time is in the value, so setting it again replaces it in place.
    #[must_use]
    pub fn timer(&self, timer: &TimerAddress) -> Bytes {
        let mut out = self.of_key(kind::TIMER, &timer.key, 2 + timer.namespace.len() + timer.tag.len());
        out.put_u8(match timer.domain {
            TimeDomain::Event => 0,
            TimeDomain::Processing => 1,
        });
        put_short(&mut out, &timer.namespace);
        out.put_slice(&timer.tag);
        out.freeze()
    }

    /// All timers of an interval.
    #[must_use]
    pub fn timers(&self, interval: KeyInterval) -> KeyRange {
        self.positions(kind::TIMER, interval)
    }

    /// All timers of `key`.
    #[must_use]
    pub fn timers_of_key(&self, key: &Key) -> KeyRange {
        KeyRange::of_prefix(&self.of_key(kind::TIMER, key, 0))
    }

    /// Reads a timer key.
    ///
    /// # Errors
    /// [`MalformedKey`] where it is none.
    pub fn read_timer(&self, encoded: &Bytes) -> Result<TimerAddress, MalformedKey> {
        let malformed = MalformedKey { kind: "timer" };
        let (_, rest) = self.strip(encoded, kind::TIMER, "timer")?;
        let (key, rest) = take_long(rest).ok_or(malformed)?;
        let (&domain, rest) = rest.split_first().ok_or(malformed)?;
        let domain = match domain {
            0 => TimeDomain::Event,
            1 => TimeDomain::Processing,
            _ => return Err(malformed),
        };
        let (namespace, tag) = take_short(rest).ok_or(malformed)?;
        Ok(TimerAddress {
            key: Key::new(encoded.slice_ref(key)),
            domain,
            namespace: encoded.slice_ref(namespace),
            tag: encoded.slice_ref(tag),
        })
    }

    /// A packed dedup entry: the ids of one time bucket that one commit admitted, in parts.
    /// It lies under the first position of the interval that wrote it, and stays there through splits.
    #[must_use]
    pub fn dedup(&self, first: KeyPosition, bucket: u64, commit: CommitNumber, part: u16) -> Bytes {
        let mut out = self.of(kind::DEDUP, first, 18);
        out.put_u64(bucket);
        out.put_u64(commit.0);
        out.put_u16(part);
        out.freeze()
    }

    /// The packed dedup entries under `first`, of the buckets from `from` to before `to`.
    #[must_use]
    pub fn dedup_buckets(&self, first: KeyPosition, from: u64, to: u64) -> KeyRange {
        let edge = |bucket: u64| {
            let mut out = self.of(kind::DEDUP, first, 8);
            out.put_u64(bucket);
            out.freeze()
        };
        KeyRange { start: edge(from), end: edge(to) }
    }

    /// Reads a dedup key: first position, bucket, commit, part.
    ///
    /// # Errors
    /// [`MalformedKey`] where it is none.
    pub fn read_dedup(&self, encoded: &[u8]) -> Result<(KeyPosition, u64, CommitNumber, u16), MalformedKey> {
        let malformed = MalformedKey { kind: "dedup" };
        let (first, rest) = self.strip(encoded, kind::DEDUP, "dedup")?;
        let (bucket, rest) = rest.split_first_chunk::<8>().ok_or(malformed)?;
        let (commit, rest) = rest.split_first_chunk::<8>().ok_or(malformed)?;
        let part: [u8; 2] = rest.try_into().map_err(|_| malformed)?;
        let commit = CommitNumber(u64::from_be_bytes(*commit));
        Ok((first, u64::from_be_bytes(*bucket), commit, u16::from_be_bytes(part)))
    }

    /// An outbox chunk of the interval that begins at `first`: productions of one commit, in parts.
    #[must_use]
    pub fn outbox(&self, first: KeyPosition, commit: CommitNumber, part: u16) -> Bytes {
        let mut out = self.of(kind::OUTBOX, first, 10);
        out.put_u64(commit.0);
        out.put_u16(part);
        out.freeze()
    }

    /// All outbox chunks of the interval that begins at `first`, oldest first.
    #[must_use]
    pub fn outbox_of(&self, first: KeyPosition) -> KeyRange {
        KeyRange::of_prefix(&self.of(kind::OUTBOX, first, 0))
    }

    /// Reads an outbox key: first position, commit, part.
    ///
    /// # Errors
    /// [`MalformedKey`] where it is none.
    pub fn read_outbox(&self, encoded: &[u8]) -> Result<(KeyPosition, CommitNumber, u16), MalformedKey> {
        let malformed = MalformedKey { kind: "outbox" };
        let (first, rest) = self.strip(encoded, kind::OUTBOX, "outbox")?;
        let (commit, rest) = rest.split_first_chunk::<8>().ok_or(malformed)?;
        let part: [u8; 2] = rest.try_into().map_err(|_| malformed)?;
        Ok((first, CommitNumber(u64::from_be_bytes(*commit)), u16::from_be_bytes(part)))
    }

    /// The `number`th parked record of `key`.
    #[must_use]
    pub fn parked(&self, key: &Key, number: u64) -> Bytes {
        let mut out = self.of_key(kind::PARKED, key, 8);
        out.put_u64(number);
        out.freeze()
    }

    /// All parked records of `key`, oldest first.
    #[must_use]
    pub fn parked_of_key(&self, key: &Key) -> KeyRange {
        KeyRange::of_prefix(&self.of_key(kind::PARKED, key, 0))
    }

    /// All parked records of an interval.
    #[must_use]
    pub fn parked_of_interval(&self, interval: KeyInterval) -> KeyRange {
        self.positions(kind::PARKED, interval)
    }

    /// Reads a parked record's key: key and number.
    ///
    /// # Errors
    /// [`MalformedKey`] where it is none.
    pub fn read_parked(&self, encoded: &Bytes) -> Result<(Key, u64), MalformedKey> {
        self.read_numbered(encoded, kind::PARKED, "parked record")
    }

    /// The dead letter numbered `number` of `key`.
    #[must_use]
    pub fn dead_letter(&self, key: &Key, number: u64) -> Bytes {
        let mut out = self.of_key(kind::DEAD_LETTER, key, 8);
        out.put_u64(number);
        out.freeze()
    }

    /// All dead letters of an interval.
    #[must_use]
    pub fn dead_letters(&self, interval: KeyInterval) -> KeyRange {
        self.positions(kind::DEAD_LETTER, interval)
    }

    /// Reads a dead letter's key: key and number.
    ///
    /// # Errors
    /// [`MalformedKey`] where it is none.
    pub fn read_dead_letter(&self, encoded: &Bytes) -> Result<(Key, u64), MalformedKey> {
        self.read_numbered(encoded, kind::DEAD_LETTER, "dead letter")
    }

    /// The record at `offset` of the log that `key` keeps of a published stream.
    #[must_use]
    pub fn published(&self, key: &Key, offset: u64) -> Bytes {
        let mut out = self.of_key(kind::PUBLISHED, key, 8);
        out.put_u64(offset);
        out.freeze()
    }

    /// The records of the log of `key` from `first` to before `end`.
    #[must_use]
    pub fn published_between(&self, key: &Key, first: u64, end: u64) -> KeyRange {
        KeyRange { start: self.published(key, first), end: self.published(key, end) }
    }

    /// Reads the key of a published record: key and offset.
    ///
    /// # Errors
    /// [`MalformedKey`] where it is none.
    pub fn read_published(&self, encoded: &Bytes) -> Result<(Key, u64), MalformedKey> {
        self.read_numbered(encoded, kind::PUBLISHED, "published record")
    }

    fn read_numbered(
        &self,
        encoded: &Bytes,
        kind: u8,
        name: &'static str,
    ) -> Result<(Key, u64), MalformedKey> {
        let malformed = MalformedKey { kind: name };
        let (_, rest) = self.strip(encoded, kind, name)?;
        let (key, rest) = take_long(rest).ok_or(malformed)?;
        let number: [u8; 8] = rest.try_into().map_err(|_| malformed)?;
        Ok((Key::new(encoded.slice_ref(key)), u64::from_be_bytes(number)))
    }
}

/// The address of one state entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateAddress {
    /// Whose.
    pub key: Key,
    /// The window, or empty.
    pub namespace: Bytes,
    /// The user's name of the cell.
    pub cell: Bytes,
    /// Which entry of a collection; empty for a single value.
    pub sub_key: Bytes,
}
