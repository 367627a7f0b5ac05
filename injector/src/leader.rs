//! The leader's own fence: one injector of a pipeline may write its journal, and an unknown outcome is settled.
//!
//! The fence is one record, [`pelton_proto::store::Leader`]: which leadership stands, and the token of its last
//! commit. Every commit of the leader requires the exact bytes that it last wrote and replaces them in the same
//! transaction, so:
//!
//! * I7: a take-over, which replaces them too, refuses every later commit of the deposed leader, one already
//!   on its way included: it can say nothing new.
//! * I3: whether an attempt happened is read off its token; that it did not is established by the next
//!   attempt's success, never by a read.
//!
//! Not here: when to take leadership. Whoever takes it has it; a lease belongs to whoever calls.

use crate::backoff::Backoff;
use bytes::Bytes;
use pelton_domain::{AttemptToken, Sequencer};
use pelton_proto::{Malformed, Message, convert, store};
use pelton_statestore::fence::Tokens;
use pelton_statestore::{
    Commit, CommitError, PipelineKeys, Precondition, ReadError, StoreFault, StoreHandle, Write,
};

/// The leadership of one pipeline, from its taking until another takes it.
pub struct Leader {
    store: StoreHandle,
    key: Bytes,
    tokens: Tokens,
    address: String,
    epoch: Sequencer,
    /// The fence as last written.
    standing: Bytes,
    /// A commit was begun and its end not seen: a cancelled call is an unknown outcome.
    interrupted: bool,
}

impl std::fmt::Debug for Leader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Leader({})", self.epoch)
    }
}

/// Why a leader's commit did not happen, or leadership could not be taken. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaderError {
    /// Another leads now. Stop, and announce nothing more.
    #[error("leader {held} was deposed by {}", current.map_or("nobody".to_owned(), |c| c.to_string()))]
    Deposed {
        /// The leadership that was.
        held: Sequencer,
        /// The one that is.
        current: Option<Sequencer>,
    },
    /// Over a limit of the store. Write less at once.
    #[error("a {what} of {size_bytes} bytes is over the store's limit of {limit_bytes}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        size_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// An earlier commit was cancelled, so what stands is unknown. Take leadership again.
    #[error("a cancelled commit left the leadership in doubt")]
    Interrupted,
    /// The record in the store is no leader's.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The store is broken or closed. Stop.
    #[error("the store failed: {0}")]
    Fatal(StoreFault),
}

impl Leader {
    /// Takes leadership from whoever has it: when it returns, no commit of an earlier leader can succeed.
    /// Read the journal after that, not before.
    ///
    /// Waits while the store is unavailable. A cancelled call may still take it.
    ///
    /// # Errors
    /// [`LeaderError::Malformed`] or [`LeaderError::Fatal`].
    pub async fn take(
        store: &StoreHandle,
        keys: &PipelineKeys,
        tokens: &Tokens,
        address: &str,
    ) -> Result<Self, LeaderError> {
        loop {
            let before = read(store, &keys.leader()).await?;
            // Refused: the leader before committed once more, or another took over. Look again, and take it from there.
            if let Some(leader) = Self::take_from(before, store, keys, tokens, address).await? {
                return Ok(leader);
            }
        }
    }

    /// Takes leadership if the leader's record is still exactly `before`; `None` where it is not. So of two that
    /// found the same leader silent one takes its place, and the other does not depose the new one at once.
    ///
    /// # Errors
    /// As [`Leader::take`].
    pub async fn take_from(
        before: Option<Bytes>,
        store: &StoreHandle,
        keys: &PipelineKeys,
        tokens: &Tokens,
        address: &str,
    ) -> Result<Option<Self>, LeaderError> {
        let key = keys.leader();
        let standing = before.as_deref().map(decode).transpose()?;
        let epoch = next(standing.and_then(|standing| standing.epoch))
            .ok_or_else(|| Malformed::new("leader", "its number is the last there is"))?;
        let change = Change { store, key: &key, before: before.as_ref(), writes: &[] };
        match change.perform(|| encode(epoch, tokens(), address)).await {
            Ok(standing) => {
                tracing::info!(%epoch, "took leadership");
                let (store, tokens, address) = (store.clone(), tokens.clone(), address.to_owned());
                Ok(Some(Self { store, key, tokens, address, epoch, standing, interrupted: false }))
            }
            Err(ChangeError::Refused { .. }) => Ok(None),
            Err(ChangeError::Failed(error)) => Err(error),
        }
    }

    /// Which leadership this is; every later one is larger.
    #[must_use]
    pub fn epoch(&self) -> Sequencer {
        self.epoch
    }

