//! A table in memory: the newest value of each key that the log holds, or that it is deleted.

use super::sort_key::{Lookup, SortKey, Sorted};
use crate::store::{KeyRange, Scan};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Keys with their values; `None` hides what older tables have.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: BTreeMap<SortKey, Option<Bytes>>,
}

/// A part of a table, copied out.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) entries: Vec<(Bytes, Option<Bytes>)>,
    /// Whether the table goes on behind the last entry.
    pub(super) is_cut: bool,
}

impl Table {
    /// Its keys, deleted ones included.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn put(&mut self, key: Bytes, value: Option<Bytes>) {
        self.entries.insert(SortKey::new(key), value);
    }

    /// What this table knows of `key`: nothing, deleted, or its value.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        self.entries.get::<dyn Sorted + '_>(&Lookup::new(key))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Option<Bytes>)> {
        self.entries.iter().map(|(key, value)| (&key.key, value))
    }

    pub(super) fn range(&self, range: &KeyRange) -> impl Iterator<Item = (&Bytes, &Option<Bytes>)> {
        // A range whose start lies behind its end would panic in the map.
        let entries = (!range.is_empty()).then(|| {
            let (start, end) = (Lookup::new(&range.start), Lookup::new(&range.end));
            let bounds: (Bound<&dyn Sorted>, Bound<&dyn Sorted>) =
                (Bound::Included(&start), Bound::Excluded(&end));
            self.entries.range::<dyn Sorted, _>(bounds)
        });
        entries.into_iter().flatten().map(|(key, value)| (&key.key, value))
    }

    /// As much of a range as one page can need: deleted keys, and values up to the limits of `scan`.
    pub(super) fn part(&self, scan: &Scan) -> Part {
        let mut part = Part::default();
        let (mut values, mut size_bytes) = (0, 0);
        for (key, value) in self.range(&scan.range) {
            if values > 0 && (values >= scan.entries_max || size_bytes >= scan.bytes_max) {
                part.is_cut = true;
                break;
            }
            if let Some(value) = value {
                values += 1;
                size_bytes += key.len() + value.len();
            }
            part.entries.push((key.clone(), value.clone()));
        }
        part
    }
}
