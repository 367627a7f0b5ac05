//! The store of one machine: a directory, with nothing to set up.
//!
//! A commit log of our own stands in front of a log-structured merge tree (the `lsm-tree` crate, the engine of
//! fjall). Why not fjall as it is:
//!
//! - Inserting each put into an LSM's memtable costs most of a commit, and what is put is mostly overwritten
//!   (state) or deleted (outbox, dedup ids) a moment later. Here such a put costs a place in the log and one in
//!   a map; what is gone again by the time a table is settled never reaches the tree.
//! - With a log in front, fjall's own journal would write everything a second time, and a write error in it,
//!   a full disk for one, ends the use of the database until it is reopened. The tree alone takes a whole
//!   sorted table in one atomic step (`settled`), and can be asked again.
//!
//! | file | what |
//! |---|---|
//! | `layout` | the directory: marker, lock |
//! | `frame`, `segment`, `disk` | the commit log, and what it asks of the disk |
//! | `recovery` | what the log says at opening |
//! | `encoded`, `stage`, `committer` | checking a group of commits; logging, applying and answering it |
//! | `sort_key`, `table`, `core`, `merge` | the tables in memory, and reading through them |
//! | `settled`, `leftovers`, `flush_slot`, `flusher` | the tables on disk, and how they get there |
//! | `meta`, `health` | layout version and incarnation; whether the store is broken |
//!
//! Invariants kept here: I1 (preconditions are checked by the one thread that writes, in the order in which it
//! writes), I2 (a group is one frame with a checksum), I3 (an error that leaves an outcome open is `Unknown`, and
//! ends the use of the store until it is reopened: nothing is settled by reading memory that may be ahead of the
//! disk), I11 (queue, groups, log and frozen tables have bounds; at a bound the committer waits, and its callers
//! with it).

mod committer;
mod core;
mod disk;
mod encoded;
mod flush_slot;
mod flusher;
mod frame;
mod health;
mod layout;
mod leftovers;
mod merge;
mod meta;
mod options;
mod recovery;
mod segment;
mod settled;
mod sort_key;
mod stage;
mod table;
#[cfg(test)]
mod tests;

pub use options::{Durability, EmbeddedOptions};

use self::core::Core;
use crate::store::{Commit, CommitError, Limits, OpenError, Page, ReadError, Scan, StateStore, StoreFault};
use bytes::Bytes;
use committer::{Committer, Request};
use crossbeam_channel::{Sender, bounded, unbounded};
use disk::{Disk, FileSystem};
use encoded::Encoded;
use futures_util::future::BoxFuture;
use layout::Directory;
use pelton_domain::Incarnation;
use settled::{Settled, SettledError};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{Semaphore, oneshot};

/// An open embedded store.
///
/// Reads and scans run on the calling task: they look into memory, and into blocks of files that are mostly
/// cached. Commits are made by a thread of the store's own.
///
/// Dropping it finishes the commits in the queue, stops its threads and unlocks the directory; that takes as long
/// as settling one table at most.
pub struct Embedded {
    core: Arc<Core>,
    limits: Limits,
    incarnation: Incarnation,
    /// Room in the queue, in units of [`QUEUE_UNIT_BYTES`].
    queue: Arc<Semaphore>,
    requests: Option<Sender<Request>>,
    threads: Vec<JoinHandle<()>>,
    /// Dropped last: its lock keeps other processes out while the threads end.
    directory: Directory,
}

/// What one permit of the queue stands for: so that no queue is longer than its bytes divided by this.
const QUEUE_UNIT_BYTES: usize = 1024;

impl Embedded {
    /// Opens the store in the directory `path`, and creates it where there is nothing.
    ///
    /// Replays the commit log, at most twice [`EmbeddedOptions::log_bytes_max`]. Blocks the thread.
    ///
    /// # Errors
    /// [`OpenError::Locked`] while another process, or another handle of this one, has it open;
    /// [`OpenError::Version`] where its keys have another layout; [`OpenError::NotAStore`] where `path` is a file
    /// or a directory with other things in it, which is not touched; [`OpenError::Failed`] otherwise.
    pub fn open(path: &Path, options: EmbeddedOptions) -> Result<Self, OpenError> {
        Self::open_on(path, options, Arc::new(FileSystem))
    }

    fn open_on(path: &Path, options: EmbeddedOptions, disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        let fail = |fault| OpenError::Failed { path: path.to_owned(), fault };
        let unsettled = |error: SettledError| fail(error.fault);
        let directory = Directory::open(path)?;
        let settled = Settled::open(&directory.settled(), options.cache_bytes_max).map_err(unsettled)?;
        let flushed = settled.flushed_sequence().map_err(unsettled)?;
        let mut recovered = recovery::recover(&directory.log(), flushed).map_err(fail)?;
        let (sequence, segments) = (recovered.next_sequence, recovered.segments.len());
        let core = Arc::new(Core::new(std::mem::take(&mut recovered.table), settled));
        let found = meta::read(&core, path, sequence == 1)?;
        let blocked = |error: io::Error| layout::failed(path, "cannot be written", &error);
        let log = flusher::Log {
            disk: Arc::clone(&disk),
            directory: directory.log(),
            segment_bytes_max: options.log_bytes_max.saturating_mul(2),
        };
        let mut committer =
            Committer::new(Arc::clone(&core), disk, options, directory.log(), recovered).map_err(blocked)?;
        let incarnation = match found {
            Some(incarnation) => incarnation,
            None => {
                describe(&mut committer).map_err(|error| layout::failed(path, "cannot be written", &error))?
            }
        };
        tracing::info!(path = %path.display(), %incarnation, flushed, sequence, segments, "opened an embedded store");
        let (requests, threads) = spawn(&core, committer, log).map_err(|error| {
            // Threads that did start end by this, and by the end of the queue.
            core.flush.close();
            blocked(error)
        })?;
        let queue_bytes = options.queue_bytes_max.max(weight_bytes_max(&options.limits));
        Ok(Self {
            core,
            limits: options.limits,
            incarnation,
            queue: Arc::new(Semaphore::new(units(queue_bytes))),
            requests: Some(requests),
            threads,
            directory,
        })
    }