    /// Writes all of `writes`, or nothing, if this leadership still stands.
    ///
    /// An unknown outcome is settled before it returns (I3); while the store is unavailable it waits. Not
    /// safe to cancel: after that every commit is refused with [`LeaderError::Interrupted`].
    ///
    /// # Errors
    /// [`LeaderError`], in each case with nothing written.
    pub async fn commit(&mut self, writes: Vec<Write>) -> Result<(), LeaderError> {
        if self.interrupted {
            return Err(LeaderError::Interrupted);
        }
        self.interrupted = true;
        let change =
            Change { store: &self.store, key: &self.key, before: Some(&self.standing), writes: &writes };
        let result = change.perform(|| encode(self.epoch, (self.tokens)(), &self.address)).await;
        self.interrupted = false;
        match result {
            Ok(standing) => {
                self.standing = standing;
                Ok(())
            }
            Err(ChangeError::Refused { current }) => {
                let current = current.as_deref().map(decode).transpose()?.and_then(|standing| standing.epoch);
                Err(LeaderError::Deposed { held: self.epoch, current })
            }
            Err(ChangeError::Failed(error)) => Err(error),
        }
    }
}

/// One change of the leader's record, attempted until its outcome is known.
struct Change<'a> {
    store: &'a StoreHandle,
    key: &'a Bytes,
    before: Option<&'a Bytes>,
    writes: &'a [Write],
}

enum ChangeError {
    /// Something else stands; the change did not happen and cannot any more.
    Refused {
        current: Option<Bytes>,
    },
    Failed(LeaderError),
}

impl Change<'_> {
    /// Every attempt requires what stood before the first, so at most one can ever land, and what stands
    /// afterwards tells which.
    async fn perform(self, make: impl Fn() -> Bytes) -> Result<Bytes, ChangeError> {
        let mut in_doubt: Vec<Bytes> = Vec::new();
        let mut backoff = Backoff::new();
        loop {
            let after = make();
            match self.store.commit(self.commit_to(&after)).await {
                Ok(()) => return Ok(after),
                Err(CommitError::TooLarge { what, size_bytes, limit_bytes }) => {
                    return Err(ChangeError::Failed(LeaderError::TooLarge { what, size_bytes, limit_bytes }));
                }
                Err(CommitError::Fatal(fault)) => return Err(ChangeError::Failed(LeaderError::Fatal(fault))),
                Err(CommitError::Conflict) => {
                    backoff.pause().await;
                    continue;
                }
                Err(CommitError::Unavailable(fault)) => {
                    tracing::warn!(%fault, "the store is unavailable; the journal waits");
                    metrics::counter!("pelton_injector_store_unavailable_total").increment(1);
                    backoff.pause().await;
                    continue;
                }
                Err(CommitError::Unknown(fault)) => {
                    tracing::debug!(%fault, "a journal commit's outcome is unknown; the leader's record decides");
                    metrics::counter!("pelton_injector_commits_unknown_total").increment(1);
                    in_doubt.push(after);
                }
                Err(CommitError::Refused { .. }) => {}
            }
            let current = read(self.store, self.key).await.map_err(ChangeError::Failed)?;
            if let Some(landed) = in_doubt.iter().find(|attempt| Some(*attempt) == current.as_ref()) {
                return Ok(landed.clone());
            }
            if current.as_ref() != self.before {
                return Err(ChangeError::Refused { current });
            }
            // All stands as before. An attempt in doubt may land yet: then the next one is refused and the
            // token tells. If the next one succeeds, no earlier one can land any more.
            backoff.pause().await;
        }
    }

    fn commit_to(&self, after: &Bytes) -> Commit {
        let mut writes = Vec::with_capacity(self.writes.len() + 1);
        writes.push(Write::Put { key: self.key.clone(), value: after.clone() });
        writes.extend(self.writes.iter().cloned());
        let expected = self.before.cloned();
        Commit { preconditions: vec![Precondition::Value { key: self.key.clone(), expected }], writes }
    }
}

/// The leader's record as it stands.
///
/// # Errors
/// [`LeaderError::Fatal`].
pub async fn read(store: &StoreHandle, key: &Bytes) -> Result<Option<Bytes>, LeaderError> {
    let mut backoff = Backoff::new();
    loop {
        match store.read(vec![key.clone()]).await {
            Ok(values) => return Ok(values.into_iter().next().flatten()),
            Err(ReadError::Unavailable(_)) => backoff.pause().await,
            Err(ReadError::Fatal(fault)) => return Err(LeaderError::Fatal(fault)),
        }
    }
}

fn encode(epoch: Sequencer, token: AttemptToken, address: &str) -> Bytes {
    let token = Bytes::copy_from_slice(&token.0.to_be_bytes());
    store::Leader { sequencer: epoch.get(), token, address: address.to_owned() }.encode_to_vec().into()
}

/// What a leader's record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which leadership.
    pub epoch: Option<Sequencer>,
    /// Where it offers its service, HOST:PORT; empty where it offers none.
    pub address: String,
}

/// Reads a leader's record.
///
/// # Errors
/// [`Malformed`] where it is none.
pub fn decode(bytes: &[u8]) -> Result<Standing, Malformed> {
    let leader: store::Leader = convert::decode("leader", bytes)?;
    Ok(Standing { epoch: Sequencer::new(leader.sequencer), address: leader.address })
}

/// The leadership after `standing`. A number of its own series: leaders and intervals are never compared.
fn next(standing: Option<Sequencer>) -> Option<Sequencer> {
    Sequencer::new(standing.map_or(0, Sequencer::get).checked_add(1)?)
}

#[cfg(test)]
#[path = "leader_tests.rs"]
mod tests;
