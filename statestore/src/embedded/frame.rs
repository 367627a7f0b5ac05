//! One frame of the commit log: a group of commits, whole or not at all (I2). Pure.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | length of the payload |
//! | 4 | CRC-32 of the segment's salt, the sequence number, the length and the payload |
//! | 8 | sequence number, one more than the frame before |
//! | .. | writes: 0, length, key (a delete) or 1, length, key, length, value (a put) |
//!
//! All numbers are little-endian; lengths within the payload have 4 bytes. The salt is random for each segment,
//! so bytes that were a frame elsewhere (a copy of a log stored as a value, an old file's blocks) are none here.

use bytes::{Buf, Bytes};

/// The bytes before the payload.
pub(super) const HEADER_BYTES: usize = 16;

/// The largest payload. Groups stay far below; only the deletion of a huge range comes near.
pub(super) const PAYLOAD_BYTES_MAX: usize = 1 << 30;

const DELETE: u8 = 0;
const PUT: u8 = 1;

/// Adds one write to a payload: a value, or none for a delete.
pub(super) fn push(payload: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
    payload.push(if value.is_some() { PUT } else { DELETE });
    push_part(payload, key);
    if let Some(value) = value {
        push_part(payload, value);
    }
}

fn push_part(payload: &mut Vec<u8>, part: &[u8]) {
    // The limits of commits, and `PAYLOAD_BYTES_MAX`, keep every part far below 4 GiB.
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    payload.extend_from_slice(&length.to_le_bytes());
    payload.extend_from_slice(part);
}

/// The payload bytes of one write.
pub(super) fn write_bytes(key: &[u8], value: Option<&[u8]>) -> usize {
    1 + 4 + key.len() + value.map_or(0, |value| 4 + value.len())
}

/// The writes of a payload, in order, as slices of it. Ends early where the bytes make no sense.
#[derive(Clone, Debug)]
pub(super) struct Writes {
    rest: Bytes,
}

impl Writes {
    pub(super) fn of(payload: Bytes) -> Self {
        Self { rest: payload }
    }

    /// Whether everything was read; asked at the end.
    pub(super) fn is_whole(&self) -> bool {
        self.rest.is_empty()
    }
}

impl Iterator for Writes {
    type Item = (Bytes, Option<Bytes>);

    fn next(&mut self) -> Option<Self::Item> {
        let (&kind, rest) = self.rest.split_first()?;
        let (key, rest) = split_part(rest)?;
        let (value, rest) = match kind {
            DELETE => (None, rest),
            PUT => split_part(rest).map(|(value, rest)| (Some(value), rest))?,
            _ => return None,
        };
        let write = (self.rest.slice_ref(key), value.map(|value| self.rest.slice_ref(value)));
        let read = self.rest.len() - rest.len();
        self.rest.advance(read);
        Some(write)
    }
}

fn split_part(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = rest.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

/// Builds one frame after the other in one buffer.
#[derive(Debug, Default)]
pub(super) struct FrameBuilder {
    buffer: Vec<u8>,
}

impl FrameBuilder {
    /// A buffer larger than this is given back after use.
    const KEPT_BYTES_MAX: usize = 16 << 20;

    /// The frame of these payloads, ready to be written.
    pub(super) fn build(&mut self, salt: u64, sequence: u64, payloads: &[Bytes]) -> &[u8] {
        self.buffer.clear();
        self.buffer.shrink_to(Self::KEPT_BYTES_MAX);
        self.buffer.resize(HEADER_BYTES, 0);
        for payload in payloads {
            self.buffer.extend_from_slice(payload);
        }
        if let Some((header, payload)) = self.buffer.split_first_chunk_mut::<HEADER_BYTES>() {
            let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            let (sizes, number) = header.split_at_mut(8);
            let (first, second) = sizes.split_at_mut(4);
            first.copy_from_slice(&length.to_le_bytes());
            second.copy_from_slice(&checksum(salt, sequence, payload).to_le_bytes());
            number.copy_from_slice(&sequence.to_le_bytes());
        }
        &self.buffer
    }
}

fn checksum(salt: u64, sequence: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&sequence.to_le_bytes());
    hasher.update(&u64::try_from(payload.len()).unwrap_or(u64::MAX).to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// A frame that was read and whose checksum holds.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) sequence: u64,
    /// Its bytes, header included.
    pub(super) length: usize,
    pub(super) payload: Bytes,
}

impl Frame {
    /// The frame at the start of `bytes`; `None` where there is no whole one.
    pub(super) fn read(bytes: &Bytes, salt: u64) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let mut header = header.as_slice();
        let length = usize::try_from(header.get_u32_le()).ok()?;
        let (expected, sequence) = (header.get_u32_le(), header.get_u64_le());
        let payload = rest.get(..length)?;
        (checksum(salt, sequence, payload) == expected).then(|| Self {
            sequence,
            length: HEADER_BYTES + length,
            payload: bytes.slice(HEADER_BYTES..HEADER_BYTES + length),
        })
    }

    /// The sequence number that the bytes at the start of `bytes` claim, without looking further.
    pub(super) fn claimed_sequence(bytes: &[u8]) -> Option<u64> {
        let (header, _) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let mut number = header.get(8..)?;
        Some(number.get_u64_le())
    }

    /// Its writes in order.
    pub(super) fn writes(&self) -> Writes {
        Writes::of(self.payload.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(salt: u64, sequence: u64, writes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Bytes {
        let payload = |(key, value): &(Vec<u8>, Option<Vec<u8>>)| {
            let mut payload = Vec::new();
            push(&mut payload, key, value.as_deref());
            Bytes::from(payload)
        };
        let payloads: Vec<Bytes> = writes.iter().map(payload).collect();
        Bytes::copy_from_slice(FrameBuilder::default().build(salt, sequence, &payloads))
    }

    proptest! {
        #[test]
        fn a_frame_round_trips(salt: u64, sequence: u64, writes: Vec<(Vec<u8>, Option<Vec<u8>>)>, behind: Vec<u8>) {
            let mut bytes = frame(salt, sequence, &writes).to_vec();
            let length = bytes.len();
            let sizes: usize = writes.iter().map(|(key, value)| write_bytes(key, value.as_deref())).sum();
            prop_assert_eq!(length, HEADER_BYTES + sizes);
            bytes.extend(behind);
            let read = Frame::read(&bytes.into(), salt).unwrap();
            prop_assert_eq!((read.sequence, read.length), (sequence, length));
            let mut found = read.writes();
            let back: Vec<_> = found.by_ref().map(|(k, v)| (k.to_vec(), v.map(|v| v.to_vec()))).collect();
            prop_assert_eq!(back, writes);
            prop_assert!(found.is_whole());
        }

        #[test]
        fn a_cut_or_changed_frame_is_none(sequence: u64, key: Vec<u8>, value: Vec<u8>, at: prop::sample::Index, bit in 0u8..8) {
            let whole = frame(7, sequence, &[(key, Some(value))]);
            prop_assert!(Frame::read(&whole.slice(..at.index(whole.len())), 7).is_none());
            prop_assert!(Frame::read(&whole, 8).is_none(), "another salt");
            let mut changed = whole.to_vec();
            changed[at.index(whole.len())] ^= 1 << bit;
            prop_assert!(Frame::read(&changed.into(), 7).is_none());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let bytes = Bytes::from(bytes);
            let _ = Frame::read(&bytes, 0);
            let _ = Writes::of(bytes).count();
        }
    }
}
