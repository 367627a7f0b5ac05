//! What the model may do, how much of it, and what is deliberately done wrong.

/// How far the model goes. The states grow fast with every one of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Records that the producer makes.
    pub(crate) records: u64,
    /// How often each interval gets a new owner.
    pub(crate) moves_max: [u32; 2],
    /// How often the producer sends again from its oldest.
    pub(crate) resends_max: u32,
    /// How often time goes on, by a bucket of dedup.
    pub(crate) ticks_max: u32,
    /// How far the clock of each of the two workers is ahead, in milliseconds.
    pub(crate) ahead_ms: [i64; 2],
    /// Whether what has arrived at a reign may arrive there again. What is sent again arrives in any case.
    pub(crate) repeats: bool,
    /// Whether batches are closed at one time and committed at another: then the next one runs in between.
    pub(crate) seals: bool,
    /// How many actions long a history may be; 0: as long as the others allow.
    pub(crate) depth_max: usize,
}

/// One thing done wrong around the code: each must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Deliveries are acknowledged when their batch is closed.
    AcknowledgedBeforeCommit,
    /// A duplicate of a record that is not committed is acknowledged at once.
    InFlightAcknowledged,
    /// The horizon is announced, and is not in the journal.
    AnnouncedBeforeJournaled,
    /// A new owner begins with the ids that its own clock gives.
    IdsByOwnClock,
    /// Whoever reports is taken for the owner, whatever its sequencer.
    StaleReportCounts,
    /// An interval whose owner has not reported promises everything.
    MissingIntervalIgnored,
    /// The promise is that of the clock alone.
    OutboxNotPromised,
    /// Ids are forgotten a bucket before the horizon has passed it.
    ForgottenEarly,
    /// A new owner reads what the store holds first, and takes the fence then.
    ScanBeforeFence,
    /// A new owner of the producer does not look for productions that are not acknowledged.
    OutboxNotScanned,
}
