//! A pattern, as one says it.

use super::check::{PatternError, check};
use super::found::SoFar;
use super::part::{Condition, Contiguity, Part, Role};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// A row of parts that records of a key fill, in order of time.
///
/// ```
/// use pelton::pattern::Pattern;
/// use std::time::Duration;
///
/// // A small payment, and within ten minutes a large one, with no call to the bank between them.
/// let pattern = Pattern::begin("probe", |cents: &i64| (1..100).contains(cents))
///     .not_followed_by("call", |cents| *cents == 0)
///     .followed_by("theft", |cents| *cents > 50_000)
///     .within(Duration::from_secs(600));
/// pattern.check()?;
/// # Ok::<(), pelton::pattern::PatternError>(())
/// ```
///
/// Conditions must give the same for the same (I12). One that panics makes its record a dead letter.
pub struct Pattern<T> {
    pub(super) parts: Vec<Part<T>>,
    pub(super) within: Option<Duration>,
    pub(super) after_match: AfterMatch,
    pub(super) looks_back: bool,
    pub(super) tie: Arc<dyn Fn(&T) -> u64 + Send + Sync>,
}

/// What a match does to others that have records in common with it, or could.
///
/// Matches come one after another: by the time at which they are complete, then by their records, earlier first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum AfterMatch {
    /// Nothing: every match is told.
    #[default]
    NoSkip,
    /// No other match begins with the same record.
    SkipToNext,
    /// No other match begins before the end of this one.
    SkipPastLastEvent,
    /// No other match begins before the first record of this part.
    SkipToFirst(String),
    /// No other match begins before the last record of this part.
    SkipToLast(String),
}

impl<T: 'static> Pattern<T> {
    /// Begins with the part `name`, which takes a record that fits.
    pub fn begin(name: impl Into<String>, fits: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        let none = Self {
            parts: Vec::new(),
            within: None,
            after_match: AfterMatch::NoSkip,
            looks_back: false,
            tie: Arc::new(|_| 0),
        };
        none.then(name, Role::Takes(Contiguity::Relaxed), fits)
    }

    /// Strict: the very next record fits `name`.
    #[must_use]
    pub fn next(self, name: impl Into<String>, fits: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.then(name, Role::Takes(Contiguity::Strict), fits)
    }

    /// Relaxed: of the records that follow, the first that fits is `name`.
    #[must_use]
    pub fn followed_by(
        self,
        name: impl Into<String>,
        fits: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.then(name, Role::Takes(Contiguity::Relaxed), fits)
    }

    /// Of the records that follow, each that fits is `name`, each in a match of its own.
    #[must_use]
    pub fn followed_by_any(
        self,
        name: impl Into<String>,
        fits: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.then(name, Role::Takes(Contiguity::Any), fits)
    }

    /// The very next record does not fit `name`.
    #[must_use]
    pub fn not_next(
        self,
        name: impl Into<String>,
        fits: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.then(name, Role::NotNext, fits)
    }

    /// No record fits `name`, up to and with the one that the next part takes. As the last part: until the time of
    /// [`Self::within`] is up; the match is then told at that time.
    #[must_use]
    pub fn not_followed_by(
        self,
        name: impl Into<String>,
        fits: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.then(name, Role::NotFollowedBy, fits)
    }

    fn then(
        mut self,
        name: impl Into<String>,
        role: Role,
        fits: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.parts.push(Part::new(name.into(), role, Arc::new(move |record, _| fits(record))));
        self
    }

    /// The last part also asks this, which sees what has been taken before: `.and(|flight, so_far| ..)`.
    #[must_use]
    pub fn and(mut self, fits: impl Fn(&T, &SoFar<'_, T>) -> bool + Send + Sync + 'static) -> Self {
        self.looks_back = true;
        self.change(|part| {
            let before = part.condition.clone();
            let both: Condition<T> =
                Arc::new(move |record, so_far| before(record, so_far) && fits(record, so_far));
            part.condition = both;
        })
    }

    /// The last part takes so many records.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        self.times_between(times, times)
    }

    /// The last part takes at least `from` and at most `to` records.
    #[must_use]
    pub fn times_between(self, from: u32, to: u32) -> Self {
        self.change(|part| (part.times_min, part.times_max) = (from, to))
    }

    /// The last part takes at least so many records.
    #[must_use]
    pub fn times_or_more(self, times: u32) -> Self {
        self.times_between(times, u32::MAX)
    }

    /// The last part takes one record or more.
    #[must_use]
    pub fn one_or_more(self) -> Self {
        self.times_or_more(1)
    }

    /// The last part may be left out.
    #[must_use]
    pub fn optional(self) -> Self {
        self.change(|part| part.optional = true)
    }

    /// Between the records of the last part there lies no other.
    #[must_use]
    pub fn consecutive(self) -> Self {
        self.change(|part| part.inner = Contiguity::Strict)
    }

    /// Between the records of the last part there may lie others that would fit.
    #[must_use]
    pub fn allow_combinations(self) -> Self {
        self.change(|part| part.inner = Contiguity::Any)
    }

    /// The next part takes nothing as long as this one can: it takes as many records as there are.
    #[must_use]
    pub fn greedy(self) -> Self {
        self.change(|part| part.greedy = true)
    }

    /// The last part takes no more records from the first on that fits this.
    #[must_use]
    pub fn until(self, ends: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.change(|part| part.until = Some(Arc::new(move |record, _| ends(record))))
    }

    fn change(mut self, change: impl FnOnce(&mut Part<T>)) -> Self {
        if let Some(part) = self.parts.last_mut() {
            change(part);
        }
        self
    }

    /// Between the first and the last record of a match lies less than `time`. Partial matches that are older are
    /// given up, and nothing of them is kept. Without it they wait until the input ends.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// What a match does to others. Default: nothing.
    #[must_use]
    pub fn after_match(mut self, after_match: AfterMatch) -> Self {
        self.after_match = after_match;
        self
    }

    /// The order of records that have the same event time. Without it they come as they arrived, which only records
    /// of one producer's key do in the same order each time.
    #[must_use]
    pub fn ties_by(mut self, tie: impl Fn(&T) -> u64 + Send + Sync + 'static) -> Self {
        self.tie = Arc::new(tie);
        self
    }

    /// Whether it can be.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn check(&self) -> Result<(), PatternError> {
        check(self)
    }
}

impl<T> Pattern<T> {
    /// The same for patterns that say the same, apart from what is in their closures.
    pub(super) fn shape(&self) -> u64 {
        xxh3_64(format!("{self:?}").as_bytes())
    }

    /// Microseconds of [`Self::within`].
    pub(super) fn within_us(&self) -> Option<i64> {
        self.within.map(|within| i64::try_from(within.as_micros()).unwrap_or(i64::MAX))
    }

    /// Whether it ends with a part that must not come: its matches are complete when their time is up.
    pub(super) fn ends_with_not(&self) -> bool {
        self.parts.last().is_some_and(Part::is_not)
    }
}

impl<T> Clone for Pattern<T> {
    fn clone(&self) -> Self {
        Self {
            parts: self.parts.clone(),
            after_match: self.after_match.clone(),
            tie: self.tie.clone(),
            ..*self
        }
    }
}

impl<T> fmt::Debug for Pattern<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parts, within, after_match, .. } = self;
        write!(f, "Pattern({parts:?}, within {within:?}, {after_match:?})")
    }
}
