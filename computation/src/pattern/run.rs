//! A partial match: what it has taken, and which parts may take the next record. Pure.

use super::found::SoFar;
use super::part::{Contiguity, Part, Role};
use super::said::Pattern;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A record taken: its number among those of the key, and the part that took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Taken {
    pub(super) number: u64,
    pub(super) part: u8,
}

/// A partial match. It is stored: fields keep their places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) began_us: i64,
    pub(super) ended_us: i64,
    /// Never empty.
    pub(super) taken: Vec<Taken>,
    /// The parts that may take a record next, as bits.
    open: u64,
    /// It is complete if nothing comes that must not, until its time is up.
    pub(super) waits: bool,
}

/// The record that is looked at.
#[derive(Debug)]
pub(super) struct Event<'a, T> {
    pub(super) number: u64,
    pub(super) at_us: i64,
    pub(super) record: &'a T,
    /// What conditions may look back at.
    pub(super) records: &'a BTreeMap<u64, T>,
}

/// What becomes of a partial match: those that have taken the record, each with whether it is complete; and itself
/// without it.
#[derive(Debug, Default)]
pub(super) struct Steps {
    pub(super) took: Vec<(Run, bool)>,
    pub(super) stays: Option<Run>,
}

fn bit(part: usize) -> u64 {
    1 << part
}

impl Run {
    /// Those that begin with this record.
    pub(super) fn begin<T>(pattern: &Pattern<T>, event: &Event<'_, T>) -> Vec<(Self, bool)> {
        let nothing = SoFar::new(&pattern.parts, &[], event.records);
        let mut began = Vec::new();
        for (place, part) in pattern.parts.iter().enumerate() {
            if part.takes(event.record, &nothing) {
                began.push(Self::with(pattern, Vec::new(), event.at_us, event, place));
            }
            if !part.optional && !part.is_not() {
                break;
            }
        }
        began
    }

    /// With the record taken by the part at `place`, and whether that is a match.
    fn with<T>(
        pattern: &Pattern<T>,
        mut taken: Vec<Taken>,
        began_us: i64,
        event: &Event<'_, T>,
        place: usize,
    ) -> (Self, bool) {
        // There are less than 64 parts.
        let part = u8::try_from(place).unwrap_or(u8::MAX);
        taken.push(Taken { number: event.number, part });
        let count = taken.iter().rev().take_while(|taken| taken.part == part).count();
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let (open, complete) = ahead(&pattern.parts, place, count);
        let waits = complete && pattern.ends_with_not();
        let run = Self { began_us, ended_us: event.at_us, taken, open, waits };
        (run, complete && !waits)
    }

    /// The number of its first record.
    pub(super) fn first(&self) -> u64 {
        self.taken.first().map_or(0, |taken| taken.number)
    }

    /// Whether it may still become a match, or another one.
    pub(super) fn goes_on(&self) -> bool {
        self.open != 0 || self.waits
    }

    fn last(&self) -> Taken {
        self.taken.last().copied().unwrap_or(Taken { number: 0, part: 0 })
    }

    /// Looks at the next record.
    pub(super) fn step<T>(&self, pattern: &Pattern<T>, event: &Event<'_, T>) -> Steps {
        let parts = &pattern.parts;
        let so_far = SoFar::new(parts, &self.taken, event.records);
        let here = usize::from(self.last().part);
        let mut steps = Steps::default();
        let mut stays = self.clone();
        let mut stuck = false;
        for (place, part) in parts.iter().enumerate().skip(here) {
            if self.open & bit(place) == 0 {
                continue;
            }
            let contiguity = if place == here { part.inner } else { part.enters().unwrap_or(part.inner) };
            let barred = place != here && (stuck || self.is_barred(parts, here, place, event, &so_far));
            let takes = !barred && part.takes(event.record, &so_far);
            let over = place == here && part.ends(event.record, &so_far);
            if barred
                || over
                || contiguity == Contiguity::Strict
                || (contiguity == Contiguity::Relaxed && takes)
            {
                stays.open &= !bit(place);
            }
            if takes {
                steps.took.push(Self::with(pattern, self.taken.clone(), self.began_us, event, place));
                // The loop of a greedy part goes on as long as it can.
                stuck = place == here && part.greedy;
            }
        }
        let ends = parts.iter().rev().take_while(|part| part.is_not());
        stays.waits &= !ends.into_iter().any(|part| part.fits(event.record, &so_far));
        steps.stays = Some(stays).filter(Self::goes_on);
        steps
    }

    /// Whether the record is one that must not come on the way from the part `here` to that at `place`.
    fn is_barred<T>(
        &self,
        parts: &[Part<T>],
        here: usize,
        place: usize,
        event: &Event<'_, T>,
        so_far: &SoFar<'_, T>,
    ) -> bool {
        let adjacent = event.number == self.last().number + 1;
        let between = parts.iter().take(place).skip(here + 1);
        between.into_iter().any(|part| match part.role {
            Role::Takes(_) => false,
            Role::NotNext => adjacent && part.fits(event.record, so_far),
            Role::NotFollowedBy => part.fits(event.record, so_far),
        })
    }
}

/// The parts that may take the next record once that at `place` has taken `count`, as bits; and whether nothing more
/// must be taken.
fn ahead<T>(parts: &[Part<T>], place: usize, count: u32) -> (u64, bool) {
    let Some(part) = parts.get(place) else { return (0, false) };
    let mut open = if count < part.times_max { bit(place) } else { 0 };
    if count < part.times_min {
        return (open, false);
    }
    for (place, part) in parts.iter().enumerate().skip(place + 1) {
        if part.is_not() {
            continue;
        }
        open |= bit(place);
        if !part.optional {
            return (open, false);
        }
    }
    (open, true)
}
