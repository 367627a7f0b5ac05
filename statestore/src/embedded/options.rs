//! How an embedded store is opened.

use crate::store::Limits;

/// When a commit counts as durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Once the disk says so: it survives loss of power.
    #[default]
    Fsync,
    /// Once the operating system has it: it survives the death of the process, not of the machine.
    Buffered,
}

/// The options of [`Embedded::open`](super::Embedded::open). The defaults are right for production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// When a commit counts as durable.
    pub durability: Durability,
    /// The commit log is settled once it holds this much, or a key for each 128 bytes of it. Two such tables, with
    /// at most four times this in all, are in memory; on the disk three segments of it.
    pub log_bytes_max: u64,
    /// Waiting commits together; more wait in their callers (I11). At least one commit of the largest size fits.
    pub queue_bytes_max: usize,
    /// One group of commits, beyond its first: what one write and one fsync carry.
    pub group_bytes_max: usize,
    /// Blocks of settled data kept in memory.
    pub cache_bytes_max: u64,
    /// What one commit may hold.
    pub limits: Limits,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Fsync,
            log_bytes_max: 64 << 20,
            queue_bytes_max: 64 << 20,
            group_bytes_max: 4 << 20,
            cache_bytes_max: 64 << 20,
            limits: Limits::default(),
        }
    }
}
