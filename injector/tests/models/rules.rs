//! What the model may do, how much of it, and what is deliberately done wrong.

/// How far the model goes. The states grow fast with every one of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Leaderships after the first.
    pub(crate) leads_max: u32,
    /// Intervals that are assigned anew.
    pub(crate) moves_max: u32,
    /// Answers of the store that are lost.
    pub(crate) lost_max: u32,
    /// Records that the producer makes.
    pub(crate) records: u8,
    /// Which of the two intervals may move.
    pub(crate) moving: &'static [usize],
    /// Which of them report.
    pub(crate) reporting: &'static [usize],
    /// How many actions long a history may be; 0: as long as the others allow.
    pub(crate) depth_max: usize,
}

/// One thing done wrong, in the store or around the code: each must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Values are announced before they are in the journal: the leader goes on, and its commit is on its way.
    AnnouncedBeforeJournaled,
    /// A journal commit lands whatever leadership stands.
    DeposedNotRefused,
    /// A new leader reads the journal first, and takes the lead then.
    JournalReadFirst,
    /// Whoever reports is taken for the owner, whatever its sequencer.
    StaleReportCounts,
    /// An interval whose owner has not reported holds nothing.
    MissingIntervalIgnored,
    /// The input watermark of the injector's own table counts, with the holds that an interval has reported.
    InjectorLeads,
    /// A new owner reads what the interval holds first, and takes the fence then.
    ScanBeforeFence,
    /// A new owner reports before its take-over.
    ReportedBeforeTakeOver,
    /// A production that is not acknowledged holds nothing.
    OutboxNotHeld,
}
