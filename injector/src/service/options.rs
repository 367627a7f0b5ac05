//! What the service is given, and the clocks it goes by.

use crate::assign::heat::HeatLimits;
use crate::membership;
use crate::options::Clock;
use pelton_domain::Name;
use pelton_statestore::fence::Tokens;
use std::sync::Arc;
use std::time::Duration;

/// Time that only ever goes on, since some moment of this process. Leases go by it.
pub type Monotonic = Arc<dyn Fn() -> Duration + Send + Sync>;

/// How the service works.
#[derive(Clone)]
pub struct ServiceOptions {
    /// Which pipeline it serves.
    pub pipeline: Name,
    /// Where others find it, HOST:PORT.
    pub address: String,
    /// How long a leader may be silent before another takes its place.
    pub lease: Duration,
    /// How patient it is with workers.
    pub limits: membership::Limits,
    /// How often hot intervals are looked for; zero: never.
    pub reshape_every: Duration,
    /// What is hot and what is cold.
    pub heat: HeatLimits,
    /// Messages that may wait for one worker, announced values apart; a worker with more is cut off.
    pub control_messages_max: usize,
    /// How far a worker's clock may be ahead of [`Self::clock`]; one that is further gets no intervals (I6).
    pub clock_ahead_max: Duration,
    /// The wall clock: for people, and to judge those of workers by.
    pub clock: Clock,
    /// The clock of leases.
    pub monotonic: Monotonic,
    /// Where the tokens of the leader's commits come from.
    pub tokens: Tokens,
}

impl ServiceOptions {
    /// A lease of 2 s for the leader and of 3 s for workers; intervals are looked at every 10 s; workers' clocks may be
    /// ahead by a minute.
    #[must_use]
    pub fn new(pipeline: Name, address: String, clock: Clock, monotonic: Monotonic) -> Self {
        Self {
            pipeline,
            address,
            lease: Duration::from_secs(2),
            limits: membership::Limits::default(),
            reshape_every: Duration::from_secs(10),
            heat: HeatLimits::default(),
            control_messages_max: 4_096,
            clock_ahead_max: Duration::from_secs(60),
            clock,
            monotonic,
            tokens: pelton_statestore::fence::random_tokens(),
        }
    }
}

impl std::fmt::Debug for ServiceOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceOptions")
            .field("pipeline", &self.pipeline)
            .field("address", &self.address)
            .field("lease", &self.lease)
            .field("limits", &self.limits)
            .field("reshape_every", &self.reshape_every)
            .finish_non_exhaustive()
    }
}
