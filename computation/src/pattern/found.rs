//! A match, and what conditions see of one that is not complete.

use super::part::Part;
use super::run::Taken;
use pelton_domain::EventTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Records of one key that fill a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match<T> {
    began_us: i64,
    ended_us: i64,
    parts: Vec<MatchedPart<T>>,
}

/// What one part of a pattern has taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchedPart<T> {
    /// The part's name.
    pub name: String,
    /// Its records, in order of time. Never empty: parts that took nothing are left out.
    pub records: Vec<T>,
}

impl<T> Match<T> {
    pub(super) fn new(began_us: i64, ended_us: i64, parts: Vec<MatchedPart<T>>) -> Self {
        Self { began_us, ended_us, parts }
    }

    /// The event time of its first record.
    #[must_use]
    pub fn began(&self) -> EventTime {
        EventTime::from_micros(self.began_us)
    }

    /// The event time of its last record.
    #[must_use]
    pub fn ended(&self) -> EventTime {
        EventTime::from_micros(self.ended_us)
    }

    /// The parts that took something, in order.
    #[must_use]
    pub fn parts(&self) -> &[MatchedPart<T>] {
        &self.parts
    }

    /// What the part `name` took: nothing where it is optional and was left out.
    #[must_use]
    pub fn of(&self, name: &str) -> &[T] {
        self.parts.iter().find(|part| part.name == name).map_or(&[], |part| part.records.as_slice())
    }

    /// All its records, in order of time.
    pub fn records(&self) -> impl Iterator<Item = &T> {
        self.parts.iter().flat_map(|part| &part.records)
    }
}

/// What a partial match has taken so far.
pub struct SoFar<'a, T> {
    parts: &'a [Part<T>],
    taken: &'a [Taken],
    records: &'a BTreeMap<u64, T>,
}

impl<'a, T> SoFar<'a, T> {
    pub(super) fn new(parts: &'a [Part<T>], taken: &'a [Taken], records: &'a BTreeMap<u64, T>) -> Self {
        Self { parts, taken, records }
    }

    /// All its records, in order of time.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = &'a T> {
        let records = self.records;
        self.taken.iter().filter_map(|taken| records.get(&taken.number))
    }

    /// What the part `name` has taken, in order of time.
    pub fn of(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a T> {
        let (place, records) = (self.parts.iter().position(|part| part.name == name), self.records);
        let of_part = move |taken: &&Taken| place == Some(usize::from(taken.part));
        self.taken.iter().filter(of_part).filter_map(|taken| records.get(&taken.number))
    }

    /// The last record taken; `None` where nothing is taken yet.
    #[must_use]
    pub fn last(&self) -> Option<&'a T> {
        self.records().next_back()
    }
}

impl<T> fmt::Debug for SoFar<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SoFar({} records)", self.taken.len())
    }
}
