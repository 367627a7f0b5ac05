//! How a remote store is used.

use std::time::Duration;

/// The options of [`Remote::open_with`](super::Remote::open_with). The defaults are right for production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteOptions {
    /// How long opening waits for the server.
    pub open_duration_max: Duration,
    /// How long a call may take. A commit that takes longer is an unknown outcome, a read is unavailable.
    pub call_duration_max: Duration,
    /// Commits under way together, in bytes; more wait in their callers (I11). At least one message of the largest
    /// size fits. The server has room for 32 MiB of one connection, and refuses what is over it.
    pub commit_bytes_under_way_max: usize,
    /// Reads and scans under way together; more wait in their callers (I11). The server has room for 64 MiB of
    /// answers that one connection has not read, and refuses what is over it.
    pub reads_under_way_max: usize,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self {
            open_duration_max: Duration::from_secs(10),
            call_duration_max: Duration::from_secs(10),
            commit_bytes_under_way_max: 24 << 20,
            reads_under_way_max: 48,
        }
    }
}
