//! Deliberate bugs of the engine, each of which the simulation must catch: a suite that catches nothing proves
//! nothing.
//!
//! Only with the feature `mutants`, which nothing but that suite turns on. Without it [`mutant()`] is a constant false,
//! and no trace of it is left in a program. With it a thread chooses one bug, for what runs in that thread: simulations
//! in several threads have each their own.
//!
//! It is not for faults of the surroundings, which the simulation has, and it keeps no invariant: it breaks them.

/// A bug that the engine would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutant {
    /// I1: a commit does not require the fence that it replaces.
    CommitWithoutFence,
    /// I3: a commit whose outcome is unknown is taken to have happened.
    UnknownTakenAsDone,
    /// I1, I2: an interval goes on after a commit that was refused, as if it had happened.
    RefusedCommitIgnored,
    /// I6: the ids of a commit are not written with it.
    DedupWriteDropped,
    /// I6: ids that are admitted and not committed are not looked at.
    InFlightNotConsulted,
    /// I6: ids are forgotten a bucket before the horizon has passed it.
    IdsCollectedEarly,
    /// I6: a part of a split or merge does not consult the ids that its ancestors have packed.
    AncestorsIgnored,
    /// I6: a new owner assigns ids by its own clock, below what has been announced.
    IdFloorIgnored,
    /// I6: a new owner does not read the ids that the old one has packed.
    IdsNotReadAtTakeOver,
    /// I6: what a weak computation produces for a parked record has a new id, though it may have been sent before.
    ParkedUnderNewIds,
    /// I6: a weak computation's promise does not wait for its parked records, whose productions have their old ids.
    ParkedNotPromised,
    /// I4: deliveries are acknowledged when their batch is closed, before its commit.
    AcknowledgedBeforeCommit,
    /// I4: a duplicate of a record that is not committed is acknowledged at once.
    InFlightDuplicateAcknowledged,
    /// I5: a chunk leaves the outbox at the first acknowledgement, though others have not acknowledged it.
    OutboxRemovedEarly,
    /// I4, I5: a weak computation commits before its productions are acknowledged, and does not journal them.
    WeakAcknowledgedEarly,
    /// I2, I5: productions are sent when their batch is closed, before its commit.
    SentBeforeCommit,
    /// I5: a new owner does not look for productions that are not acknowledged.
    OutboxScanSkipped,
    /// I9: what is sent again goes in the opposite order.
    ResentInReverse,
    /// I9: what goes from an old owner to a new one goes in the opposite order.
    ReroutedInReverse,
    /// I9: a receiver takes a delivery though one before it is missing.
    GapAccepted,
    /// I7: productions that are not acknowledged do not hold the watermark.
    OutboxNotHeld,
    /// I7: timers do not hold the watermark.
    TimersNotHeld,
    /// I7: what a batch that is not committed holds does not hold the watermark.
    BatchNotHeld,
    /// I7: parked records do not hold the watermark.
    ParkedNotHeld,
    /// I7: an interval whose new owner has not reported does not hold the watermark.
    MissingIntervalIgnored,
    /// I7: the report of an owner that is no more counts.
    StaleReportAccepted,
    /// I7: what a leader will announce is told before it is journaled.
    ToldBeforeJournaled,
    /// I7: a new owner begins without the input watermark that the old one had applied.
    WatermarkOfFenceIgnored,
    /// I8: that a timer has fired is not written, so it fires again after a take-over.
    FiredTimerKept,
    /// I8: a timer that was replaced or cleared since it came due fires.
    ReplacedTimerFires,
    /// I8: a new owner does not read the timers.
    TimersNotReadAtTakeOver,
    /// I8: timers fire though an earlier one is in the store only.
    FarTimersPassedOver,
    /// I8: far timers are never read in.
    FarTimersNeverRead,
    /// I8: a far timer that was cleared in a batch that has not committed comes back from the store.
    ClearedFarTimerRead,
    /// I8: event timers fire a little before their time.
    TimersFireEarly,
    /// I2: state that is not committed is evicted from the cache.
    UncommittedStateEvicted,
    /// I9: a new owner does not look for parked records.
    ParkedScanSkipped,
    /// I9: new records of a key run before its parked ones.
    ParkedOvertaken,
    /// I9: parked records of a key are taken up in the opposite order.
    ParkedInReverse,
}

impl Mutant {
    /// Every one.
    pub const ALL: [Self; 39] = [
        Self::CommitWithoutFence,
        Self::UnknownTakenAsDone,
        Self::RefusedCommitIgnored,
        Self::DedupWriteDropped,
        Self::InFlightNotConsulted,
        Self::IdsCollectedEarly,
        Self::AncestorsIgnored,
        Self::IdFloorIgnored,
        Self::IdsNotReadAtTakeOver,
        Self::ParkedUnderNewIds,
        Self::ParkedNotPromised,
        Self::AcknowledgedBeforeCommit,
        Self::InFlightDuplicateAcknowledged,
        Self::OutboxRemovedEarly,
        Self::WeakAcknowledgedEarly,
        Self::SentBeforeCommit,
        Self::OutboxScanSkipped,
        Self::ResentInReverse,
        Self::ReroutedInReverse,
        Self::GapAccepted,
        Self::OutboxNotHeld,
        Self::TimersNotHeld,
        Self::BatchNotHeld,
        Self::ParkedNotHeld,
        Self::MissingIntervalIgnored,
        Self::StaleReportAccepted,
        Self::ToldBeforeJournaled,
        Self::WatermarkOfFenceIgnored,
        Self::FiredTimerKept,
        Self::ReplacedTimerFires,
        Self::TimersNotReadAtTakeOver,
        Self::FarTimersPassedOver,
        Self::FarTimersNeverRead,
        Self::ClearedFarTimerRead,
        Self::TimersFireEarly,
        Self::UncommittedStateEvicted,
        Self::ParkedScanSkipped,
        Self::ParkedOvertaken,
        Self::ParkedInReverse,
    ];
}

/// Whether this program can have any.
pub const THERE_ARE: bool = cfg!(feature = "mutants");

#[cfg(feature = "mutants")]
thread_local! {
    static CHOSEN: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Whether the engine has this bug now, in this thread.
#[cfg(feature = "mutants")]
#[must_use]
pub fn mutant(which: Mutant) -> bool {
    CHOSEN.get() == Some(which)
}

/// Whether the engine has this bug now: it never has.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
#[must_use]
pub const fn mutant(_: Mutant) -> bool {
    false
}

/// Runs `work`, and all that it runs in this thread, with a bug.
#[cfg(feature = "mutants")]
pub fn with_mutant<T>(which: Mutant, work: impl FnOnce() -> T) -> T {
    /// Ends it, a panic of `work` included.
    struct End(Option<Mutant>);
    impl Drop for End {
        fn drop(&mut self) {
            CHOSEN.set(self.0);
        }
    }
    let _end = End(CHOSEN.replace(Some(which)));
    work()
}

/// Runs `work`, without any bug: there are none.
#[cfg(not(feature = "mutants"))]
pub fn with_mutant<T>(_: Mutant, work: impl FnOnce() -> T) -> T {
    work()
}
