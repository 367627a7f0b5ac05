//! The settled data: sorted tables on disk, written whole from frozen memory tables and merged in the background.
//!
//! A frozen table goes in as one sorted run and becomes visible in one atomic step, together with the sequence
//! number of the last log frame that it contains; so after a crash it is all there or not at all, and the log
//! knows exactly where to go on. Nothing is ever written here key by key.
//!
//! A key of the store lies under `1`, key; our own marks lie under `0`. So an empty key is a key like any other.

use super::leftovers::Leftovers;
use super::table::Table;
use crate::store::{KeyRange, ReadError, StoreFault};
use bytes::Bytes;
use lsm_tree::compaction::Leveled;
use lsm_tree::compaction::filter::{CompactionFilter, Context, Factory, ItemAccessor, Verdict};
use lsm_tree::{AbstractTree, AnyTree, Cache, Config, Guard, SeqNo, SequenceNumberCounter};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const USER: u8 = 1;
const FLUSHED: &[u8] = &[0, b'f'];

/// Levels of the tree, for [`Settled::shape`].
const LEVELS: usize = 7;

/// ENFILE and EMFILE, which have no kind of their own.
const TOO_MANY_FILES: [i32; 2] = [23, 24];

/// A failure of the settled data.
#[derive(Debug)]
pub(super) struct SettledError {
    pub(super) fault: StoreFault,
    /// Whether the same may succeed later, with nothing lost: the disk is full, or too many files are open.
    pub(super) is_transient: bool,
    /// Whether it failed only because the store is being closed.
    pub(super) is_interrupted: bool,
}

impl From<lsm_tree::Error> for SettledError {
    fn from(error: lsm_tree::Error) -> Self {
        let (kind, code) = match &error {
            lsm_tree::Error::Io(error) => (Some(error.kind()), error.raw_os_error()),
            _ => (None, None),
        };
        Self {
            is_transient: matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
                || code.is_some_and(|code| TOO_MANY_FILES.contains(&code)),
            is_interrupted: kind == Some(io::ErrorKind::Interrupted),
            fault: StoreFault(match &error {
                lsm_tree::Error::Io(error) => format!("the settled data: {error}"),
                other => format!("the settled data: {other:?}"),
            }),
        }
    }
}

impl SettledError {
    /// The same as an error of a read: what is damaged stays damaged, anything else may pass.
    pub(super) fn into_read_error(self) -> ReadError {
        if self.is_transient { ReadError::Unavailable(self.fault) } else { ReadError::Fatal(self.fault) }
    }
}

/// The tables on disk.
pub(super) struct Settled {
    tree: AnyTree,
    /// Numbers every change of the tree; a run gets the next.
    versions: SequenceNumberCounter,
    closing: Arc<AtomicBool>,
    leftovers: Leftovers,
    /// Why the last merge failed, if it did.
    merge_fault: Mutex<Option<StoreFault>>,
}

impl fmt::Debug for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settled").field("tables", &self.tree.table_count()).finish_non_exhaustive()
    }
}

impl Settled {
    /// Opens the tables in `path`, created where there are none.
    pub(super) fn open(path: &Path, cache_bytes_max: u64) -> Result<Self, SettledError> {
        let (versions, visible) = (SequenceNumberCounter::default(), SequenceNumberCounter::default());
        let closing = Arc::new(AtomicBool::new(false));
        let tree = Config::new(path, versions.clone(), visible.clone())
            .use_cache(Arc::new(Cache::with_capacity_bytes(cache_bytes_max)))
            .with_compaction_filter_factory(Some(Arc::new(StopAtClose(Arc::clone(&closing)))))
            .open()?;
        // A run written later must carry a larger number than every run before it, through reopening too.
        let next = tree.get_highest_seqno().map_or(0, |highest| highest + 1);
        versions.fetch_max(next);
        visible.fetch_max(next);
        Ok(Self { tree, versions, closing, leftovers: Leftovers::of(path), merge_fault: Mutex::default() })
    }

