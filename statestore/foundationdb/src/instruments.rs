//! The metrics of this backend, all under `pelton_fdb_`.

use pelton_statestore::{Commit, CommitError};
use std::time::Duration;

/// Which way a commit went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// Its preconditions were read.
    Slow,
    /// Its fence was known.
    Fast,
}

impl Path {
    fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Fast => "fast",
        }
    }
}

/// A commit succeeded.
pub(crate) fn committed(path: Path, commit: &Commit, took: Duration) {
    let bytes: usize = commit.writes.iter().map(pelton_statestore::Write::size_bytes).sum();
    metrics::counter!("pelton_fdb_commits_total", "path" => path.name()).increment(1);
    metrics::counter!("pelton_fdb_keys_written_total").increment(count(commit.writes.len()));
    metrics::counter!("pelton_fdb_bytes_written_total").increment(count(bytes));
    metrics::histogram!("pelton_fdb_commit_seconds", "path" => path.name()).record(took.as_secs_f64());
}

/// A commit did not say that it happened.
pub(crate) fn failed(error: &CommitError) {
    let outcome = match error {
        CommitError::Refused { .. } => "refused",
        CommitError::Conflict => "conflict",
        CommitError::Unknown(_) => "unknown",
        CommitError::TooLarge { .. } => "too_large",
        CommitError::Unavailable(_) => "unavailable",
        CommitError::Fatal(_) => "fatal",
    };
    metrics::counter!("pelton_fdb_commits_failed_total", "outcome" => outcome).increment(1);
}

/// A commit that began on the fast path has to read its fence after all.
pub(crate) fn fell_back() {
    metrics::counter!("pelton_fdb_fast_fallbacks_total").increment(1);
}

/// A batch of keys was read.
pub(crate) fn read(keys: usize, took: Duration) {
    metrics::counter!("pelton_fdb_reads_total").increment(1);
    metrics::counter!("pelton_fdb_keys_read_total").increment(count(keys));
    metrics::histogram!("pelton_fdb_read_seconds").record(took.as_secs_f64());
}

/// A page was read.
pub(crate) fn scanned(entries: usize, took: Duration) {
    metrics::counter!("pelton_fdb_scans_total").increment(1);
    metrics::counter!("pelton_fdb_keys_scanned_total").increment(count(entries));
    metrics::histogram!("pelton_fdb_scan_seconds").record(took.as_secs_f64());
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
