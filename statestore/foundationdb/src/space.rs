//! Where the keys of a store lie in the cluster: behind its prefix, a zero byte and a tag.
//!
//! No prefix has a zero byte, so no store's keys begin like another's. One letter behind it tells the store's own
//! rows from the description of the store and from the pieces of long values.

use bytes::Bytes;
use pelton_statestore::KeyRange;

/// The longest key of FoundationDB.
pub(crate) const KEY_BYTES_MAX: usize = 10_000;

mod tag {
    pub(super) const DATA: u8 = b'd';
    pub(super) const META: u8 = b'm';
    pub(super) const PIECE: u8 = b'p';
}

/// What a key of pieces has behind the key: a terminator and a number.
const PIECE_SUFFIX_BYTES: usize = 4;

/// The part of a cluster that belongs to one store.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    root: Vec<u8>,
}

/// A range in the cluster: start included, end excluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: Vec<u8>,
    pub(crate) end: Vec<u8>,
}

impl Span {
    pub(crate) fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// The one key `key`.
    pub(crate) fn of_key(key: &[u8]) -> Self {
        Self { start: key.to_vec(), end: [key, &[0]].concat() }
    }
}

impl Space {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { root: [prefix.as_bytes(), &[0]].concat() }
    }

    fn tagged(&self, tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut key = Vec::with_capacity(self.root.len() + 1 + length);
        key.extend_from_slice(&self.root);
        key.push(tag);
        for part in parts {
            key.extend_from_slice(part);
        }
        key
    }

    /// Everything of the store.
    pub(crate) fn whole(&self) -> Span {
        let mut end = self.root.clone();
        end.pop();
        end.push(1);
        Span { start: self.root.clone(), end }
    }

    /// The description of the store.
    pub(crate) fn meta(&self) -> Vec<u8> {
        self.tagged(tag::META, &[])
    }

    /// The row of `key`.
    pub(crate) fn row(&self, key: &[u8]) -> Vec<u8> {
        self.tagged(tag::DATA, &[key])
    }

    /// The rows of a range.
    pub(crate) fn rows(&self, range: &KeyRange) -> Span {
        Span { start: self.row(&range.start), end: self.row(&range.end) }
    }

    /// The key whose row this is.
    pub(crate) fn key_of_row(&self, row: &[u8]) -> Option<Bytes> {
        row.strip_prefix(self.root.as_slice())?.strip_prefix(&[tag::DATA]).map(Bytes::copy_from_slice)
    }

    /// How long a key of the store may be. A long value has room behind it, unless the key has zero bytes.
    pub(crate) fn key_bytes_max(&self) -> usize {
        KEY_BYTES_MAX - self.root.len() - 1 - PIECE_SUFFIX_BYTES
    }

    /// What stands before every key.
    pub(crate) fn prefix_bytes(&self) -> usize {
        self.root.len() + 1
    }

    /// Where the `number`th piece of the value of `key` lies, from 0.
    pub(crate) fn piece(&self, key: &[u8], number: u16) -> Vec<u8> {
        self.tagged(tag::PIECE, &[&escape(key), &[0, 0], &number.to_be_bytes()])
    }

    /// All pieces of the value of `key`, and nothing else.
    pub(crate) fn pieces(&self, key: &[u8]) -> Span {
        let start = self.tagged(tag::PIECE, &[&escape(key), &[0, 0]]);
        let end = self.tagged(tag::PIECE, &[&escape(key), &[0, 1]]);
        Span { start, end }
    }

    /// The pieces of all values whose keys lie in `range`.
    pub(crate) fn pieces_of(&self, range: &KeyRange) -> Span {
        let edge = |key: &[u8]| self.tagged(tag::PIECE, &[&escape(key)]);
        Span { start: edge(&range.start), end: edge(&range.end) }
    }

    /// The pieces of all values.
    pub(crate) fn all_pieces(&self) -> Span {
        Span { start: self.tagged(tag::PIECE, &[]), end: self.tagged(tag::PIECE + 1, &[]) }
    }

    /// How long the key of a piece of the value of `key` is.
    pub(crate) fn piece_key_bytes(&self, key: &[u8]) -> usize {
        let zeros = key.iter().filter(|byte| **byte == 0).count();
        self.root.len() + 1 + key.len() + zeros + PIECE_SUFFIX_BYTES
    }
}

/// Puts 0xff behind every zero byte, so that a key followed by two zero bytes is no other key's beginning, and the
/// order stays.
fn escape(key: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(key.len() + 8);
    for &byte in key {
        escaped.push(byte);
        if byte == 0 {
            escaped.push(0xff);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn within(span: &Span, key: &[u8]) -> bool {
        span.start.as_slice() <= key && key < span.end.as_slice()
    }

    #[test]
    fn stores_with_similar_prefixes_share_no_key() {
        let names = ["a", "ab", "ad", "b", "a\u{1}"];
        for (one, other) in names.iter().flat_map(|one| names.iter().map(move |other| (one, other))) {
            let key = Space::new(other).row(b"\0d\xff");
            assert_eq!(within(&Space::new(one).whole(), &key), one == other, "{one} and {other}");
        }
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xff), any::<u8>()], 0..6)
    }

    proptest! {
        #[test]
        fn rows_keep_their_order_and_are_read_back(a in bytes(), b in bytes()) {
            let space = Space::new("p");
            prop_assert_eq!(a.cmp(&b), space.row(&a).cmp(&space.row(&b)));
            prop_assert_eq!(space.key_of_row(&space.row(&a)).unwrap(), a.clone());
            prop_assert!(within(&space.whole(), &space.row(&a)) && within(&space.whole(), &space.meta()));
            prop_assert!(space.key_of_row(&space.piece(&a, 0)).is_none());
        }

        #[test]
        fn the_pieces_of_a_key_are_its_own(a in bytes(), b in bytes(), number: u16) {
            let space = Space::new("p");
            let piece = space.piece(&b, number);
            prop_assert_eq!(within(&space.pieces(&a), &piece), a == b);
            prop_assert!(within(&space.all_pieces(), &piece) && !within(&space.all_pieces(), &space.row(&b)));
            prop_assert_eq!(piece.len(), space.piece_key_bytes(&b));
        }

        #[test]
        fn a_range_of_keys_is_a_range_of_pieces(a in bytes(), b in bytes(), key in bytes(), number: u16) {
            let (space, range) = (Space::new("p"), KeyRange { start: a.into(), end: b.into() });
            prop_assert_eq!(within(&space.pieces_of(&range), &space.piece(&key, number)), range.contains(&key));
            prop_assert_eq!(within(&space.rows(&range), &space.row(&key)), range.contains(&key));
        }
    }
}
