//! Where sequencers come from: one counter in the store, from which blocks are taken by compare-and-set.
//!
//! I1: every number is handed out once, and is larger than every one handed out before, whoever asked.
//! I3: a block is taken only by a commit that says it happened. After an unknown outcome the counter is read
//! again and another compare-and-set made: the block in doubt is skipped if it landed, and can no longer land
//! once the next one has. Numbers are lost so, and never used twice.
//!
//! The counter is 8 bytes, big-endian: the highest number taken; absent, 0.

use crate::backoff::Backoff;
use bytes::Bytes;
use pelton_domain::Sequencer;
use pelton_statestore::{
    Commit, CommitError, PipelineKeys, Precondition, ReadError, StoreFault, StoreHandle, Write,
};

/// The largest sequencer: a record id has 44 bits for it.
pub const SEQUENCER_MAX: u64 = (1 << 44) - 1;

/// The counter of one pipeline.
#[derive(Clone, Debug)]
pub struct Sequencers {
    store: StoreHandle,
    key: Bytes,
}

/// Numbers that nobody else has, ascending.
#[derive(Debug)]
pub struct Block {
    next: u64,
    last: u64,
}

impl Iterator for Block {
    type Item = Sequencer;

    fn next(&mut self) -> Option<Sequencer> {
        if self.next > self.last {
            return None;
        }
        let sequencer = Sequencer::new(self.next);
        self.next += 1;
        sequencer
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from((self.last + 1).saturating_sub(self.next)).unwrap_or(usize::MAX);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Block {}

/// Why no sequencers could be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequencersError {
    /// There are no more numbers.
    #[error("the sequencers are used up: {taken} taken, and {wanted} more would pass {SEQUENCER_MAX}")]
    Exhausted {
        /// The highest number taken.
        taken: u64,
        /// How many were asked for.
        wanted: u64,
    },
    /// The counter's value is none.
    #[error("the sequencer counter is malformed: {length} bytes where 8 are due")]
    Malformed {
        /// How long it is.
        length: usize,
    },
    /// The store is broken or closed.
    #[error("the store failed: {0}")]
    Fatal(StoreFault),
}

impl Sequencers {
    /// The counter of a pipeline.
    #[must_use]
    pub fn new(store: StoreHandle, keys: &PipelineKeys) -> Self {
        Self { store, key: keys.sequencer_counter() }
    }

    /// Takes `count` numbers, all larger than any taken before; `count` of 0 counts as 1.
    ///
    /// Waits while the store is unavailable. Safe to cancel: the numbers may be lost, and are never reused.
    ///
    /// # Errors
    /// [`SequencersError`], with nothing handed out.
    pub async fn take(&self, count: u64) -> Result<Block, SequencersError> {
        let count = count.max(1);
        let mut backoff = Backoff::new();
        loop {
            let standing = self.read().await?;
            let taken = decode(standing.as_ref())?;
            let last = taken.checked_add(count).filter(|last| *last <= SEQUENCER_MAX);
            let last = last.ok_or(SequencersError::Exhausted { taken, wanted: count })?;
            let value = Bytes::copy_from_slice(&last.to_be_bytes());
            let commit = Commit {
                preconditions: vec![Precondition::Value { key: self.key.clone(), expected: standing }],
                writes: vec![Write::Put { key: self.key.clone(), value }],
            };
            match self.store.commit(commit).await {
                Ok(()) => return Ok(Block { next: taken + 1, last }),
                // Another took numbers meanwhile, or an attempt in doubt landed: read again, and go on from there.
                Err(CommitError::Refused { .. } | CommitError::Conflict) => {}
                Err(CommitError::Unknown(_) | CommitError::Unavailable(_)) => backoff.pause().await,
                Err(error @ CommitError::TooLarge { .. }) => {
                    return Err(SequencersError::Fatal(StoreFault(error.to_string())));
                }
                Err(CommitError::Fatal(fault)) => return Err(SequencersError::Fatal(fault)),
            }
        }
    }

    async fn read(&self) -> Result<Option<Bytes>, SequencersError> {
        let mut backoff = Backoff::new();
        loop {
            match self.store.read(vec![self.key.clone()]).await {
                Ok(values) => return Ok(values.into_iter().next().flatten()),
                Err(ReadError::Unavailable(_)) => backoff.pause().await,
                Err(ReadError::Fatal(fault)) => return Err(SequencersError::Fatal(fault)),
            }
        }
    }
}

fn decode(value: Option<&Bytes>) -> Result<u64, SequencersError> {
    let Some(value) = value else { return Ok(0) };
    let bytes: [u8; 8] =
        value.as_ref().try_into().map_err(|_| SequencersError::Malformed { length: value.len() })?;
    Ok(u64::from_be_bytes(bytes))
}

#[cfg(test)]
#[path = "sequencers_tests.rs"]
mod tests;
