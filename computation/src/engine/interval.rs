//! One interval: its state, and the task that owns it.
//!
//! | module | what |
//! |---|---|
//! | [`core`] | everything the interval holds; taking in mail and admitting records (I4, I6, I9) |
//! | [`calls`] | what becomes of a call: kept, tried again, parked, given up (I8, I10) |
//! | [`commit`] | sealing a batch, and what follows once it has committed (I1 to I5) |
//! | [`load`] | how much work it is |
//! | [`replay`] | dead letters, from the store to the queue of their key (I10) |
//! | [`report`] | the one number that says how far it is (I6, I7) |
//! | [`sweep`] | expired state, removed |
//! | [`timers`] | timers between the table and the store (I8, I11) |
//! | [`task`] | the loop around them |
//! | [`written`] | keys and bytes of its commits, counted |
//!
//! While a commit is under way the next batch gathers and already runs, on state that is not yet committed.
//! Nothing of it is reported, acknowledged or sent. If the commit fails for good, the whole core is dropped,
//! and a new one is made from the store: so there is no state that a failed commit could leave behind.

pub(crate) mod calls;
pub(crate) mod commit;
pub(crate) mod core;
pub(crate) mod load;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod sweep;
pub(crate) mod task;
pub(crate) mod timers;
pub(crate) mod written;

#[cfg(test)]
mod tests;

use super::channel::Credit;
use std::time::Duration;

/// Limits of one interval (I11), and its few delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntervalOptions {
    /// The state cache, in bytes. Default 64 MiB.
    pub cache_bytes_max: usize,
    /// Timers in memory; above it the latest are in the store only, and are read in when they come near.
    /// Default 100,000, which take about 35 MB.
    pub timers_near_max: usize,
    /// Calls of one batch. Default 4,096.
    pub batch_calls_max: usize,
    /// Effects of one batch, in bytes; one call may go over it. Default 1 MB.
    pub batch_bytes_max: usize,
    /// Unacknowledged productions, in bytes; above it the interval takes no more work. Default 4 MiB.
    pub outbox_bytes_max: usize,
    /// Records on their way over one channel. Default 8,192.
    pub channel_records_max: usize,
    /// Bytes on their way over one channel. Default 1 MiB.
    pub channel_bytes_max: usize,
    /// The system time that one dedup bucket spans, in milliseconds. Written into stores: it must not change. Default 10,000.
    pub dedup_bucket_ms: u64,
    /// How long an unacknowledged delivery waits before it is sent again. Default 10 s.
    pub resend_after: Duration,
    /// How long acknowledged productions may stay in the store before a commit of their own removes them,
    /// when there is no other commit to do it. Default 100 ms.
    pub removal_delay: Duration,
    /// How often an idle interval renews its promise about ids. Default 1 s.
    pub promise_interval: Duration,
    /// How often expired state is swept. Default 1 min.
    pub sweep_interval: Duration,
}

impl Default for IntervalOptions {
    fn default() -> Self {
        Self {
            cache_bytes_max: 64 << 20,
            timers_near_max: 100_000,
            batch_calls_max: 4096,
            batch_bytes_max: 1_000_000,
            outbox_bytes_max: 4 << 20,
            channel_records_max: 8192,
            channel_bytes_max: 1 << 20,
            dedup_bucket_ms: 10_000,
            resend_after: Duration::from_secs(10),
            removal_delay: Duration::from_millis(100),
            promise_interval: Duration::from_secs(1),
            sweep_interval: Duration::from_secs(60),
        }
    }
}

impl IntervalOptions {
    pub(crate) fn credit(&self) -> Credit {
        Credit { records_max: self.channel_records_max, bytes_max: self.channel_bytes_max }
    }
}
