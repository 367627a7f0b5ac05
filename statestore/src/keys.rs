//! The key layout: how every key of a store is made and read. `docs/src/key-layout.md` has it as a table.
//!
//! Every key begins with the layout version, the pipeline and the computation's number; then comes the kind,
//! then the key position, big-endian. So an interval is one contiguous range of each kind, and a split moves
//! no data. Parts of variable length carry their length before them, so no key is a prefix of another by
//! accident and two keys of one position never mix.

use crate::store::KeyRange;
use bytes::{BufMut, Bytes, BytesMut};
use pelton_domain::{CommitNumber, Key, KeyInterval, KeyPosition, Name};

/// The version of the layout of all keys and values. A store of another version is not opened.
pub const LAYOUT_VERSION: u8 = 1;

/// The key of the store's own description, outside every pipeline.
pub const STORE_META_KEY: &[u8] = &[LAYOUT_VERSION, 0];

/// Every pipeline's keys: everything but the store's own description.
#[must_use]
pub fn all_pipelines() -> KeyRange {
    KeyRange {
        start: Bytes::from_static(&[LAYOUT_VERSION, 1]),
        end: Bytes::from_static(&[LAYOUT_VERSION + 1]),
    }
}

/// Which pipeline a key belongs to.
///
/// # Errors
/// [`MalformedKey`] where it belongs to none.
pub fn pipeline_of(key: &[u8]) -> Result<Name, MalformedKey> {
    let malformed = MalformedKey { kind: "pipeline" };
    let rest = key.strip_prefix(&[LAYOUT_VERSION]).ok_or(malformed)?;
    let (name, _) = take_short(rest).ok_or(malformed)?;
    std::str::from_utf8(name).ok().and_then(|name| Name::new(name).ok()).ok_or(malformed)
}

/// Whether `key` is a fence: an interval's, or a leader's. Whoever writes one requires what it replaces (I1).
#[must_use]
pub fn is_fence(key: &[u8]) -> bool {
    kind_of(key).is_some_and(|(_, kind, _)| kind::FENCES.contains(&kind))
}

/// Whether a fence may lie in `range`; only where this is certainly not so it says no.
#[must_use]
pub fn may_hold_fences(range: &KeyRange) -> bool {
    let (Some((first, from, _)), Some((last, to, more))) = (kind_of(&range.start), kind_of(&range.end))
    else {
        return true;
    };
    // An end without anything behind its kind excludes that kind.
    let reached = |kind: u8| from <= kind && (kind < to || (kind == to && !more.is_empty()));
    first != last || kind::FENCES.into_iter().any(reached)
}

/// What stands before the kind of a key, its kind, and what stands behind.
fn kind_of(key: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let named = 2 + usize::from(*key.get(1)?);
    let (before, rest) = key.split_at_checked(named + size_of::<u32>())?;
    let (&kind, behind) = rest.split_first()?;
    (before.first() == Some(&LAYOUT_VERSION) && named > 2).then_some((before, kind, behind))
}

mod kind {
    pub(super) const FENCE: u8 = b'f';
    pub(super) const STATE: u8 = b's';
    pub(super) const TIMER: u8 = b't';
    pub(super) const DEDUP: u8 = b'd';
    pub(super) const OUTBOX: u8 = b'o';
    pub(super) const PARKED: u8 = b'p';
    pub(super) const DEAD_LETTER: u8 = b'x';
    pub(super) const CATALOGUE: u8 = b'c';
    pub(super) const LEADER: u8 = b'l';
    pub(super) const SEQUENCER: u8 = b'q';
    pub(super) const ANNOUNCED: u8 = b'j';
    pub(super) const ASSIGNMENT: u8 = b'a';
    /// The kinds that fence a writer out.
    pub(super) const FENCES: [u8; 2] = [FENCE, LEADER];
}

/// The kinds of keys that a computation has, with their names.
pub const KINDS_OF_COMPUTATION: [(u8, &str); 7] = [
    (kind::FENCE, "fence"),
    (kind::STATE, "state"),
    (kind::TIMER, "timer"),
    (kind::DEDUP, "dedup"),
    (kind::OUTBOX, "outbox"),
    (kind::PARKED, "parked"),
    (kind::DEAD_LETTER, "dead letter"),
];

/// A key that is not of the kind it was read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key of the store is no {kind} key")]
pub struct MalformedKey {
    /// The kind that was expected.
    pub kind: &'static str,
}

/// The keys of one pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineKeys {
    prefix: Bytes,
}

impl PipelineKeys {
    /// The keys of the pipeline `name`.
    #[must_use]
    pub fn new(name: &Name) -> Self {
        let mut prefix = BytesMut::with_capacity(2 + Name::LENGTH_MAX);
        prefix.put_u8(LAYOUT_VERSION);
        put_short(&mut prefix, name.as_str().as_bytes());
        Self { prefix: prefix.freeze() }
    }

    /// Everything of the pipeline.
    #[must_use]
    pub fn range(&self) -> KeyRange {
        KeyRange::of_prefix(&self.prefix)
    }

