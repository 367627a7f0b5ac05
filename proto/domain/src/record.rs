//! Keys and records.

use crate::id::RecordId;
use crate::position::KeyPosition;
use crate::time::EventTime;
use bytes::Bytes;
use std::fmt;

/// The unit of state, of serial execution and of atomicity: any bytes, at most [`Key::LENGTH_MAX`] of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Bytes);

impl Key {
    /// The longest key, in bytes. Stores allow keys of 10 KB; the rest is for what stands around it.
    pub const LENGTH_MAX: usize = 4096;

    /// The key of these bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its bytes, shared.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// Its text, where it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Its position.
    #[must_use]
    pub fn position(&self) -> KeyPosition {
        KeyPosition::of(self)
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<u64> for Key {
    /// Big-endian, so that keys sort as the numbers do.
    fn from(number: u64) -> Self {
        Self(Bytes::copy_from_slice(&number.to_be_bytes()))
    }
}

impl fmt::Display for Key {
    /// Its text where it is printable, else its bytes in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            Some(text) if !text.chars().any(char::is_control) => f.write_str(text),
            _ => {
                f.write_str("0x")?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// A record as the engine carries it: id, key, value and event timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its identity, for dedup.
    pub id: RecordId,
    /// What it is about.
    pub key: Key,
    /// What it says, encoded by the codec of its stream.
    pub value: Bytes,
    /// When it happened.
    pub event_time: EventTime,
}

impl Record {
    /// What it counts against limits in bytes: key, value and 40 bytes for the rest.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.key.as_bytes().len() + self.value.len() + 40
    }
}
