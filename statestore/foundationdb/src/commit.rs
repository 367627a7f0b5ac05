//! One commit is one transaction (I2), on one of two paths.
//!
//! The slow path reads every precondition with conflict, compares, writes and commits. The fast path is for the
//! commit of a warm interval, whose only precondition is a fence that this process wrote last: it neither asks for a
//! read version nor reads, see [`warm`](crate::warm). Whatever the fast path is refused, the slow path decides.
//!
//! I3: no retry loop of the client's is around either. A transaction that was sent is made again here only where
//! the cluster said that it did not happen.

use crate::client::{Client, SNAPSHOTS_MAX, conflict_with_writers};
use crate::fault::{self, AtCommit, BeforeCommit, Trouble};
use crate::instruments::{self, Path};
use crate::space::Span;
use crate::warm::Warm;
use crate::{check, clock, mutation};
use bytes::Bytes;
use foundationdb::{FdbError, Transaction, TransactionCommitError};
use pelton_statestore::keys::is_fence;
use pelton_statestore::{Commit, CommitError, Limits, Precondition, StoreFault, Write};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// How many commits went which way, since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitCounts {
    /// Succeeded without reading their fence.
    pub fast: u64,
    /// Succeeded after reading their preconditions.
    pub slow: u64,
    /// Began on the fast path, were refused there, and read their fence after all.
    pub fell_back: u64,
}

#[derive(Debug, Default)]
struct Counters {
    fast: AtomicU64,
    slow: AtomicU64,
    fell_back: AtomicU64,
}

/// Makes commits.
#[derive(Debug)]
pub(crate) struct Committer {
    client: Arc<Client>,
    limits: Limits,
    /// `None` where every commit reads its preconditions.
    warm: Option<Warm>,
    /// Whether this process knows of values in pieces.
    pieces: Arc<AtomicBool>,
    counters: Counters,
}

/// What became of a commit on the fast path.
enum Fast {
    Ended(Result<(), CommitError>),
    /// It did not happen; its fence must be read.
    Refused,
}

impl Committer {
    pub(crate) fn new(client: Arc<Client>, limits: Limits, fast: bool, pieces: Arc<AtomicBool>) -> Self {
        Self { client, limits, warm: fast.then(Warm::default), pieces, counters: Counters::default() }
    }

    pub(crate) async fn commit(&self, commit: Commit) -> Result<(), CommitError> {
        commit.check(&self.limits)?;
        mutation::check(&self.client.space, &commit)?;
        if mutation::writes_pieces(&commit) {
            self.pieces.store(true, Ordering::Relaxed);
        }
        let began = clock::now();
        let (path, result) = match self.known_version(&commit, began) {
            None => (Path::Slow, self.slow(&commit).await),
            Some((fence, version)) => match self.fast(&commit, &fence, version).await {
                Fast::Ended(result) => (Path::Fast, result),
                Fast::Refused => {
                    self.counters.fell_back.fetch_add(1, Ordering::Relaxed);
                    instruments::fell_back();
                    (Path::Slow, self.slow(&commit).await)
                }
            },
        };
        match &result {
            Ok(()) => {
                let counter = match path {
                    Path::Fast => &self.counters.fast,
                    Path::Slow => &self.counters.slow,
                };
                counter.fetch_add(1, Ordering::Relaxed);
                instruments::committed(path, &commit, clock::now().saturating_duration_since(began));
            }
            Err(error) => instruments::failed(error),
        }
        result
    }

    pub(crate) fn counts(&self) -> CommitCounts {
        let Counters { fast, slow, fell_back } = &self.counters;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CommitCounts { fast: of(fast), slow: of(slow), fell_back: of(fell_back) }
    }

    /// The fence that is all a commit requires, and the version at which it is known to stand.
    fn known_version(&self, commit: &Commit, now: Instant) -> Option<(Bytes, i64)> {
        let warm = self.warm.as_ref()?;
        let [Precondition::Value { key, expected: Some(expected) }] = commit.preconditions.as_slice() else {
            return None;
        };
        let version = warm.take(key, expected, now)?;
        (!commit.writes.is_empty()).then(|| (key.clone(), version))
    }

    async fn fast(&self, commit: &Commit, fence: &[u8], version: i64) -> Fast {
        let prepare = async {
            let transaction = self.client.begin()?;
            transaction.set_read_version(version);
            conflict_with_writers(&transaction, &Span::of_key(&self.client.space.row(fence)))?;
            self.write(&transaction, commit)?;
            self.client.expect_same(&transaction).await?;
            Ok::<_, Trouble>(transaction)
        };
        let transaction = match prepare.await {
            Ok(transaction) => transaction,
            Err(trouble) => return Fast::Ended(Err(before(&trouble))),
        };
        match self.send(transaction, commit).await {
            Ok(()) => Fast::Ended(Ok(())),
            Err(error) => match fault::at_commit(error.code()) {
                AtCommit::Conflict | AtCommit::Stale => Fast::Refused,
                fate => Fast::Ended(Err(at_commit(fate, &error, commit))),
            },
        }
    }