    /// What the store knows of the graph.
    #[must_use]
    pub fn catalogue(&self) -> Bytes {
        self.own(kind::CATALOGUE).freeze()
    }

    /// The injector's own fence.
    #[must_use]
    pub fn leader(&self) -> Bytes {
        self.own(kind::LEADER).freeze()
    }

    /// The counter from which every sequencer is taken.
    #[must_use]
    pub fn sequencer_counter(&self) -> Bytes {
        self.own(kind::SEQUENCER).freeze()
    }

    /// What the injector has announced of the computation numbered `computation`.
    #[must_use]
    pub fn announced(&self, computation: u32) -> Bytes {
        let mut key = self.own(kind::ANNOUNCED);
        key.put_u32(computation);
        key.freeze()
    }

    /// The assignment of the interval of `computation` that ends at `last`.
    #[must_use]
    pub fn assignment(&self, computation: u32, last: KeyPosition) -> Bytes {
        let mut key = self.own(kind::ASSIGNMENT);
        key.put_u32(computation);
        key.put_u64(last.0);
        key.freeze()
    }

    /// Every assignment of `computation`.
    #[must_use]
    pub fn assignments(&self, computation: u32) -> KeyRange {
        let mut key = self.own(kind::ASSIGNMENT);
        key.put_u32(computation);
        KeyRange::of_prefix(&key)
    }

    /// The keys of the computation numbered `computation` (from 1; 0 is the pipeline itself).
    #[must_use]
    pub fn computation(&self, computation: u32) -> ComputationKeys {
        let mut prefix = BytesMut::from(self.prefix.as_ref());
        prefix.put_u32(computation);
        ComputationKeys { prefix: prefix.freeze() }
    }

    fn own(&self, kind: u8) -> BytesMut {
        let mut key = BytesMut::with_capacity(self.prefix.len() + 24);
        key.put_slice(&self.prefix);
        key.put_u32(0);
        key.put_u8(kind);
        key
    }
}

/// Which clock a timer follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeDomain {
    /// The input low watermark.
    Event,
    /// The wall clock.
    Processing,
}

/// Whose timer, and which: setting the same one again replaces it (I8).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerAddress {
    /// Whose.
    pub key: Key,
    /// Which clock.
    pub domain: TimeDomain,
    /// The window, or empty.
    pub namespace: Bytes,
    /// The user's name for it.
    pub tag: Bytes,
}

/// The keys of one computation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputationKeys {
    prefix: Bytes,
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

    fn positions(&self, kind: u8, interval: KeyInterval) -> KeyRange {
        let start = self.of(kind, interval.first(), 0).freeze();
        let end = KeyRange::of_prefix(&self.of(kind, interval.last(), 0)).end;
        KeyRange { start, end }
    }

    /// The kind of one of this computation's keys: see [`KINDS_OF_COMPUTATION`]; 0 where it is none.
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

fn put_short(out: &mut BytesMut, part: &[u8]) {
    debug_assert!(part.len() <= usize::from(u8::MAX), "a part of {} bytes", part.len());
    out.put_u8(u8::try_from(part.len()).unwrap_or(u8::MAX));
    out.put_slice(part);
}

fn put_long(out: &mut BytesMut, part: &[u8]) {
    debug_assert!(part.len() <= Key::LENGTH_MAX, "a key of {} bytes", part.len());
    out.put_u16(u16::try_from(part.len()).unwrap_or(u16::MAX));
    out.put_slice(part);
}

fn take_short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(length))
}

