//! From partial matches and a record to matches: a nondeterministic automaton that runs them side by side. Pure.
//!
//! All that one key's partial matches hold is bounded (I11): a record that would bring more is refused, with words.

use super::run::{Event, Run, Taken};
use super::said::{AfterMatch, Pattern};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// At most so many records may the partial matches of a key hold, each counted as often as it is held: they are one
/// entry of state, which must stay below the store's limit for a value.
pub const PARTIAL_RECORDS_MAX: usize = 2_048;

/// The partial matches of one key. They are stored: fields keep their places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Partial {
    /// Of the pattern they belong to.
    pub(super) shape: u64,
    /// The number of the next record.
    next_number: u64,
    /// In the order of what they have taken.
    runs: Vec<Run>,
}

/// A match, by the numbers of its records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) taken: Vec<Taken>,
    pub(super) began_us: i64,
    pub(super) ended_us: i64,
    /// When it was complete.
    pub(super) at_us: i64,
}

/// A record that the partial matches have no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "with this record the key's partial matches would hold {records} records, and {PARTIAL_RECORDS_MAX} is the limit: \
     say `within` a shorter time, a stricter order, or what to skip after a match"
)]
pub(super) struct TooMany {
    records: usize,
}

impl Partial {
    pub(super) fn new<T>(pattern: &Pattern<T>) -> Self {
        Self { shape: pattern.shape(), next_number: 0, runs: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The number that the next record gets.
    pub(super) fn next_number(&self) -> u64 {
        self.next_number
    }

    /// The records that may still become part of a match.
    pub(super) fn held(&self) -> BTreeSet<u64> {
        self.runs.iter().flat_map(|run| &run.taken).map(|taken| taken.number).collect()
    }

    /// When the time of the first of them is up; `None`: never.
    pub(super) fn deadline_us<T>(&self, pattern: &Pattern<T>) -> Option<i64> {
        let within_us = pattern.within_us()?;
        self.runs.iter().map(|run| run.began_us.saturating_add(within_us)).min()
    }

    /// Gives up those whose time is up first, if that is at `to_us` or before. Those that only waited for that are
    /// matches.
    pub(super) fn expire<T>(&mut self, pattern: &Pattern<T>, to_us: i64) -> Option<Vec<Found>> {
        let at_us = self.deadline_us(pattern).filter(|at_us| *at_us <= to_us)?;
        let within_us = pattern.within_us()?;
        let due = |run: &mut Run| run.began_us.saturating_add(within_us) == at_us;
        let over: Vec<Run> = self.runs.extract_if(.., due).collect();
        let found = over.into_iter().filter(|run| run.waits).map(|run| Found::of(run, at_us)).collect();
        Some(self.skip(pattern, found))
    }

    /// Nothing more can come of any of them.
    pub(super) fn give_up(&mut self) {
        self.runs.clear();
    }

    /// Takes a record in. What has expired before it must be gone.
    pub(super) fn advance<T>(
        &self,
        pattern: &Pattern<T>,
        event: &Event<'_, T>,
    ) -> Result<(Self, Vec<Found>), TooMany> {
        let mut next = Self { shape: self.shape, next_number: event.number + 1, runs: Vec::new() };
        let mut found = Vec::new();
        let mut take = |(run, complete): (Run, bool), next: &mut Self| {
            if complete {
                found.push(Found::of(run.clone(), event.at_us));
            }
            if run.goes_on() {
                next.runs.push(run);
            }
        };
        for run in &self.runs {
            let steps = run.step(pattern, event);
            next.runs.extend(steps.stays);
            steps.took.into_iter().for_each(|took| take(took, &mut next));
        }
        Run::begin(pattern, event).into_iter().for_each(|began| take(began, &mut next));
        let found = next.skip(pattern, found);
        let records = next.runs.iter().map(|run| run.taken.len()).sum();
        if records > PARTIAL_RECORDS_MAX {
            return Err(TooMany { records });
        }
        Ok((next, found))
    }

    /// Of matches that are complete at the same moment, those that are told; and what they skip.
    fn skip<T>(&mut self, pattern: &Pattern<T>, mut found: Vec<Found>) -> Vec<Found> {
        found.sort_unstable();
        let mut from = 0;
        let mut used = BTreeSet::new();
        found.retain(|one| {
            let first = one.first();
            let told = first >= from && !used.contains(&first);
            match &pattern.after_match {
                _ if !told => {}
                AfterMatch::NoSkip => {}
                AfterMatch::SkipToNext => {
                    used.insert(first);
                }
                AfterMatch::SkipPastLastEvent => from = from.max(one.last() + 1),
                AfterMatch::SkipToFirst(name) => {
                    from = from.max(one.of_part(pattern, name).next().unwrap_or(0))
                }
                AfterMatch::SkipToLast(name) => {
                    from = from.max(one.of_part(pattern, name).last().unwrap_or(0))
                }
            }
            told
        });
        self.runs.retain(|run| run.first() >= from && !used.contains(&run.first()));
        found
    }
}

impl Found {
    fn of(run: Run, at_us: i64) -> Self {
        let Run { taken, began_us, ended_us, .. } = run;
        Self { taken, began_us, ended_us, at_us }
    }

    fn first(&self) -> u64 {
        self.taken.first().map_or(0, |taken| taken.number)
    }

    fn last(&self) -> u64 {
        self.taken.last().map_or(0, |taken| taken.number)
    }

    /// The numbers of what the part `name` took.
    fn of_part<'a, T>(&'a self, pattern: &Pattern<T>, name: &str) -> impl Iterator<Item = u64> + 'a {
        let place = pattern.parts.iter().position(|part| part.name == name);
        let taken = self.taken.iter().filter(move |taken| place == Some(usize::from(taken.part)));
        taken.map(|taken| taken.number)
    }
}
