//! One change of fences, attempted until its outcome is known (I3).
//!
//! Commit, take-over, split and merge are all the same step: the fences that stand must be exactly these
//! bytes, and become those. They differ only in which fences and in what else is written.

use super::Tokens;
use super::record::Fence;
use crate::keys::ComputationKeys;
use crate::store::{Commit, CommitError, Precondition, ReadError, StoreFault, StoreHandle, Write};
use bytes::Bytes;
use pelton_domain::AttemptToken;
use pelton_domain::mutants::{Mutant, mutant};
use std::time::Duration;

/// The fences to replace, and what is written with them.
pub(super) struct FenceChange {
    pub(super) store: StoreHandle,
    pub(super) keys: ComputationKeys,
    pub(super) tokens: Tokens,
    /// The fences that stand now, with their exact bytes.
    pub(super) before: Vec<(Fence, Bytes)>,
    /// What else must hold: an assignment, for a take-over.
    pub(super) requires: Vec<Precondition>,
    /// Everything else that is written.
    pub(super) writes: Vec<Write>,
}

/// How a change of fences ended without happening.
#[derive(Debug)]
pub(super) enum AttemptError {
    /// Something it relies on is no longer so; it did not happen and cannot any more. What stands at the
    /// fence's place now is given.
    Refused { current: Option<Fence> },
    /// Over a limit of the store.
    TooLarge { what: &'static str, size_bytes: usize, limit_bytes: usize },
    /// The store is broken or closed.
    Fatal(StoreFault),
}

const BACKOFF_MIN: Duration = Duration::from_millis(1);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

impl FenceChange {
    /// Replaces the fences by those that `after` makes of a token, and returns them with their bytes.
    ///
    /// Retries while the store is unavailable. Every attempt has a token of its own and requires what stood
    /// before the first, so at most one of them can ever land. The last fence after covers the last position
    /// of the last fence before, so its place tells which attempt landed.
    pub(super) async fn perform(
        self,
        after: impl Fn(AttemptToken) -> Vec<Fence>,
    ) -> Result<Vec<(Fence, Bytes)>, AttemptError> {
        let mut in_doubt: Vec<Vec<(Fence, Bytes)>> = Vec::new();
        let mut backoff = BACKOFF_MIN;
        loop {
            let fences: Vec<(Fence, Bytes)> =
                after((self.tokens)()).into_iter().map(|fence| (fence.clone(), fence.encode())).collect();
            let refused = match self.store.commit(self.commit_to(&fences)).await {
                Ok(()) => return Ok(fences),
                Err(CommitError::TooLarge { what, size_bytes, limit_bytes }) => {
                    return Err(AttemptError::TooLarge { what, size_bytes, limit_bytes });
                }
                Err(CommitError::Fatal(fault)) => return Err(AttemptError::Fatal(fault)),
                Err(CommitError::Conflict) => continue,
                Err(CommitError::Unavailable(fault)) => {
                    tracing::warn!(%fault, "the store is unavailable; the commit waits");
                    metrics::counter!("pelton_store_unavailable_total").increment(1);
                    pause(&mut backoff).await;
                    continue;
                }
                Err(CommitError::Unknown(fault)) => {
                    tracing::debug!(%fault, "a commit's outcome is unknown; the fence decides");
                    metrics::counter!("pelton_commits_unknown_total").increment(1);
                    if mutant(Mutant::UnknownTakenAsDone) {
                        return Ok(fences);
                    }
                    in_doubt.push(fences);
                    false
                }
                Err(CommitError::Refused { .. }) => true,
            };
            let standing = self.read_standing().await?;
            if let Some(landed) = in_doubt.iter().find(|attempt| landed(attempt, &standing)) {
                return Ok(landed.clone());
            }
            if let Some(current) = self.first_difference(&standing) {
                return Err(AttemptError::Refused { current });
            }
            if refused && !self.requires.is_empty() {
                return Err(AttemptError::Refused {
                    current: self.before.last().map(|(fence, _)| fence.clone()),
                });
            }
            // All stands as before. An attempt in doubt may land yet; then the next one is refused and the
            // token tells. If the next one succeeds, no earlier one can land any more.
            pause(&mut backoff).await;
        }
    }

    fn commit_to(&self, fences: &[(Fence, Bytes)]) -> Commit {
        let key = |fence: &Fence| self.keys.fence(fence.interval.last());
        let expected = |(fence, bytes): &(Fence, Bytes)| Precondition::Value {
            key: key(fence),
            expected: Some(bytes.clone()),
        };
        let mut preconditions: Vec<Precondition> = self.before.iter().map(expected).collect();
        if mutant(Mutant::CommitWithoutFence) {
            preconditions.clear();
        }
        preconditions.extend(self.requires.iter().cloned());
        let mut writes = Vec::with_capacity(self.writes.len() + fences.len() + 1);
        writes.extend(
            self.before
                .iter()
                .filter(|(old, _)| !fences.iter().any(|(new, _)| new.interval.last() == old.interval.last()))
                .map(|(old, _)| Write::Delete { key: key(old) }),
        );
        writes
            .extend(fences.iter().map(|(fence, bytes)| Write::Put { key: key(fence), value: bytes.clone() }));
        writes.extend(self.writes.iter().cloned());
        Commit { preconditions, writes }
    }

    /// What stands now where the fences before stood, in their order.
    async fn read_standing(&self) -> Result<Vec<Option<Bytes>>, AttemptError> {
        let keys: Vec<Bytes> =
            self.before.iter().map(|(fence, _)| self.keys.fence(fence.interval.last())).collect();
        let mut backoff = BACKOFF_MIN;
        loop {
            match self.store.read(keys.clone()).await {
                Ok(values) => return Ok(values),
                Err(ReadError::Unavailable(fault)) => {
                    tracing::warn!(%fault, "the store is unavailable; an unknown outcome waits to be settled");
                    pause(&mut backoff).await;
                }
                Err(ReadError::Fatal(fault)) => return Err(AttemptError::Fatal(fault)),
            }
        }
    }

    /// The first place where something else stands than before, with what stands there.
    fn first_difference(&self, standing: &[Option<Bytes>]) -> Option<Option<Fence>> {
        self.before
            .iter()
            .zip(standing)
            .find(|((_, bytes), now)| now.as_ref() != Some(bytes))
            .map(|(_, now)| now.as_ref().and_then(|bytes| Fence::decode(bytes).ok()))
    }
}

fn landed(attempt: &[(Fence, Bytes)], standing: &[Option<Bytes>]) -> bool {
    match (attempt.last(), standing.last()) {
        (Some((_, written)), Some(Some(now))) => written == now,
        _ => false,
    }
}

/// Waits, and doubles the next wait up to a second.
pub(super) async fn pause(backoff: &mut Duration) {
    tokio::time::sleep(*backoff).await;
    *backoff = (*backoff * 2).min(BACKOFF_MAX);
}
