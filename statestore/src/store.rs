//! The trait that every backend implements, and its errors, named by what the caller must do.
//!
//! Point reads in batches, ordered scans in pages, and one atomic conditional commit: nothing more. A commit
//! states what it relies on as exact values (its [`Precondition`]s), so a backend needs no locks that outlive
//! a call, and fencing (I1) is enforced by whoever holds the data.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use pelton_domain::Incarnation;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A shared store.
pub type StoreHandle = Arc<dyn StateStore>;

/// A transactional, ordered store of bytes.
pub trait StateStore: Send + Sync + fmt::Debug + 'static {
    /// The values of `keys`, in their order; `None` where a key is absent.
    ///
    /// Each value is at least as new as the last commit that had returned when the call began. The batch is
    /// no snapshot: two values may be of different commits. Safe to cancel.
    fn read(&self, keys: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, ReadError>>;

    /// One page of a range, in ascending order of keys. Safe to cancel.
    ///
    /// A page is a consistent snapshot at least as new as the last commit that had returned when the call
    /// began; two pages may be of different snapshots.
    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, ReadError>>;

    /// Applies every write, or none (I2), where every precondition holds at that instant.
    ///
    /// When it returns `Ok`, the writes are durable. **Not** safe to cancel: a dropped call is an unknown
    /// outcome, and may still land (I3). Writes apply in order, so a later one wins.
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<(), CommitError>>;

    /// What a commit may hold.
    fn limits(&self) -> Limits;

    /// The life of this store: a restored or cloned store has another.
    fn incarnation(&self) -> Incarnation;

    /// The lives before this one that were adopted on purpose.
    fn adopted(&self) -> Vec<Incarnation> {
        Vec::new()
    }

    /// Whether what was written in the life `written` may be taken over in this one: its own, and those before
    /// it that were adopted on purpose.
    fn adopts(&self, written: Incarnation) -> bool {
        written == self.incarnation() || self.adopted().contains(&written)
    }
}

/// A half-open range of keys: from `start`, included, to `end`, excluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key that may be in it.
    pub start: Bytes,
    /// The first key that is not.
    pub end: Bytes,
}

impl KeyRange {
    /// Every key that begins with `prefix`.
    #[must_use]
    pub fn of_prefix(prefix: &[u8]) -> Self {
        Self { start: Bytes::copy_from_slice(prefix), end: after_prefix(prefix) }
    }

    /// Whether `key` lies in it.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_ref() <= key && key < self.end.as_ref()
    }

    /// Whether nothing lies in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }
}

/// The least key greater than every key with this prefix. Keys begin with a version byte below 0xff, so there is one.
fn after_prefix(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end.into();
        }
    }
    Bytes::from_static(&[0xff; 32])
}

/// A request for one page.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Where to look. To go on, start the range at [`Page::next`].
    pub range: KeyRange,
    /// At most this many entries; at least 1.
    pub entries_max: usize,
    /// Stop once keys and values together reach this many bytes; one entry is always returned.
    pub bytes_max: usize,
}

impl Scan {
    /// A page of `range` of at most 1,024 entries and 256 KiB, which every backend serves in one go.
    #[must_use]
    pub fn page_of(range: KeyRange) -> Self {
        Self { range, entries_max: 1024, bytes_max: 256 * 1024 }
    }
}

/// What a scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys and values, ascending.
    pub entries: Vec<(Bytes, Bytes)>,
    /// Where the next page starts; `None` at the end of the range.
    pub next: Option<Bytes>,
}

/// One change of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets a key.
    Put {
        /// Which.
        key: Bytes,
        /// To what.
        value: Bytes,
    },
    /// Removes a key, present or not.
    Delete {
        /// Which.
        key: Bytes,
    },
    /// Removes every key of a range.
    DeleteRange {
        /// Which.
        range: KeyRange,
    },
}

impl Write {
    /// The key it is about, or where its range starts.
    #[must_use]
    pub fn at(&self) -> &Bytes {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
            Self::DeleteRange { range } => &range.start,
        }
    }

    /// The bytes it counts against [`Limits::commit_bytes_max`].
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Put { key, value } => key.len() + value.len(),
            Self::Delete { key } => key.len(),
            Self::DeleteRange { range } => range.start.len() + range.end.len(),
        }
    }
}

/// What must hold for a commit to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// `key` has exactly this value; `None`: it is absent.
    Value {
        /// Which key.
        key: Bytes,
        /// Its value.
        expected: Option<Bytes>,
    },
    /// Nothing lies in `range`.
    Empty {
        /// Which range.
        range: KeyRange,
    },
}

impl Precondition {
    /// The key it is about, or where its range starts.
    #[must_use]
    pub fn at(&self) -> &Bytes {
        match self {
            Self::Value { key, .. } => key,
            Self::Empty { range } => &range.start,
        }
    }
}

/// One atomic commit.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// All must hold.
    pub preconditions: Vec<Precondition>,
    /// Applied in this order.
    pub writes: Vec<Write>,
}

