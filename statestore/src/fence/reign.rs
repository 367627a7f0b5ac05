//! Holding a fence: the only way to write anything of an interval.

use super::Tokens;
use super::attempt::{AttemptError, FenceChange};
use super::record::{Ancestor, Fence, FenceUpdate};
use crate::keys::ComputationKeys;
use crate::store::{Precondition, StoreFault, StoreHandle, Write};
use bytes::Bytes;
use pelton_domain::{CommitNumber, KeyInterval, Sequencer, SystemTime};

/// One worker's reign over one interval, from take-over until another takes it.
#[derive(Clone)]
pub struct Reign {
    pub(super) store: StoreHandle,
    pub(super) keys: ComputationKeys,
    pub(super) tokens: Tokens,
    pub(super) fence: Fence,
    pub(super) encoded: Bytes,
    pub(super) sequencer: Sequencer,
    /// A commit was begun and its end not seen: a cancelled call is an unknown outcome.
    pub(super) interrupted: bool,
}

impl std::fmt::Debug for Reign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reign({} {} commit {})", self.sequencer, self.fence.interval, self.fence.commit_number)
    }
}

/// Why a commit of an interval did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FencedError {
    /// Another owns the interval now, or it is no more. Nothing was written; drop all work of it.
    #[error("reign {held} is over: {}", current.map_or("the interval is no more".to_owned(), |c| format!("{c} owns the interval")))]
    Fenced {
        /// The reign that was.
        held: Sequencer,
        /// Who owns the interval now.
        current: Option<Sequencer>,
    },
    /// Over a limit of the store; nothing was written. Split the batch.
    #[error("a {what} of {size_bytes} bytes is over the store's limit of {limit_bytes}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        size_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// An earlier commit of this reign was cancelled, so what stands is unknown. Take over again.
    #[error("a cancelled commit left the reign in doubt")]
    Interrupted,
    /// The store is broken or closed. Stop.
    #[error("the store failed: {0}")]
    Fatal(StoreFault),
}

/// A part of a split or a merge: which positions, and who will own them; `None` leaves them to be taken over.
pub type Part = (KeyInterval, Option<Sequencer>);

impl Reign {
    /// The fence as last written.
    #[must_use]
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// How many bytes the fence last written has.
    #[must_use]
    pub fn fence_size_bytes(&self) -> usize {
        self.encoded.len()
    }

    /// The reign's sequencer.
    #[must_use]
    pub fn sequencer(&self) -> Sequencer {
        self.sequencer
    }

    /// The positions it rules.
    #[must_use]
    pub fn interval(&self) -> KeyInterval {
        self.fence.interval
    }

    /// The number that the next commit will have.
    #[must_use]
    pub fn next_commit(&self) -> CommitNumber {
        self.fence.commit_number.next()
    }

    /// Writes all of `writes` and the updated fence, or nothing (I2), if this reign still stands (I1).
    ///
    /// An unknown outcome is settled before it returns (I3); while the store is unavailable it waits. Not
    /// safe to cancel: after that every commit is refused with [`FencedError::Interrupted`].
    ///
    /// # Errors
    /// [`FencedError`], in each case with nothing written.
    pub async fn commit(&mut self, writes: Vec<Write>, update: &FenceUpdate) -> Result<(), FencedError> {
        if self.interrupted {
            return Err(FencedError::Interrupted);
        }
        self.interrupted = true;
        let before = self.fence.clone();
        let change = self.change(vec![(before.clone(), self.encoded.clone())], writes);
        let result = change.perform(|token| vec![before.after_commit(update, token)]).await;
        self.interrupted = false;
        match result.map_err(|error| self.lost(error))?.pop() {
            Some((fence, encoded)) => (self.fence, self.encoded) = (fence, encoded),
            None => return Err(FencedError::Interrupted),
        }
        Ok(())
    }