    /// The value of `key`.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, SettledError> {
        let found = self.tree.get(prefixed(key), SeqNo::MAX)?;
        // Copied: a slice would keep its whole block in memory for as long as a caller keeps the value.
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    /// The entries of a range, ascending, as they are now; later changes are not seen.
    pub(super) fn range(
        &self,
        range: &KeyRange,
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), SettledError>> + use<> {
        let found = (!range.is_empty())
            .then(|| self.tree.range(prefixed(&range.start)..prefixed(&range.end), SeqNo::MAX, None));
        found.into_iter().flatten().map(|entry| {
            let (key, value) = entry.into_inner()?;
            let key = key.get(1..).unwrap_or_default();
            Ok((Bytes::copy_from_slice(key), Bytes::copy_from_slice(&value)))
        })
    }

    /// The last log frame whose writes are settled; 0 where none is.
    pub(super) fn flushed_sequence(&self) -> Result<u64, SettledError> {
        let found = self.tree.get(FLUSHED, SeqNo::MAX)?;
        let bytes = found.and_then(|value| <[u8; 8]>::try_from(value.as_ref()).ok());
        Ok(bytes.map_or(0, u64::from_be_bytes))
    }

    /// Settles a table: when this returns, it is durable and visible here. An error leaves everything as it was.
    pub(super) fn ingest(&self, table: &Table, last_sequence: u64) -> Result<(), SettledError> {
        self.leftovers.clear_after(|| self.try_ingest(table, last_sequence))
    }

    fn try_ingest(&self, table: &Table, last_sequence: u64) -> Result<(), SettledError> {
        let mut run = self.tree.ingestion()?;
        run.write(FLUSHED, last_sequence.to_be_bytes())?;
        let mut prefixed_key = Vec::new();
        for (key, value) in table.iter() {
            prefixed_key.clear();
            prefixed_key.push(USER);
            prefixed_key.extend_from_slice(key);
            match value {
                Some(value) => run.write(prefixed_key.as_slice(), value.as_ref())?,
                // What was put and deleted again within one table leaves nothing behind.
                None if !self.tree.contains_key(&prefixed_key, SeqNo::MAX)? => {}
                None => run.write_tombstone(prefixed_key.as_slice())?,
            }
        }
        Ok(run.finish()?)
    }

    /// Sorted runs that a read may have to look into, beyond the levels.
    pub(super) fn runs(&self) -> usize {
        self.tree.l0_run_count()
    }

    /// Merges tables where that is due; whether anything changed.
    pub(super) fn compact(&self) -> Result<bool, SettledError> {
        let before = self.shape();
        // Reads take the newest version at one instant and hold on to it, so no older entry is ever needed.
        let merge = || self.tree.compact(Arc::new(Leveled::default()), self.versions.get());
        let merged = self.leftovers.clear_after(merge).map_err(SettledError::from);
        let fault = merged.as_ref().err().map(|error| error.fault.clone());
        *self.merge_fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        merged?;
        Ok(before != self.shape())
    }

    /// Whether merging gets on.
    ///
    /// # Errors
    /// Why the last attempt failed; passing, for it is tried again.
    pub(super) fn check_merging(&self) -> Result<(), SettledError> {
        match &*self.merge_fault.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(fault) => {
                Err(SettledError { fault: fault.clone(), is_transient: true, is_interrupted: false })
            }
        }
    }

    /// Ends a merge that is under way.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    fn shape(&self) -> ([Option<usize>; LEVELS], usize, u64) {
        let levels = std::array::from_fn(|level| self.tree.level_table_count(level));
        (levels, self.tree.l0_run_count(), self.tree.disk_space())
    }
}

fn prefixed(key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + key.len());
    out.push(USER);
    out.extend_from_slice(key);
    out
}

/// Lets a merge fail once the store is being closed, so that closing does not wait for it. It filters nothing.
#[derive(Clone)]
struct StopAtClose(Arc<AtomicBool>);

impl Factory for StopAtClose {
    fn name(&self) -> &'static str {
        "stop-at-close"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(self.clone())
    }
}

impl CompactionFilter for StopAtClose {
    fn filter_item(&mut self, _: ItemAccessor<'_>, _: &Context) -> lsm_tree::Result<Verdict> {
        if self.0.load(Ordering::Relaxed) {
            return Err(lsm_tree::Error::Io(io::ErrorKind::Interrupted.into()));
        }
        Ok(Verdict::Keep)
    }
}
