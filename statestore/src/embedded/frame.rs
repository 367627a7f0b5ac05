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

/// Builds one frame after the other in one buffer.
#[derive(Debug, Default)]
pub(super) struct FrameBuilder {
    buffer: Vec<u8>,
}

impl FrameBuilder {
    /// A buffer larger than this is given back after use.
    const KEPT_BYTES_MAX: usize = 16 << 20;

    /// Starts a frame.
    pub(super) fn start(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(Self::KEPT_BYTES_MAX);
        self.buffer.resize(HEADER_BYTES, 0);
    }

    /// Adds one write: a value, or none for a delete.
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.buffer.push(if value.is_some() { PUT } else { DELETE });
        self.part(key);
        if let Some(value) = value {
            self.part(value);
        }
    }

    fn part(&mut self, part: &[u8]) {
        // `write_bytes` bounds what gets here, far below 4 GiB.
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer.extend_from_slice(part);
    }

    /// Ends the frame: its bytes, ready to be written.
    pub(super) fn finish(&mut self, salt: u64, sequence: u64) -> &[u8] {
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

/// The payload bytes of one write.
pub(super) fn write_bytes(key: &[u8], value: Option<&[u8]>) -> usize {
    1 + 4 + key.len() + value.map_or(0, |value| 4 + value.len())
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
    payload: Bytes,
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

    /// Its writes in order; `None` where they make no sense, which no checksum would let through by accident.
    pub(super) fn writes(&self) -> Option<Vec<(Bytes, Option<Bytes>)>> {
        let mut writes = Vec::new();
        let mut rest = self.payload.clone();
        while rest.has_remaining() {
            let kind = rest.try_get_u8().ok()?;
            let key = take_part(&mut rest)?;
            match kind {
                DELETE => writes.push((key, None)),
                PUT => writes.push((key, Some(take_part(&mut rest)?))),
                _ => return None,
            }
        }
        Some(writes)
    }
}

fn take_part(rest: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(rest.try_get_u32_le().ok()?).ok()?;
    (length <= rest.len()).then(|| rest.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(salt: u64, sequence: u64, writes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Bytes {
        let mut builder = FrameBuilder::default();
        builder.start();
        for (key, value) in writes {
            builder.push(key, value.as_deref());
        }
        Bytes::copy_from_slice(builder.finish(salt, sequence))
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
            let found: Vec<_> = read.writes().unwrap().into_iter().map(|(k, v)| (k.to_vec(), v.map(|v| v.to_vec()))).collect();
            prop_assert_eq!(found, writes);
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
            let _ = Frame { sequence: 0, length: 0, payload: bytes }.writes();
        }
    }
}