    /// Turns the intervals of `reigns`, which are neighbours in ascending order, into `parts`, in one
    /// transaction together with `writes` (the outbox chunks, rewritten by part).
    ///
    /// Every part goes on from the highest commit number of the old intervals, and names those that covered
    /// positions of it as ancestors until `dedup_end`, the end of the newest time bucket they wrote to.
    /// `requires` holds what else must be so: the assignments of the parts. Returns the reigns of the parts that
    /// have an owner.
    ///
    /// # Errors
    /// [`FencedError`], with nothing changed.
    ///
    /// # Panics
    /// Where the parts do not cover exactly the old positions, or an owner's sequencer is not newer (I1).
    pub async fn reshape(
        reigns: &[Self],
        parts: &[Part],
        dedup_end: SystemTime,
        requires: Vec<Precondition>,
        writes: Vec<Write>,
    ) -> Result<Vec<Self>, FencedError> {
        let (Some(template), old) = (reigns.last(), reigns.iter().map(Self::interval).collect::<Vec<_>>())
        else {
            return Ok(Vec::new());
        };
        let new: Vec<KeyInterval> = parts.iter().map(|(interval, _)| *interval).collect();
        assert!(KeyInterval::is_partition_of(&new, &old), "I1: the parts do not cover the old intervals");
        let newest = reigns.iter().map(|reign| reign.sequencer).max();
        assert!(parts.iter().all(|(_, s)| s.is_none() || *s > newest), "I1: a sequencer is not newer");
        if reigns.iter().any(|reign| reign.interrupted) {
            return Err(FencedError::Interrupted);
        }
        let before = reigns.iter().map(|reign| (reign.fence.clone(), reign.encoded.clone())).collect();
        let change = FenceChange { requires, ..template.change(before, writes) };
        let mut sorted = parts.to_vec();
        sorted.sort_unstable();
        let fences = change
            .perform(|token| {
                let part = |(i, part): (usize, &Part)| child(reigns, *part, dedup_end, token, i == 0);
                sorted.iter().enumerate().filter_map(part).collect()
            })
            .await
            .map_err(|error| template.lost(error))?;
        let reign = |(fence, encoded): (Fence, Bytes)| {
            fence.sequencer.map(|sequencer| Self { fence, encoded, sequencer, ..template.clone() })
        };
        Ok(fences.into_iter().filter_map(reign).collect())
    }

    fn change(&self, before: Vec<(Fence, Bytes)>, writes: Vec<Write>) -> FenceChange {
        FenceChange {
            store: self.store.clone(),
            keys: self.keys.clone(),
            tokens: self.tokens.clone(),
            before,
            requires: Vec::new(),
            writes,
        }
    }

    fn lost(&self, error: AttemptError) -> FencedError {
        match error {
            AttemptError::Refused { current } => FencedError::Fenced {
                held: self.sequencer,
                current: current.and_then(|fence| fence.sequencer),
            },
            AttemptError::TooLarge { what, size_bytes, limit_bytes } => {
                FencedError::TooLarge { what, size_bytes, limit_bytes }
            }
            AttemptError::Fatal(fault) => FencedError::Fatal(fault),
        }
    }
}

/// The fence of one part. Horizon and input watermark are true of the whole computation, so the highest of
/// the old ones holds; counters go to the first part, so that sums over intervals stay right.
fn child(
    reigns: &[Reign],
    (interval, sequencer): Part,
    dedup_end: SystemTime,
    token: pelton_domain::AttemptToken,
    first: bool,
) -> Option<Fence> {
    let mut parents = reigns.iter().map(|reign| &reign.fence);
    let mut fence = parents.clone().next()?.clone();
    fence.counters = super::Counters::default();
    fence.ancestors.clear();
    for parent in parents.by_ref() {
        fence.commit_number = fence.commit_number.max(parent.commit_number);
        fence.dedup_horizon = fence.dedup_horizon.max(parent.dedup_horizon);
        fence.input_watermark = fence.input_watermark.max(parent.input_watermark);
        fence.id_time_floor = fence.id_time_floor.max(parent.id_time_floor);
        if first {
            fence.counters.add(&parent.counters);
        }
        if parent.interval.overlaps(interval) {
            fence.ancestors.extend(&parent.ancestors);
            fence.ancestors.push(Ancestor {
                first: parent.interval.first(),
                last_commit: parent.commit_number,
                expires: dedup_end,
            });
        }
    }
    let horizon = fence.dedup_horizon;
    fence.ancestors.retain(|ancestor| ancestor.expires > horizon);
    fence.ancestors.sort_unstable_by_key(|a| (a.first, a.last_commit));
    fence.ancestors.dedup();
    fence.commit_number = fence.commit_number.next();
    Some(Fence { interval, sequencer, token, ..fence })
}
