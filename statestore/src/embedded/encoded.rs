//! A commit, encoded by its caller: what the committer would otherwise do for all callers in turn.

use super::frame;
use crate::store::{Commit, KeyRange, Precondition, Write};
use bytes::Bytes;

/// A commit on its way.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) preconditions: Vec<Precondition>,
    pub(super) parts: Vec<Part>,
}

/// Some writes of a commit, in order.
#[derive(Debug)]
pub(super) enum Part {
    /// Puts and deletes, as they go into the log.
    Payload(Bytes),
    /// What these are is known only where the commit is applied.
    DeleteRange(KeyRange),
}

impl Encoded {
    pub(super) fn of(commit: Commit) -> Self {
        let Commit { preconditions, writes } = commit;
        let mut encoded = Self { preconditions, parts: Vec::with_capacity(1) };
        let mut payload = Vec::with_capacity(writes.iter().map(payload_bytes).sum());
        for write in writes {
            match write {
                Write::Put { key, value } => frame::push(&mut payload, &key, Some(&value)),
                Write::Delete { key } => frame::push(&mut payload, &key, None),
                Write::DeleteRange { range } => {
                    encoded.add(std::mem::take(&mut payload));
                    encoded.parts.push(Part::DeleteRange(range));
                }
            }
        }
        encoded.add(payload);
        encoded
    }

    fn add(&mut self, payload: Vec<u8>) {
        if !payload.is_empty() {
            self.parts.push(Part::Payload(payload.into()));
        }
    }

    /// The bytes that it adds to its group.
    pub(super) fn size_bytes(&self) -> usize {
        let size = |part: &Part| match part {
            Part::Payload(payload) => payload.len(),
            Part::DeleteRange(_) => 0,
        };
        self.parts.iter().map(size).sum()
    }
}

fn payload_bytes(write: &Write) -> usize {
    match write {
        Write::Put { key, value } => frame::write_bytes(key, Some(value)),
        Write::Delete { key } => frame::write_bytes(key, None),
        Write::DeleteRange { .. } => 0,
    }
}
