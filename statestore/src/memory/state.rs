//! What all handles of one store share: data, dice, late commits, gates and counts.

use super::faults::{self, Fate, FaultPlan};
use super::gate::Hook;
use super::table::Table;
use crate::store::{Commit, CommitError, ReadError, StoreFault};
use rand::rngs::StdRng;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::oneshot;

/// Late commits beyond this many land at once, oldest first, so that a storm stays bounded (I11).
const PENDING_MAX: usize = 64;

/// What was asked of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of `read`.
    pub reads: u64,
    /// Keys that they asked for.
    pub keys_read: u64,
    /// Calls of `scan`.
    pub scans: u64,
    /// Calls of `commit` within the limits, whatever became of them.
    pub commits: u64,
    /// Commits that were applied, late ones included.
    pub commits_applied: u64,
    /// Writes of those.
    pub writes_applied: u64,
    /// Bytes of those writes.
    pub bytes_applied: u64,
    /// Faults that happened.
    pub faults: FaultCounts,
}

/// How often each fault happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Commits that met a concurrent one.
    pub conflicts: u64,
    /// Calls that found the store away.
    pub unavailable: u64,
    /// Commits that happened, and whose answer was lost.
    pub unknown_happened: u64,
    /// Commits that were lost before they happened.
    pub unknown_never: u64,
    /// Commits that landed, or were refused, after the caller had been told that their outcome is unknown.
    pub unknown_late: u64,
    /// Calls that were delayed.
    pub delayed: u64,
    /// Pages that were cut short.
    pub short_pages: u64,
}

/// Told of every commit that was applied, in order, under the store's lock.
pub(super) type Watcher = Box<dyn FnMut(&Commit) + Send>;

/// A decision about which commit a gate holds.
pub(super) type Matches = Box<dyn Fn(&Commit) -> bool + Send>;

/// Whether a commit goes its way, or is held.
pub(super) enum Passage {
    /// It goes, with the delays and the fate drawn for it.
    Through(Commit, Trip),
    /// A gate has it; the answer comes from there.
    Held(oneshot::Receiver<Result<(), CommitError>>),
}

/// The way of one commit.
pub(super) struct Trip {
    pub(super) there: Duration,
    pub(super) back: Duration,
    pub(super) fate: Fate,
}

/// The way of one read or scan.
pub(super) struct ReadTrip {
    pub(super) there: Duration,
    pub(super) back: Duration,
    pub(super) entries_max: usize,
}

/// The shared state, under one lock.
pub(super) struct State {
    pub(super) table: Table,
    pub(super) plan: FaultPlan,
    pub(super) counts: Counts,
    rng: StdRng,
    pending: VecDeque<Commit>,
    gates: VecDeque<(Hook, Matches)>,
    pub(super) watcher: Option<Watcher>,
}

impl State {
    pub(super) fn new(rng: StdRng, plan: FaultPlan) -> Self {
        let (table, counts) = (Table::default(), Counts::default());
        Self { table, plan, counts, rng, pending: VecDeque::new(), gates: VecDeque::new(), watcher: None }
    }

    pub(super) fn add_gate(&mut self, hook: Hook, matches: Matches) {
        self.gates.push_back((hook, matches));
    }

    pub(super) fn pending_len(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn keep_pending(&mut self, commit: Commit) {
        self.pending.push_back(commit);
        while self.pending.len() > PENDING_MAX {
            self.land_oldest();
        }
    }

    /// Everything that happens when a commit arrives, before any time passes.
    pub(super) fn arrive(&mut self, commit: Commit) -> Passage {
        self.let_some_land();
        self.counts.commits += 1;
        self.gates.retain(|(hook, _)| hook.is_wanted());
        let held = self.gates.iter().position(|(_, matches)| matches(&commit));
        if let Some((hook, _)) = held.and_then(|at| self.gates.remove(at)) {
            return Passage::Held(hook.catch(commit));
        }
        let fate = faults::fate(&self.plan, &mut self.rng);
        self.count(fate);
        let (there, back) = self.delays();
        Passage::Through(commit, Trip { there, back, fate })
    }

    pub(super) fn arrive_read(&mut self, keys: usize) -> Result<ReadTrip, ReadError> {
        self.counts.reads += 1;
        self.counts.keys_read += u64::try_from(keys).unwrap_or(u64::MAX);
        self.arrive_looking(1)
    }

    pub(super) fn arrive_scan(&mut self, entries_max: usize) -> Result<ReadTrip, ReadError> {
        self.counts.scans += 1;
        self.arrive_looking(entries_max)
    }

    fn arrive_looking(&mut self, entries_max: usize) -> Result<ReadTrip, ReadError> {
        self.let_some_land();
        let away = faults::chance(self.plan.unavailable, &mut self.rng);
        let (there, back) = self.delays();
        let wanted = entries_max.max(1);
        let entries_max = faults::page_entries(&self.plan, wanted, &mut self.rng);
        self.counts.faults.short_pages += u64::from(entries_max < wanted);
        if away {
            self.counts.faults.unavailable += 1;
            return Err(ReadError::Unavailable(StoreFault("an injected fault".to_owned())));
        }
        Ok(ReadTrip { there, back, entries_max })
    }

    /// Applies a commit at this instant, and counts it where it was applied.
    pub(super) fn apply(&mut self, commit: &Commit) -> Result<(), CommitError> {
        self.table.apply(commit)?;
        let bytes: usize = commit.writes.iter().map(crate::store::Write::size_bytes).sum();
        self.counts.commits_applied += 1;
        self.counts.writes_applied += u64::try_from(commit.writes.len()).unwrap_or(u64::MAX);
        self.counts.bytes_applied += u64::try_from(bytes).unwrap_or(u64::MAX);
        if let Some(watcher) = &mut self.watcher {
            watcher(commit);
        }
        Ok(())
    }

    pub(super) fn land_all(&mut self) -> usize {
        let landed = self.pending.len();
        while self.land_oldest() {}
        landed
    }

    fn land_oldest(&mut self) -> bool {
        let Some(commit) = self.pending.pop_front() else { return false };
        // Nobody waits for the answer any more; preconditions may refuse it.
        let _ = self.apply(&commit);
        true
    }

    /// Each late commit has an even chance to land now, in no particular order: so they may overtake each other.
    fn let_some_land(&mut self) {
        let waiting = std::mem::take(&mut self.pending);
        for commit in waiting {
            if faults::chance(0.5, &mut self.rng) {
                let _ = self.apply(&commit);
            } else {
                self.pending.push_back(commit);
            }
        }
    }

    fn delays(&mut self) -> (Duration, Duration) {
        let delays = (faults::delay(&self.plan, &mut self.rng), faults::delay(&self.plan, &mut self.rng));
        self.counts.faults.delayed += u64::from(delays != (Duration::ZERO, Duration::ZERO));
        delays
    }

    fn count(&mut self, fate: Fate) {
        let faults = &mut self.counts.faults;
        match fate {
            Fate::Happens => {}
            Fate::Conflict => faults.conflicts += 1,
            Fate::Unavailable => faults.unavailable += 1,
            Fate::UnknownHappens => faults.unknown_happened += 1,
            Fate::UnknownNever => faults.unknown_never += 1,
            Fate::UnknownLate => faults.unknown_late += 1,
        }
    }
}