    async fn slow(&self, commit: &Commit) -> Result<(), CommitError> {
        let mut conflicted = false;
        for _ in 0..SNAPSHOTS_MAX {
            let prepare = async {
                let transaction = self.client.begin()?;
                let broken = check::first_broken(&self.client, &transaction, &commit.preconditions).await?;
                self.write(&transaction, commit)?;
                self.client.expect_same(&transaction).await?;
                Ok::<_, Trouble>((transaction, broken))
            };
            let (transaction, broken) = match prepare.await {
                Ok(prepared) => prepared,
                Err(trouble) => match trouble.before_commit() {
                    BeforeCommit::Stale => continue,
                    BeforeCommit::NotNow if conflicted => return Err(CommitError::Conflict),
                    _ => return Err(before(&trouble)),
                },
            };
            if let Some(at) = broken {
                return Err(CommitError::Refused { at });
            }
            if conflicted {
                // All is as required, so it was something else that it met.
                return Err(CommitError::Conflict);
            }
            if commit.writes.is_empty() {
                return Ok(());
            }
            let Err(error) = self.send(transaction, commit).await else { return Ok(()) };
            match fault::at_commit(error.code()) {
                AtCommit::Conflict if commit.preconditions.is_empty() => return Err(CommitError::Conflict),
                AtCommit::Conflict => conflicted = true,
                AtCommit::Stale => {}
                fate => return Err(at_commit(fate, &error, commit)),
            }
        }
        if conflicted {
            return Err(CommitError::Conflict);
        }
        Err(CommitError::Unavailable(StoreFault("every snapshot passed away before it was used".to_owned())))
    }

    fn write(&self, transaction: &Transaction, commit: &Commit) -> Result<(), FdbError> {
        mutation::apply(transaction, &self.client.space, commit, self.pieces.load(Ordering::Relaxed))
    }

    /// Commits, and remembers the fences that the commit left.
    async fn send(&self, transaction: Transaction, commit: &Commit) -> Result<(), TransactionCommitError> {
        let sent = clock::now();
        let committed = transaction.commit().await?;
        if let Some(warm) = &self.warm
            && let Ok(version) = committed.committed_version()
            && version > 0
        {
            for (fence, value) in fences_left(&commit.writes) {
                warm.remember(fence, value, version, sent);
            }
        }
        Ok(())
    }
}

/// The fences that stand after these writes, with their values.
fn fences_left(writes: &[Write]) -> BTreeMap<Bytes, Bytes> {
    let mut fences = BTreeMap::new();
    for write in writes {
        match write {
            Write::Put { key, value } if is_fence(key) => {
                fences.insert(key.clone(), value.clone());
            }
            Write::Put { .. } => {}
            Write::Delete { key } => {
                fences.remove(key);
            }
            Write::DeleteRange { range } => fences.retain(|fence: &Bytes, _| !range.contains(fence)),
        }
    }
    fences
}

/// A trouble before anything was sent.
fn before(trouble: &Trouble) -> CommitError {
    match trouble.before_commit() {
        BeforeCommit::Stale | BeforeCommit::NotNow => CommitError::Unavailable(trouble.fault()),
        BeforeCommit::Broken => CommitError::Fatal(trouble.fault()),
    }
}

/// A commit that failed.
fn at_commit(fate: AtCommit, error: &TransactionCommitError, commit: &Commit) -> CommitError {
    let fault = fault::fault(**error);
    match fate {
        AtCommit::Conflict => CommitError::Conflict,
        AtCommit::Stale | AtCommit::NotNow => CommitError::Unavailable(fault),
        AtCommit::Unknown => CommitError::Unknown(fault),
        AtCommit::TooLarge => CommitError::TooLarge {
            what: "FoundationDB transaction",
            size_bytes: commit.size_bytes(),
            limit_bytes: Limits::default().commit_bytes_max,
        },
        AtCommit::Broken => CommitError::Fatal(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_domain::{KeyPosition, Name};
    use pelton_statestore::{KeyRange, PipelineKeys};

    #[test]
    fn the_last_word_on_a_fence_counts() {
        let keys = PipelineKeys::new(&Name::new("p").unwrap()).computation(1);
        let put = |position, value: &'static str| Write::Put {
            key: keys.fence(KeyPosition(position)),
            value: value.into(),
        };
        let delete = |position| Write::Delete { key: keys.fence(KeyPosition(position)) };
        let other = Write::Put {
            key: keys.outbox(KeyPosition(1), pelton_domain::CommitNumber(1), 0),
            value: "o".into(),
        };
        let left = fences_left(&[put(1, "a"), put(2, "a"), put(1, "b"), other, delete(2), put(3, "c")]);
        let expected =
            [(1, "b"), (3, "c")].map(|(at, value)| (keys.fence(KeyPosition(at)), Bytes::from(value)));
        assert_eq!(left, BTreeMap::from(expected));
        let cleared =
            Write::DeleteRange { range: KeyRange { end: keys.fence(KeyPosition(3)), ..keys.fences() } };
        assert_eq!(fences_left(&[put(1, "a"), put(3, "c"), cleared]).len(), 1);
    }
}
