//! Patterns that cannot be.

use super::part::{Part, Role};
use super::said::{AfterMatch, Pattern};
use std::collections::HashSet;

/// At most so many parts may a pattern have.
pub const PARTS_MAX: usize = 60;

/// A pattern that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is longer than can be kept track of.
    #[error(
        "a pattern of {parts} parts, and {PARTS_MAX} is the limit: match its halves, and then a pattern of those"
    )]
    TooManyParts {
        /// How many.
        parts: usize,
    },
    /// Matches could not say what is of which.
    #[error("two parts are called {name:?}: give one of them another name")]
    NameTwice {
        /// Which name.
        name: String,
    },
    /// It would take no record, or fewer than it must.
    #[error("part {name:?} is to take {from} to {to} records: say at least 1, and a range that is not empty")]
    NoTimes {
        /// Which part.
        name: String,
        /// At least.
        from: u32,
        /// At most.
        to: u32,
    },
    /// It takes none, so how many or how often makes no sense.
    #[error(
        "part {name:?} is of records that must not come: times, optional, greedy and until say nothing of it"
    )]
    QuantifiedNot {
        /// Which part.
        name: String,
    },
    /// There is nothing to end.
    #[error("part {name:?} takes one record: `until` and `greedy` are for parts that take several")]
    NoLoop {
        /// Which part.
        name: String,
    },
    /// Its matches would never be complete.
    #[error("the last part, {name:?}, must not come, and no time is said within which: add `.within(..)`")]
    NotWithoutEnd {
        /// Which part.
        name: String,
    },
    /// It says nothing that could be told.
    #[error(
        "the last part, {name:?}, is of the very next record, which may never come: say `.not_followed_by(..)`"
    )]
    NotNextAtEnd {
        /// Which part.
        name: String,
    },
    /// Nothing could match.
    #[error("within 0 s nothing matches: the first and the last record must be less than that apart")]
    WithinZero,
    /// There is nothing to skip to.
    #[error("after a match it is to skip to part {name:?}, and {reason}")]
    SkipToNothing {
        /// Which part.
        name: String,
        /// Why that is nothing.
        reason: &'static str,
    },
}

pub(super) fn check<T>(pattern: &Pattern<T>) -> Result<(), PatternError> {
    let parts = &pattern.parts;
    if parts.len() > PARTS_MAX {
        return Err(PatternError::TooManyParts { parts: parts.len() });
    }
    let mut names = HashSet::new();
    if let Some(twice) = parts.iter().find(|part| !names.insert(&part.name)) {
        return Err(PatternError::NameTwice { name: twice.name.clone() });
    }
    parts.iter().try_for_each(check_part)?;
    if pattern.within.is_some_and(|within| within.as_micros() == 0) {
        return Err(PatternError::WithinZero);
    }
    if let Some(last) = parts.last() {
        let name = last.name.clone();
        match last.role {
            Role::NotNext => return Err(PatternError::NotNextAtEnd { name }),
            Role::NotFollowedBy if pattern.within.is_none() => {
                return Err(PatternError::NotWithoutEnd { name });
            }
            _ => {}
        }
    }
    check_skip(pattern)
}

fn check_part<T>(part: &Part<T>) -> Result<(), PatternError> {
    let name = part.name.clone();
    let (from, to) = (part.times_min, part.times_max);
    if from == 0 || from > to {
        return Err(PatternError::NoTimes { name, from, to });
    }
    if part.is_not() && (to != 1 || part.optional || part.greedy || part.until.is_some()) {
        return Err(PatternError::QuantifiedNot { name });
    }
    if to == 1 && (part.until.is_some() || part.greedy) {
        return Err(PatternError::NoLoop { name });
    }
    Ok(())
}

fn check_skip<T>(pattern: &Pattern<T>) -> Result<(), PatternError> {
    let (AfterMatch::SkipToFirst(name) | AfterMatch::SkipToLast(name)) = &pattern.after_match else {
        return Ok(());
    };
    let reason = match pattern.parts.iter().find(|part| part.name == *name) {
        None => "there is none of that name: name one of its parts",
        Some(part) if part.is_not() => "that one takes no records: name one that does",
        Some(_) => return Ok(()),
    };
    Err(PatternError::SkipToNothing { name: name.clone(), reason })
}