fn take_long(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys() -> ComputationKeys {
        PipelineKeys::new(&Name::new("flights").unwrap()).computation(3)
    }

    fn short() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..40)
    }

    #[test]
    fn fences_are_told_from_everything_else() {
        let pipeline = PipelineKeys::new(&Name::new("flights").unwrap());
        let (fence, key) = (keys().fence(KeyPosition(7)), Key::from("k"));
        assert!(is_fence(&fence) && is_fence(&pipeline.leader()));
        for other in [keys().state(&key, b"", b"f", b""), pipeline.catalogue(), pipeline.sequencer_counter()]
        {
            assert!(!is_fence(&other), "{other:?}");
        }
        assert!(
            !is_fence(STORE_META_KEY)
                && !is_fence(b"")
                && !is_fence(b"\x01test/")
                && !is_fence(b"\x02\x01pffff")
        );
    }

    #[test]
    fn a_range_that_may_hold_a_fence_is_known() {
        let (low, high) = KeyInterval::FULL.split_at(KeyPosition(5)).unwrap();
        let pipeline = PipelineKeys::new(&Name::new("flights").unwrap());
        let key = Key::from("k");
        for without in [
            keys().state_of_interval(low),
            keys().state_of_interval(high),
            keys().state_of_key(&key),
            keys().dedup_buckets(KeyPosition(0), 1, 9),
            keys().outbox_of(KeyPosition(u64::MAX)),
            pipeline.assignments(3),
        ] {
            assert!(!may_hold_fences(&without), "{without:?}");
        }
        let everything = KeyRange { start: Bytes::new(), end: Bytes::from_static(&[0xff]) };
        for with in [
            keys().fences(),
            keys().fences_from(KeyPosition(3)),
            pipeline.range(),
            all_pipelines(),
            everything,
        ] {
            assert!(may_hold_fences(&with), "{with:?}");
        }
        let leader = pipeline.leader();
        assert!(may_hold_fences(&KeyRange { end: [&leader[..], b"\0"].concat().into(), start: leader }));
    }

    proptest! {
        #[test]
        fn state_keys_round_trip(key in short(), namespace in short(), cell in short(), sub_key in short()) {
            let address = StateAddress {
                key: Key::from(key), namespace: namespace.into(), cell: cell.into(), sub_key: sub_key.into(),
            };
            let encoded = keys().state(&address.key, &address.namespace, &address.cell, &address.sub_key);
            prop_assert_eq!(keys().read_state(&encoded).unwrap(), address.clone());
            prop_assert!(keys().state_of_key(&address.key).contains(&encoded));
            prop_assert!(keys().state_of_cell(&address.key, &address.namespace, &address.cell).contains(&encoded));
            prop_assert!(keys().read_timer(&encoded).is_err());
        }

        #[test]
        fn two_keys_never_share_a_state_range(a in short(), b in short(), cell in short()) {
            prop_assume!(a != b);
            let entry = keys().state(&Key::from(a), &[], &cell, &[]);
            prop_assert!(!keys().state_of_key(&Key::from(b)).contains(&entry));
        }

        #[test]
        fn timer_keys_round_trip(key in short(), namespace in short(), tag in short(), event: bool) {
            let domain = if event { TimeDomain::Event } else { TimeDomain::Processing };
            let timer = TimerAddress { key: Key::from(key), domain, namespace: namespace.into(), tag: tag.into() };
            prop_assert_eq!(keys().read_timer(&keys().timer(&timer)).unwrap(), timer);
        }

        #[test]
        fn numbered_keys_round_trip_and_keep_their_order(key in short(), a: u64, b: u64, part: u16, first: u64) {
            let key = Key::from(key);
            prop_assert_eq!(keys().read_parked(&keys().parked(&key, a)).unwrap(), (key.clone(), a));
            prop_assert_eq!(keys().read_dead_letter(&keys().dead_letter(&key, a)).unwrap(), (key.clone(), a));
            prop_assert_eq!(a.cmp(&b), keys().parked(&key, a).cmp(&keys().parked(&key, b)));
            let first = KeyPosition(first);
            let outbox = keys().outbox(first, CommitNumber(a), part);
            prop_assert_eq!(keys().read_outbox(&outbox).unwrap(), (first, CommitNumber(a), part));
            let dedup = keys().dedup(first, b, CommitNumber(a), part);
            prop_assert_eq!(keys().read_dedup(&dedup).unwrap(), (first, b, CommitNumber(a), part));
        }

        #[test]
        fn an_interval_is_one_range_of_each_kind(position: u64, at in 1u64..) {
            let (low, high) = KeyInterval::FULL.split_at(KeyPosition(at)).unwrap();
            let fence = keys().fence(KeyPosition(position));
            prop_assert!(keys().fences().contains(&fence));
            let key = Key::from(position);
            let entry = keys().state(&key, &[], b"c", &[]);
            let inside = low.contains(key.position());
            prop_assert_eq!(keys().state_of_interval(low).contains(&entry), inside);
            prop_assert_eq!(keys().state_of_interval(high).contains(&entry), !inside);
        }

        #[test]
        fn arbitrary_bytes_are_refused_not_read(bytes: Vec<u8>) {
            let bytes = Bytes::from(bytes);
            let _ = keys().read_state(&bytes);
            let _ = keys().read_timer(&bytes);
            let _ = keys().read_parked(&bytes);
            let _ = keys().read_dedup(&bytes);
        }
    }

    #[test]
    fn pipelines_and_computations_never_mix() {
        let name = |n| Name::new(n).unwrap();
        let (a, ab) = (PipelineKeys::new(&name("a")), PipelineKeys::new(&name("ab")));
        assert!(!a.range().contains(&ab.catalogue()));
        assert!(a.range().contains(&a.computation(2).fence(KeyPosition(0))));
        assert!(!a.computation(1).fences().contains(&a.computation(2).fence(KeyPosition(0))));
        assert!(!a.range().contains(STORE_META_KEY));
        assert!(all_pipelines().contains(&a.catalogue()) && !all_pipelines().contains(STORE_META_KEY));
        assert_eq!(pipeline_of(&ab.computation(1).fence(KeyPosition(3))), Ok(name("ab")));
        assert!(pipeline_of(STORE_META_KEY).is_err());
    }

    #[test]
    fn the_layout_is_fixed() {
        // Bytes of layout version 1. If this fails, stores written before can no longer be read.
        let encoded = keys().state(&Key::from("k"), b"", b"count", b"");
        let position = Key::from("k").position().0.to_be_bytes();
        let mut expected = vec![1, 7];
        expected.extend_from_slice(b"flights\0\0\0\x03s");
        expected.extend_from_slice(&position);
        expected.extend_from_slice(b"\0\x01k\0\x05count");
        assert_eq!(encoded, expected);
    }
}
