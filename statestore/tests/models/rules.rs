//! What the model may do, how much of it, and what is deliberately done wrong.

/// How far the model goes. The states grow fast with every one of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Reigns that are handed out.
    pub(crate) sequencers_max: u64,
    /// Batches that are begun.
    pub(crate) batches_max: u32,
    /// Answers that are lost.
    pub(crate) lost_max: u32,
    /// Times that the store is away.
    pub(crate) away_max: u32,
    /// Workers that lose their memory.
    pub(crate) crashes_max: u32,
    /// Whether there are two intervals in the beginning.
    pub(crate) halves: bool,
    /// Splits and merges that are begun.
    pub(crate) reshapes_max: u32,
    /// Whether a backup of this very moment may be started beside the store.
    pub(crate) restores: bool,
}

/// One thing done wrong, in the store or around the code: each must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// A commit lands whatever stands at the fence.
    FenceNotChecked,
    /// A take-over lands whatever the journal assigns by then.
    AssignmentNotChecked,
    /// A lost answer is taken for "nothing was written".
    UnknownMeansNo,
    /// A lost answer is taken for "it happened".
    UnknownMeansYes,
    /// Only the first half of a commit's writes happens.
    HalfACommit,
    /// A merge leaves the fences that it replaces.
    OldFencesStay,
    /// After a cancelled commit the worker goes on with the reign as it was before.
    CancelledForgotten,
    /// The same, and all attempts have one token.
    TokensRepeat,
    /// Calls do not name the life of the store that they are for.
    LifeNotNamed,
    /// A restored store is taken over as if somebody had said so.
    AdoptedUnasked,
}