impl Commit {
    /// The bytes it counts against [`Limits::commit_bytes_max`].
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let preconditions: usize = self
            .preconditions
            .iter()
            .map(|p| match p {
                Precondition::Value { key, expected } => key.len() + expected.as_ref().map_or(0, Bytes::len),
                Precondition::Empty { range } => range.start.len() + range.end.len(),
            })
            .sum();
        preconditions + self.writes.iter().map(Write::size_bytes).sum::<usize>()
    }

    /// Checks the commit against `limits`; every backend calls it before it does anything.
    ///
    /// # Errors
    /// [`CommitError::TooLarge`] with what is too large, its size and the limit.
    pub fn check(&self, limits: &Limits) -> Result<(), CommitError> {
        let fail =
            |what, size_bytes, limit_bytes| Err(CommitError::TooLarge { what, size_bytes, limit_bytes });
        for write in &self.writes {
            if let Write::Put { key, value } = write {
                if key.len() > limits.key_bytes_max {
                    return fail("key", key.len(), limits.key_bytes_max);
                }
                if value.len() > limits.value_bytes_max {
                    return fail("value", value.len(), limits.value_bytes_max);
                }
            }
        }
        let size_bytes = self.size_bytes();
        if size_bytes > limits.commit_bytes_max {
            return fail("commit", size_bytes, limits.commit_bytes_max);
        }
        Ok(())
    }
}

/// What one commit may hold. The defaults are the least of all backends, so that what works on one works on all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Keys, values and preconditions together.
    pub commit_bytes_max: usize,
    /// One key.
    pub key_bytes_max: usize,
    /// One value.
    pub value_bytes_max: usize,
}

impl Default for Limits {
    /// 8 MB a commit, 10 KB a key, 100 KB a value: within FoundationDB's limits.
    fn default() -> Self {
        Self { commit_bytes_max: 8_000_000, key_bytes_max: 10_000, value_bytes_max: 100_000 }
    }
}

/// What went wrong below, in the words of the backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreFault(pub String);

/// Why a read or a scan gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The store cannot be reached now. Back off and try again.
    #[error("the store is unavailable: {0}")]
    Unavailable(StoreFault),
    /// The store is broken or closed. Stop.
    #[error("the store failed: {0}")]
    Fatal(StoreFault),
}

/// Why a commit did not say that it happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A precondition did not hold; nothing was written. Read `at` again before anything else.
    #[error("a precondition on {} no longer holds", hex(at))]
    Refused {
        /// The key, or the start of the range, that was not as expected.
        at: Bytes,
    },
    /// A concurrent commit got in the way; nothing was written. Try the same again.
    #[error("the commit met a concurrent one")]
    Conflict,
    /// The write may or may not be durable, now or later. Read the fence before anything else.
    #[error("the commit's outcome is unknown: {0}")]
    Unknown(StoreFault),
    /// Over a limit of the store; nothing was written. Split the batch.
    #[error("a {what} of {size_bytes} bytes is over the store's limit of {limit_bytes}")]
    TooLarge {
        /// What is too large: key, value or commit.
        what: &'static str,
        /// Its size.
        size_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The store cannot be reached now; nothing was written. Back off and try again.
    #[error("the store is unavailable: {0}")]
    Unavailable(StoreFault),
    /// The store is broken or closed: what is durable is known only after reopening it. Stop.
    #[error("the store failed: {0}")]
    Fatal(StoreFault),
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is none that Pelton knows.
    #[error(
        "{url:?} is no store: {reason}; use memory:, embedded:PATH, remote:HOST:PORT or fdb:CLUSTER_FILE"
    )]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process has it open.
    #[error("the store {} is in use by another process: stop that one, or use another directory", path.display())]
    Locked {
        /// Which directory.
        path: PathBuf,
    },
    /// It was written by another version of the layout.
    #[error("the store {} has layout version {found}, and this program knows {known}: use the program that wrote it, or another directory", path.display())]
    Version {
        /// Which directory.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version known here.
        known: u32,
    },
    /// It was written somewhere else: it is a restored or copied one.
    #[error(
        "the store {} was written in {written}, and this is {here}: it was restored, copied or moved; see to it that nothing runs on the other one, then open it with adopt=yes", path.display()
    )]
    Elsewhere {
        /// Which store.
        path: PathBuf,
        /// Where it was written.
        written: String,
        /// Where it is.
        here: String,
    },
    /// There is something there, but no store.
    #[error("{} is no Pelton store: {reason}", path.display())]
    NotAStore {
        /// Which path.
        path: PathBuf,
        /// What is there instead.
        reason: String,
    },
    /// The backend could not open it.
    #[error("the store {} cannot be opened: {fault}", path.display())]
    Failed {
        /// Which directory.
        path: PathBuf,
        /// Why.
        fault: StoreFault,
    },
}

/// Bytes in hexadecimal, for messages.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_range_ends_after_its_last_key() {
        let range = KeyRange::of_prefix(&[1, 0xff]);
        assert!(
            range.contains(&[1, 0xff, 0xff, 0xff]) && !range.contains(&[2]) && !range.contains(&[1, 0xfe])
        );
    }

    #[test]
    fn what_is_too_large_is_named_with_size_and_limit() {
        let limits = Limits::default();
        let put = |key: usize, value: usize| Commit {
            preconditions: vec![],
            writes: vec![Write::Put { key: vec![0; key].into(), value: vec![0; value].into() }],
        };
        assert_eq!(put(10_000, 100_000).check(&limits), Ok(()));
        let error = put(10_001, 1).check(&limits).unwrap_err().to_string();
        assert_eq!(error, "a key of 10001 bytes is over the store's limit of 10000");
        assert!(matches!(put(1, 100_001).check(&limits), Err(CommitError::TooLarge { what: "value", .. })));
        let many = Commit { preconditions: vec![], writes: vec![put(10, 90_000).writes[0].clone(); 90] };
        assert!(matches!(many.check(&limits), Err(CommitError::TooLarge { what: "commit", .. })));
    }
}