    /// Ends this handle as the death of its process would: commits in the queue are lost, their callers are told
    /// "unknown", and the log is not closed. For tests of what comes after; an owner drops the store instead.
    pub fn stop_uncleanly(self) {
        self.core.health.abandon();
    }

    async fn enqueue(&self, commit: Commit) -> Result<(), CommitError> {
        commit.check(&self.limits)?;
        if let Some(fault) = self.core.health.fault() {
            return Err(CommitError::Fatal(fault));
        }
        let closed = || CommitError::Fatal(StoreFault("the store is closed".to_owned()));
        let weight = units(weight_bytes(&commit)).min(units(weight_bytes_max(&self.limits)));
        let share = Arc::clone(&self.queue)
            .acquire_many_owned(u32::try_from(weight).unwrap_or(u32::MAX))
            .await
            .map_err(|_| closed())?;
        let (answer, outcome) = oneshot::channel();
        let request = Request { commit: Encoded::of(commit), answer, _share: Some(share) };
        self.requests.as_ref().ok_or_else(closed)?.send(request).map_err(|_| closed())?;
        outcome.await.unwrap_or_else(|_| {
            Err(CommitError::Unknown(StoreFault("the store's commit thread ended".to_owned())))
        })
    }

    fn check_health(&self) -> Result<(), ReadError> {
        self.core.health.fault().map_or(Ok(()), |fault| Err(ReadError::Fatal(fault)))
    }
}

/// Writes the description of a new store, before anyone else can commit.
fn describe(committer: &mut Committer) -> Result<Incarnation, CommitError> {
    let (incarnation, commit) = meta::create();
    let (answer, mut outcome) = oneshot::channel();
    committer.commit_group(&mut vec![Request { commit: Encoded::of(commit), answer, _share: None }]);
    let unanswered = |_| Err(CommitError::Fatal(StoreFault("the commit thread gave no answer".to_owned())));
    outcome.try_recv().unwrap_or_else(unanswered).map(|()| incarnation)
}

type Threads = (Sender<Request>, Vec<JoinHandle<()>>);

fn spawn(core: &Arc<Core>, committer: Committer, log: flusher::Log) -> io::Result<Threads> {
    // Bounded by the semaphore before it, which makes async callers wait instead of blocking their threads.
    let (requests, queue) = unbounded();
    let (merge, wake) = bounded(1);
    // What an earlier process left to merge.
    let _ = merge.try_send(());
    let (merging, flushing) = (Arc::clone(core), Arc::clone(core));
    let thread = |name: &str| std::thread::Builder::new().name(format!("pelton-store-{name}"));
    let threads = vec![
        thread("commit").spawn(move || committer.run(&queue))?,
        thread("flush").spawn(move || flusher::run(&flushing, &log, &merge))?,
        thread("merge").spawn(move || flusher::run_merging(&merging, &wake))?,
    ];
    Ok((requests, threads))
}

/// What a commit counts in the queue: its bytes, and something for each part, however small.
fn weight_bytes(commit: &Commit) -> usize {
    commit.size_bytes() + 64 * (commit.writes.len() + commit.preconditions.len())
}

/// The most that one commit can count.
fn weight_bytes_max(limits: &Limits) -> usize {
    limits.commit_bytes_max * 2
}

fn units(bytes: usize) -> usize {
    bytes / QUEUE_UNIT_BYTES + 1
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("path", &self.directory.path()).finish_non_exhaustive()
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // The committer ends when the queue is empty; only then may the others, which it may be waiting for.
        self.requests = None;
        let mut threads = self.threads.drain(..);
        let _ = threads.next().map(JoinHandle::join);
        self.core.flush.close();
        self.core.settled.close();
        for thread in threads {
            // A panic there has been recorded by its guard.
            let _ = thread.join();
        }
    }
}

impl StateStore for Embedded {
    fn read(&self, keys: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, ReadError>> {
        Box::pin(async move {
            self.check_health()?;
            self.core.get_many(&keys).map_err(SettledError::into_read_error)
        })
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, ReadError>> {
        Box::pin(async move {
            self.check_health()?;
            self.core.page(&scan).map_err(SettledError::into_read_error)
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(self.enqueue(commit))
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn incarnation(&self) -> Incarnation {
        self.incarnation
    }
}
