//! One part of a pattern: what it takes, how often, and what may lie before it.

use super::found::SoFar;
use std::fmt;
use std::sync::Arc;

/// Whether a record fits, in the light of what a partial match has taken so far.
pub(super) type Condition<T> = Arc<dyn Fn(&T, &SoFar<'_, T>) -> bool + Send + Sync>;

/// What may lie between a record and the one taken before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Contiguity {
    /// Nothing.
    Strict,
    /// Records that do not fit: the next one that fits is taken.
    Relaxed,
    /// Anything: each one that fits is taken, each time by another match.
    Any,
}

/// What a part does with a record that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// It takes it.
    Takes(Contiguity),
    /// There must be none right behind the record before.
    NotNext,
    /// There must be none until the part behind it takes one, or until time is up.
    NotFollowedBy,
}

/// One part of a pattern.
pub(super) struct Part<T> {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) condition: Condition<T>,
    pub(super) until: Option<Condition<T>>,
    pub(super) times_min: u32,
    pub(super) times_max: u32,
    pub(super) optional: bool,
    /// Between the records that it takes itself.
    pub(super) inner: Contiguity,
    pub(super) greedy: bool,
}

impl<T> Part<T> {
    pub(super) fn new(name: String, role: Role, condition: Condition<T>) -> Self {
        Self {
            name,
            role,
            condition,
            until: None,
            times_min: 1,
            times_max: 1,
            optional: false,
            inner: Contiguity::Relaxed,
            greedy: false,
        }
    }

    /// What must lie between the record before and the first it takes; `None`: it takes none.
    pub(super) fn enters(&self) -> Option<Contiguity> {
        match self.role {
            Role::Takes(contiguity) => Some(contiguity),
            Role::NotNext | Role::NotFollowedBy => None,
        }
    }

    pub(super) fn is_not(&self) -> bool {
        self.enters().is_none()
    }

    pub(super) fn fits(&self, record: &T, so_far: &SoFar<'_, T>) -> bool {
        (self.condition)(record, so_far)
    }

    /// Whether the record ends its loop.
    pub(super) fn ends(&self, record: &T, so_far: &SoFar<'_, T>) -> bool {
        self.until.as_ref().is_some_and(|until| until(record, so_far))
    }

    /// Whether it takes the record.
    pub(super) fn takes(&self, record: &T, so_far: &SoFar<'_, T>) -> bool {
        !self.is_not() && self.fits(record, so_far) && !self.ends(record, so_far)
    }
}

impl<T> Clone for Part<T> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            condition: self.condition.clone(),
            until: self.until.clone(),
            ..*self
        }
    }
}

/// Everything but its closures: two patterns that say the same have the same shape.
impl<T> fmt::Debug for Part<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, role, times_min, times_max, inner, .. } = self;
        write!(f, "{role:?} {name:?} {times_min}..={times_max} {inner:?}")?;
        let told = [(self.optional, " optional"), (self.greedy, " greedy"), (self.until.is_some(), " until")];
        told.iter().filter(|(is, _)| *is).try_for_each(|(_, word)| f.write_str(word))
    }
}
