//! The thread that settles frozen tables, and the one that merges settled tables.
//!
//! A table that does not fit on the disk stays frozen, in memory and in the log, and is tried again with growing
//! pauses; meanwhile commits that need its place are told that the store is unavailable. Any other failure leaves
//! open what the disk holds, and breaks the store (I3).

use super::core::Core;
use super::disk::Disk;
use super::flush_slot::FlushJob;
use super::segment;
use super::settled::SettledError;
use crossbeam_channel::{Receiver, Sender};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// With more sorted runs than this the flusher waits for the merging, which would fall behind for good.
const RUNS_MAX: usize = 16;

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The log whose segments are settled.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) directory: PathBuf,
    /// A longer one is not kept.
    pub(super) segment_bytes_max: u64,
}

/// Settles frozen tables until the store is closed or breaks. `merge` wakes the other thread.
pub(super) fn run(core: &Core, log: &Log, merge: &Sender<()>) {
    let _guard = core.health.guard("flush");
    let _last = CloseSlot(core);
    while let Some(job) = core.flush.next() {
        let mut pause = PAUSE_MIN;
        while let Err(error) = settle(core, &job, log, merge) {
            if !error.is_transient {
                core.health.break_with(error.fault.clone());
            }
            tracing::warn!(error = %error.fault, "a table was not settled");
            let goes_on = core.flush.failed(error.fault, pause);
            if !goes_on || core.health.fault().is_some() {
                return;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        core.flush.done();
        wake(merge);
    }
}

/// Has the tables merged; where that is being done already it will look again.
fn wake(merge: &Sender<()>) {
    let _ = merge.try_send(());
}

/// Lets the committer go, which may wait for the slot, however this thread ends.
struct CloseSlot<'a>(&'a Core);

impl Drop for CloseSlot<'_> {
    fn drop(&mut self) {
        self.0.flush.close();
    }
}

fn settle(core: &Core, job: &FlushJob, log: &Log, merge: &Sender<()>) -> Result<(), SettledError> {
    while core.settled.runs() >= RUNS_MAX {
        // The committer waits for this thread, and its callers for it: so that reads do not slow down for good.
        wake(merge);
        core.settled.check_merging()?;
        if !core.flush.pause(PAUSE_MIN) {
            break;
        }
    }
    core.settled.ingest(&job.table, job.last_sequence)?;
    // From here on the settled data has it all, so readers that still hold the frozen table see the same.
    core.tables_mut().frozen = None;
    metrics::counter!("pelton_store_flushes_total").increment(1);
    tracing::debug!(last_sequence = job.last_sequence, "a table was settled");
    if let Err(error) =
        segment::retire(log.disk.as_ref(), &log.directory, &job.segments, log.segment_bytes_max)
    {
        // They say nothing that is not settled, and recovery removes them.
        tracing::warn!(%error, "segments of the commit log were not taken away");
    }
    Ok(())
}

/// Merges settled tables whenever it is woken, as long as there is something to merge.
pub(super) fn run_merging(core: &Core, woken: &Receiver<()>) {
    let _guard = core.health.guard("merge");
    while let Ok(()) = woken.recv() {
        loop {
            match core.settled.compact() {
                Ok(true) => metrics::counter!("pelton_store_merges_total").increment(1),
                Ok(false) => break,
                Err(error) if error.is_interrupted => return,
                Err(error) if error.is_transient => {
                    tracing::warn!(error = %error.fault, "settled tables were not merged; that is tried again at the next flush");
                    break;
                }
                Err(error) => return core.health.break_with(error.fault),
            }
        }
    }
}
