//! The one thread that commits: everything that waits becomes one group, one write, one fsync.
//!
//! An idle store adds no delay: a commit that finds the thread waiting goes at once. While one group is being
//! synced the next gathers in the queue, so groups grow with the load.
//!
//! The order is what keeps the invariants: check (I1), write and sync the frame of the whole group (I2), only
//! then apply it to the active table and answer. A reader never sees what is not durable. An error that leaves
//! open what the log holds breaks the store (I3).

use super::core::Core;
use super::disk::Disk;
use super::encoded::Encoded;
use super::flush_slot::FlushJob;
use super::frame::{FrameBuilder, Writes};
use super::options::{Durability, EmbeddedOptions};
use super::recovery::Recovered;
use super::segment::{AppendError, Segment, SegmentOptions};
use super::stage::Stage;
use crate::store::{CommitError, StoreFault};
use crossbeam_channel::Receiver;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Segments of former runs that stay unsettled before the table is frozen for their number alone.
const SEGMENTS_MAX: usize = 8;

/// A table is frozen too when it has a key for each so many bytes that the log may hold: a key costs memory of
/// its own, and small ones would cost several times what they take in the log.
const LOG_BYTES_PER_KEY: u64 = 128;

/// By how much the log is lengthened at once: a moment's work, and seldom.
const RESERVE_BYTES_MAX: u64 = 1 << 20;

/// A commit on its way to the committer.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) commit: Encoded,
    pub(super) answer: oneshot::Sender<Result<(), CommitError>>,
    /// Its share of the queue, given back when the request is answered.
    pub(super) _share: Option<OwnedSemaphorePermit>,
}

/// Writes the log and the active table.
#[derive(Debug)]
pub(super) struct Committer {
    core: Arc<Core>,
    disk: Arc<dyn Disk>,
    options: EmbeddedOptions,
    directory: PathBuf,
    segment: Segment,
    /// Segments of former runs, whose writes are in the active table too.
    older: Vec<PathBuf>,
    /// What all these segments hold.
    log_bytes: u64,
    next_sequence: u64,
    stage: Stage,
    frame: FrameBuilder,
}

impl Committer {
    /// Goes on behind what recovery found, in a new segment.
    pub(super) fn new(
        core: Arc<Core>,
        disk: Arc<dyn Disk>,
        options: EmbeddedOptions,
        directory: PathBuf,
        recovered: Recovered,
    ) -> io::Result<Self> {
        let Recovered { last_frame, segments, log_bytes, next_segment, next_sequence, .. } = recovered;
        let mut frame = FrameBuilder::default();
        // The last frame may have been read from pages that the disk never took: a sync that failed once does
        // not fail again. Readers will see it, so it is written once more; all frames before it were synced.
        let first_sequence = next_sequence - u64::from(last_frame.is_some());
        let mut segment = Segment::create(
            disk.as_ref(),
            &directory,
            next_segment,
            first_sequence,
            segment_options(&options),
        )?;
        if let Some(payload) = last_frame {
            let again = frame.build(segment.salt(), first_sequence, &[payload]);
            segment
                .append(again)
                .map_err(|(AppendError::NotWritten(error) | AppendError::Unknown(error))| error)?;
        }
        let stage = Stage::default();
        Ok(Self {
            core,
            disk,
            options,
            directory,
            segment,
            older: segments,
            log_bytes,
            next_sequence,
            stage,
            frame,
        })
    }

    /// Commits until every sender of requests is gone and all are answered.
    pub(super) fn run(mut self, requests: &Receiver<Request>) {
        let core = Arc::clone(&self.core);
        let _guard = core.health.guard("commit");
        let mut group = Vec::new();
        while let Ok(first) = requests.recv() {
            let mut size_bytes = first.commit.size_bytes();
            group.push(first);
            while size_bytes < self.options.group_bytes_max {
                let Ok(next) = requests.try_recv() else { break };
                size_bytes += next.commit.size_bytes();
                group.push(next);
            }
            if core.health.is_abandoned() {
                return;
            }
            self.commit_group(&mut group);
        }
        if core.health.fault().is_none()
            && !core.health.is_abandoned()
            && let Err(error) = self.segment.finish()
        {
            tracing::warn!(%error, "the commit log was not closed cleanly");
        }
    }

