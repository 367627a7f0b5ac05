//! Where a client is in a published stream: for clients a few bytes without a meaning.
//!
//! A token says of what it is, so that it means something there only: names for people, and the numbers of the log and
//! of the life of the store, since what begins anew gives offsets anew. A checksum tells what is no token; there is
//! nothing secret in it.

use bytes::Bytes;
use pelton_domain::Incarnation;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// What the first byte says: another form is of another version.
const VERSION: u8 = 1;
/// The longest token that is looked at; the longest that is made has some 900 bytes.
pub(crate) const TOKEN_BYTES_MAX: usize = 2048;

/// What a token is of: it is good for nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Of {
    pub(crate) pipeline: String,
    pub(crate) stream: String,
    /// The number of the computation that keeps the log: never given twice in a store.
    pub(crate) computation: u32,
    /// The life of the store.
    pub(crate) incarnation: u128,
    pub(crate) partitions: u32,
}

/// Everything before these offsets has been read, and nothing behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) of: Of,
    /// The next offset of each partition.
    pub(crate) next: Vec<u64>,
}

/// What is wrong with a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadToken {
    #[error("the token has {bytes} bytes; {TOKEN_BYTES_MAX} is the most")]
    TooLong { bytes: usize },
    #[error("this is no token, or not all of it: give back the bytes of an answer as they came")]
    Damaged,
    #[error(
        "the token has version {found}, and this program knows {VERSION}: ask a newer worker, or begin again"
    )]
    Version { found: u8 },
    #[error("the token is of {what} {theirs:?}, and this is {what} {ours:?}")]
    Of { what: &'static str, theirs: String, ours: String },
    #[error(
        "the token is of an earlier {what}: offsets have begun anew since; begin with the earliest or the latest record"
    )]
    Begun { what: &'static str },
}

impl BadToken {
    /// Whether it is a good token, but not for this.
    pub(crate) fn is_of_another(&self) -> bool {
        matches!(self, Self::Of { .. } | Self::Begun { .. })
    }
}

impl Token {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = vec![VERSION];
        // Text and numbers: there is nothing in it that cannot be encoded.
        out.extend(postcard::to_stdvec(self).unwrap_or_default());
        out.extend(xxh3_64(&out).to_be_bytes());
        out.into()
    }

    /// Reads a token, and sees to it that it is for `of`.
    pub(crate) fn read(bytes: &[u8], of: &Of) -> Result<Vec<u64>, BadToken> {
        let token = Self::decode(bytes)?;
        let text = |what, theirs: &String, ours: &String| {
            let (theirs, ours) = (theirs.clone(), ours.clone());
            if theirs == ours { Ok(()) } else { Err(BadToken::Of { what, theirs, ours }) }
        };
        text("pipeline", &token.of.pipeline, &of.pipeline)?;
        text("stream", &token.of.stream, &of.stream)?;
        let begun = |what, so: bool| if so { Err(BadToken::Begun { what }) } else { Ok(()) };
        begun("life of the store", token.of.incarnation != of.incarnation)?;
        begun("stream of this name", token.of.computation != of.computation)?;
        begun("cut into partitions", token.of.partitions != of.partitions)?;
        let fits = u32::try_from(token.next.len()) == Ok(of.partitions);
        if fits { Ok(token.next) } else { Err(BadToken::Damaged) }
    }

    fn decode(bytes: &[u8]) -> Result<Self, BadToken> {
        if bytes.len() > TOKEN_BYTES_MAX {
            return Err(BadToken::TooLong { bytes: bytes.len() });
        }
        let (said, sum) = bytes.split_last_chunk::<8>().ok_or(BadToken::Damaged)?;
        let (&version, rest) = said.split_first().ok_or(BadToken::Damaged)?;
        if xxh3_64(said) != u64::from_be_bytes(*sum) {
            return Err(BadToken::Damaged);
        }
        if version != VERSION {
            return Err(BadToken::Version { found: version });
        }
        match postcard::take_from_bytes(rest) {
            Ok((token, [])) => Ok(token),
            _ => Err(BadToken::Damaged),
        }
    }
}

/// The life of a store as tokens have it.
pub(crate) fn life(incarnation: Incarnation) -> u128 {
    incarnation.0.as_u128()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of() -> Of {
        let (pipeline, stream) = ("shop".to_owned(), "orders".to_owned());
        Of { pipeline, stream, computation: 7, incarnation: 9, partitions: 3 }
    }

    fn token() -> Token {
        Token { of: of(), next: vec![1, 2, u64::MAX] }
    }

    proptest! {
        #[test]
        fn a_token_survives_the_round_trip(pipeline in ".{0,16}", stream in ".{0,16}", life: u128, next: [u64; 4]) {
            let of = Of { pipeline, stream, incarnation: life, partitions: 4, ..of() };
            let token = Token { of: of.clone(), next: next.to_vec() };
            prop_assert_eq!(Token::read(&token.encode(), &of), Ok(next.to_vec()));
        }

        #[test]
        fn arbitrary_bytes_are_refused_and_never_panic(bytes: Vec<u8>, version: u8) {
            prop_assert_eq!(Token::read(&bytes, &of()), Err(BadToken::Damaged));
            // With a good checksum, too.
            let mut signed = [&[version], bytes.as_slice()].concat();
            signed.extend(xxh3_64(&signed).to_be_bytes());
            prop_assert!(Token::read(&signed, &of()).is_err());
        }

        #[test]
        fn a_token_of_which_anything_was_changed_is_refused(at: prop::sample::Index, by in 1u8..) {
            let mut bytes = token().encode().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= by;
            prop_assert_eq!(Token::read(&bytes, &of()), Err(BadToken::Damaged));
            prop_assert_eq!(Token::read(&bytes[..at], &of()), Err(BadToken::Damaged));
        }
    }

    #[test]
    fn a_token_of_anything_else_is_refused_in_words() {
        let read = |of: Of| Token::read(&token().encode(), &of).unwrap_err();
        let words = [
            (Of { pipeline: "other".into(), ..of() }, "of pipeline \"shop\", and this is pipeline \"other\""),
            (Of { stream: "bills".into(), ..of() }, "of stream \"orders\", and this is stream \"bills\""),
            (Of { incarnation: 1, ..of() }, "earlier life of the store"),
            (Of { computation: 8, ..of() }, "earlier stream of this name"),
            (Of { partitions: 4, ..of() }, "earlier cut into partitions"),
        ];
        for (of, words) in words {
            let bad = read(of);
            assert!(bad.to_string().contains(words) && bad.is_of_another(), "{bad}");
        }
        let long = vec![0; TOKEN_BYTES_MAX + 1];
        assert_eq!(Token::read(&long, &of()), Err(BadToken::TooLong { bytes: TOKEN_BYTES_MAX + 1 }));
    }

    #[test]
    fn the_longest_token_is_one_that_is_looked_at() {
        let name = "x".repeat(64);
        let of = Of {
            pipeline: name.clone(),
            stream: name,
            computation: u32::MAX,
            incarnation: u128::MAX,
            partitions: 64,
        };
        let token = Token { of, next: vec![u64::MAX; 64] };
        assert!(token.encode().len() < 1_000, "{}", token.encode().len());
    }
}
