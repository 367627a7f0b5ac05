//! The data: an ordered map, its preconditions, writes and pages. Pure, and slow only where that is simpler.

use crate::store::{Commit, CommitError, KeyRange, Page, Precondition, Scan, Write};
use bytes::Bytes;
use std::collections::BTreeMap;

/// An ordered map of keys to values.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: BTreeMap<Bytes, Bytes>,
}

impl Table {
    pub(super) fn read(&self, keys: &[Bytes]) -> Vec<Option<Bytes>> {
        keys.iter().map(|key| self.entries.get(key).cloned()).collect()
    }

    pub(super) fn dump(&self) -> Vec<(Bytes, Bytes)> {
        self.entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// The entries of a range; an empty or inverted one has none.
    fn range<'a>(&'a self, range: &KeyRange) -> impl Iterator<Item = (&'a Bytes, &'a Bytes)> + use<'a> {
        // A range whose start lies behind its end would panic in the map.
        let range = (!range.is_empty()).then(|| range.start.clone()..range.end.clone());
        range.into_iter().flat_map(|range| self.entries.range(range))
    }

    pub(super) fn page(&self, scan: &Scan) -> Page {
        let mut page = Page::default();
        let mut size_bytes = 0;
        for (key, value) in self.range(&scan.range) {
            let full = page.entries.len() >= scan.entries_max || size_bytes >= scan.bytes_max;
            if full && !page.entries.is_empty() {
                page.next = Some(key.clone());
                break;
            }
            size_bytes += key.len() + value.len();
            page.entries.push((key.clone(), value.clone()));
        }
        page
    }

    /// Applies all of `commit`, or nothing (I2).
    pub(super) fn apply(&mut self, commit: &Commit) -> Result<(), CommitError> {
        if let Some(refused) = commit.preconditions.iter().find(|precondition| !self.holds(precondition)) {
            return Err(CommitError::Refused { at: refused.at().clone() });
        }
        for write in &commit.writes {
            match write {
                Write::Put { key, value } => {
                    self.entries.insert(key.clone(), value.clone());
                }
                Write::Delete { key } => {
                    self.entries.remove(key);
                }
                Write::DeleteRange { range } => {
                    let keys: Vec<Bytes> = self.range(range).map(|(key, _)| key.clone()).collect();
                    for key in keys {
                        self.entries.remove(&key);
                    }
                }
            }
        }
        Ok(())
    }

    fn holds(&self, precondition: &Precondition) -> bool {
        match precondition {
            Precondition::Value { key, expected } => self.entries.get(key) == expected.as_ref(),
            Precondition::Empty { range } => self.range(range).next().is_none(),
        }
    }
}
