//! The key layout: how every key of a store is made and read. `docs/src/key-layout.md` has it as a table.
//!
//! Every key begins with the layout version, the pipeline and the computation's number; then comes the kind,
//! then the key position, big-endian. So an interval is one contiguous range of each kind, and a split moves
//! no data. Parts of variable length carry their length before them, so no key is a prefix of another by
//! accident and two keys of one position never mix.

mod computation;
#[cfg(test)]
mod tests;

pub use computation::{ComputationKeys, StateAddress};

use crate::store::KeyRange;
use bytes::{BufMut, Bytes, BytesMut};
use pelton_domain::{Key, KeyPosition, Name};

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
    pub(super) const PUBLISHED: u8 = b'g';
    pub(super) const CATALOGUE: u8 = b'c';
    pub(super) const LEADER: u8 = b'l';
    pub(super) const SEQUENCER: u8 = b'q';
    pub(super) const ANNOUNCED: u8 = b'j';
    pub(super) const ASSIGNMENT: u8 = b'a';
    pub(super) const SHADOW: u8 = b'v';
    /// The kinds that fence a writer out.
    pub(super) const FENCES: [u8; 2] = [FENCE, LEADER];
}

/// The kinds of keys that a computation has, with their names.
pub const KINDS_OF_COMPUTATION: [(u8, &str); 8] = [
    (kind::FENCE, "fence"),
    (kind::STATE, "state"),
    (kind::TIMER, "timer"),
    (kind::DEDUP, "dedup"),
    (kind::OUTBOX, "outbox"),
    (kind::PARKED, "parked"),
    (kind::DEAD_LETTER, "dead letter"),
    (kind::PUBLISHED, "published"),
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

    /// What says that the pipeline is the shadow of another.
    #[must_use]
    pub fn shadow(&self) -> Bytes {
        self.own(kind::SHADOW).freeze()
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