    /// Commits one group, and answers every request of it.
    pub(super) fn commit_group(&mut self, group: &mut Vec<Request>) {
        let room = match self.core.health.fault() {
            Some(fault) => Err(CommitError::Fatal(fault)),
            None => self.make_room(),
        };
        if let Err(error) = room {
            answer_all(group.drain(..).map(|request| request.answer), &Err(error));
            return;
        }
        metrics::histogram!("pelton_store_commit_group_size").record(group.len() as f64);
        self.stage.clear();
        let mut accepted = Vec::with_capacity(group.len());
        for Request { commit, answer, _share } in group.drain(..) {
            match self.stage.accept(commit, &self.core) {
                Ok(payloads) => accepted.push((answer, payloads, _share)),
                // A refusal says nothing about the others, and waits for no disk.
                Err(error) => answer_all([answer], &Err(error)),
            }
        }
        let result = self.log();
        if result.is_ok() {
            self.apply(accepted.iter().map(|(_, payloads, _)| *payloads));
            metrics::counter!("pelton_store_commits_total").increment(accepted.len() as u64);
        }
        answer_all(accepted.into_iter().map(|(answer, _, _)| answer), &result);
    }

    /// Writes and syncs the staged writes as one frame.
    fn log(&mut self) -> Result<(), CommitError> {
        if self.stage.payloads().is_empty() {
            return Ok(());
        }
        let frame = self.frame.build(self.segment.salt(), self.next_sequence, self.stage.payloads());
        match self.segment.append(frame) {
            Ok(()) => {
                self.next_sequence += 1;
                self.log_bytes += frame.len() as u64;
                metrics::counter!("pelton_store_log_bytes_total").increment(frame.len() as u64);
                Ok(())
            }
            Err(AppendError::NotWritten(error)) => {
                tracing::warn!(%error, "the commit log takes no more; nothing was written");
                Err(CommitError::Unavailable(log_fault(&error)))
            }
            Err(AppendError::Unknown(error)) => {
                self.core.health.break_with(log_fault(&error));
                Err(CommitError::Unknown(log_fault(&error)))
            }
        }
    }

    /// Makes the staged writes visible, one commit at a time.
    fn apply(&self, commits: impl Iterator<Item = usize>) {
        let mut payloads = self.stage.payloads().iter();
        for count in commits {
            // Readers get in between commits, and never see half of one.
            let mut tables = self.core.tables_mut();
            for (key, value) in payloads.by_ref().take(count).flat_map(|payload| Writes::of(payload.clone()))
            {
                tables.active.put(key, value);
            }
        }
    }

    /// Freezes the active table where the log has reached its bound, waiting for the frozen one before it (I11).
    fn make_room(&mut self) -> Result<(), CommitError> {
        let keys = self.core.active_keys();
        let keys_max = self.options.log_bytes_max / LOG_BYTES_PER_KEY;
        let is_full = self.log_bytes >= self.options.log_bytes_max
            || keys as u64 >= keys_max
            || self.older.len() >= SEGMENTS_MAX;
        if !is_full || keys == 0 {
            return Ok(());
        }
        self.core.flush.wait_until_free().map_err(CommitError::Unavailable)?;
        if let Some(fault) = self.core.health.fault() {
            return Err(CommitError::Fatal(fault));
        }
        if self.options.durability == Durability::Buffered {
            // Only the last segment may end in a hole, so this one must be whole before there is another.
            self.segment.sync().map_err(|error| {
                self.core.health.break_with(log_fault(&error));
                CommitError::Fatal(log_fault(&error))
            })?;
        }
        let segment_options = segment_options(&self.options);
        let number = self.segment.number() + 1;
        let next =
            Segment::create(self.disk.as_ref(), &self.directory, number, self.next_sequence, segment_options)
                .map_err(|error| CommitError::Unavailable(log_fault(&error)))?;
        let full = std::mem::replace(&mut self.segment, next);
        let mut segments = std::mem::take(&mut self.older);
        segments.push(full.path().to_owned());
        self.log_bytes = 0;
        let table = {
            let mut tables = self.core.tables_mut();
            let table = Arc::new(std::mem::take(&mut tables.active));
            tables.frozen = Some(Arc::clone(&table));
            table
        };
        self.core.flush.submit(FlushJob { table, segments, last_sequence: self.next_sequence - 1 });
        Ok(())
    }
}

fn segment_options(options: &EmbeddedOptions) -> SegmentOptions {
    SegmentOptions {
        synced: options.durability == Durability::Fsync,
        reserve_bytes: (options.log_bytes_max / 4).min(RESERVE_BYTES_MAX),
    }
}

fn log_fault(error: &io::Error) -> StoreFault {
    StoreFault(format!("the commit log: {error}"))
}

fn answer_all(
    answers: impl IntoIterator<Item = oneshot::Sender<Result<(), CommitError>>>,
    result: &Result<(), CommitError>,
) {
    for answer in answers {
        // A caller that was cancelled does not listen; its commit is as durable as the others.
        let _ = answer.send(result.clone());
    }
}
