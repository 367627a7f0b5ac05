//! What an injector is given besides its pipeline.

use pelton_domain::ProcessingTime;
use std::fmt;
use std::sync::Arc;

/// The wall clock, handed in. It only says since when something holds; no decision depends on it.
pub type Clock = Arc<dyn Fn() -> ProcessingTime + Send + Sync>;

/// How an injector works.
#[derive(Clone)]
pub struct InjectorOptions {
    /// The least time between two journal commits, in milliseconds. What comes meanwhile goes into the next
    /// one; after an idle time longer than this, an advance is journaled at once.
    pub journal_gap_ms_min: u64,
    /// The most advances and assignments in one journal commit.
    pub journal_records_max: usize,
    /// Where others find the service that stands before it, HOST:PORT; empty where there is none.
    pub address: String,
    /// After how long without a journal commit an empty one is made, in milliseconds: it shows those that stand by that
    /// the leader lives. `None`: never, where nobody stands by.
    pub renewal_ms: Option<u64>,
    /// Stamps reports.
    pub clock: Clock,
}

impl InjectorOptions {
    /// A gap of 10 ms, and 2,000 records, which is well below a megabyte; no address and no renewal.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            journal_gap_ms_min: 10,
            journal_records_max: 2_000,
            address: String::new(),
            renewal_ms: None,
            clock,
        }
    }
}

impl fmt::Debug for InjectorOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InjectorOptions")
            .field("journal_gap_ms_min", &self.journal_gap_ms_min)
            .field("journal_records_max", &self.journal_records_max)
            .field("address", &self.address)
            .field("renewal_ms", &self.renewal_ms)
            .finish_non_exhaustive()
    }
}
