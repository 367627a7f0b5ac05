//! The state cache of one interval: write-through, bounded in bytes, and the home of what is not yet
//! committed (I2).
//!
//! Because the fence makes this interval the only writer (I1), a cached entry needs no read. A row holds the
//! entries of one key. An entry written by a batch is *dirty* until that batch has committed: it is pinned,
//! and every read, page and later batch sees it (a private run). A batch that fails is not repaired here:
//! the interval is abandoned with all of its rows and taken over afresh.
//!
//! A failed call of user code is undone: [`Rows::rollback`] restores what it changed.

use super::sorted::SortedMap;
use bytes::Bytes;
use indexmap::IndexMap;
use pelton_domain::Key;
use pelton_domain::mutants::{Mutant, mutant};
use pelton_statestore::keys::ComputationKeys;
use pelton_statestore::{KeyRange, Write};
use std::ops::Bound;

/// An entry within a row, in the order of the store: window, cell (by place in the declaration), sub-key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EntryKey {
    pub(crate) namespace: Bytes,
    pub(crate) cell: u16,
    pub(crate) sub_key: Bytes,
}

/// What is known of an entry; the value is `None` where it is known to be absent.
#[derive(Clone, Debug)]
struct Slot {
    value: Option<Bytes>,
    /// The batch that wrote it and has not committed; 0 where it is as in the store.
    dirty: u64,
}

#[derive(Debug, Default)]
struct Row {
    entries: SortedMap<EntryKey, Slot>,
    /// Cells cleared by a batch that has not committed: what the store still has there is gone.
    cleared: Vec<(Bytes, u16, u64)>,
    dirty_entries: usize,
    touched: bool,
}

/// How to take back one change of the current call.
#[derive(Debug)]
enum Undo {
    Entry { key: Key, entry: EntryKey, before: Option<Slot>, marked: bool },
    Clear { key: Key, removed: Vec<(EntryKey, Slot)> },
}

/// The rows of one interval.
#[derive(Debug)]
pub(crate) struct Rows {
    rows: IndexMap<Key, Row, foldhash::fast::RandomState>,
    bytes: usize,
    bytes_max: usize,
    hand: usize,
    batch: u64,
    changed: Vec<(Key, EntryKey)>,
    clears: Vec<(Key, Bytes, u16)>,
    undo: Vec<Undo>,
}

/// What one batch changed, until it has committed.
#[derive(Debug, Default)]
pub(crate) struct SealedRows {
    batch: u64,
    changed: Vec<(Key, EntryKey)>,
    clears: Vec<(Key, Bytes, u16)>,
}

/// What the cache knows of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// This is its value, or it is absent.
    Yes(Option<Bytes>),
    /// Ask the store.
    No,
}

/// What an entry costs beside its bytes.
const ENTRY_OVERHEAD_BYTES: usize = 150;

impl Rows {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            rows: IndexMap::default(),
            bytes: 0,
            bytes_max,
            hand: 0,
            batch: 1,
            changed: Vec::new(),
            clears: Vec::new(),
            undo: Vec::new(),
        }
    }

    pub(crate) fn has_row(&self, key: &Key) -> bool {
        self.rows.contains_key(key)
    }

    pub(crate) fn look_up(&mut self, key: &Key, entry: &EntryKey) -> Known {
        let Some(row) = self.rows.get_mut(key) else { return Known::No };
        row.touched = true;
        match row.entries.get(entry) {
            Some(slot) => Known::Yes(slot.value.clone()),
            None if row.is_cleared(entry) => Known::Yes(None),
            None => Known::No,
        }
    }

    /// Remembers what the store said of an entry.
    pub(crate) fn learn(&mut self, key: &Key, entry: EntryKey, value: Option<Bytes>) {
        let row = self.rows.entry(key.clone()).or_default();
        row.touched = true;
        if row.entries.get(&entry).is_none() {
            self.bytes += size(key, &entry, value.as_ref());
            row.entries.insert(entry, Slot { value, dirty: 0 });
        }
    }

    /// Sets an entry, or removes it with `None`.
    pub(crate) fn put(&mut self, key: &Key, entry: EntryKey, value: Option<Bytes>) {
        let row = self.rows.entry(key.clone()).or_default();
        row.touched = true;
        self.bytes += size(key, &entry, value.as_ref());
        let slot = Slot { value, dirty: self.batch };
        let before = row.entries.insert(entry.clone(), slot);
        if let Some(before) = &before {
            self.bytes = self.bytes.saturating_sub(size(key, &entry, before.value.as_ref()));
        }
        let dirty_before = before.as_ref().map_or(0, |slot| slot.dirty);
        row.dirty_entries += usize::from(dirty_before == 0);
        let marked = dirty_before != self.batch;
        if marked {
            self.changed.push((key.clone(), entry.clone()));
        }
        self.undo.push(Undo::Entry { key: key.clone(), entry, before, marked });
    }

    /// Removes every entry of a cell, known or not.
    pub(crate) fn clear(&mut self, key: &Key, namespace: &Bytes, cell: u16) {
        let row = self.rows.entry(key.clone()).or_default();
        let mut removed = Vec::new();
        let doomed: Vec<EntryKey> =
            row.of_cell(namespace, cell, Bound::Unbounded).map(|(e, _)| e.clone()).collect();
        for entry in doomed {
            if let Some(slot) = row.entries.remove(&entry) {
                self.bytes = self.bytes.saturating_sub(size(key, &entry, slot.value.as_ref()));
                row.dirty_entries -= usize::from(slot.dirty != 0);
                removed.push((entry, slot));
            }
        }
        row.cleared.push((namespace.clone(), cell, self.batch));
        self.clears.push((key.clone(), namespace.clone(), cell));
        self.undo.push(Undo::Clear { key: key.clone(), removed });
    }

    /// The cached entries of a cell from behind `after`, in order, with absent ones as `None`.
    pub(crate) fn cached(
        &self,
        key: &Key,
        namespace: &Bytes,
        cell: u16,
        after: Option<&Bytes>,
    ) -> Vec<(Bytes, Option<Bytes>)> {
        let Some(row) = self.rows.get(key) else { return Vec::new() };
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        row.of_cell(namespace, cell, start).map(|(e, slot)| (e.sub_key.clone(), slot.value.clone())).collect()
    }

    /// Whether nothing that the store holds of a cell counts any more.
    pub(crate) fn hides_store(&self, key: &Key, namespace: &Bytes, cell: u16) -> bool {
        self.rows.get(key).is_some_and(|row| row.cleared.iter().any(|(n, c, _)| n == namespace && *c == cell))
    }

    /// The current call succeeded: its changes stay.
    pub(crate) fn keep(&mut self) {
        self.undo.clear();
    }

    /// The current call failed: its changes are taken back.
    pub(crate) fn rollback(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Entry { key, entry, before, marked } => {
                    if marked {
                        self.changed.pop();
                    }
                    self.restore(&key, entry, before);
                }
                Undo::Clear { key, removed } => {
                    self.clears.pop();
                    if let Some(row) = self.rows.get_mut(&key) {
                        row.cleared.pop();
                    }
                    for (entry, slot) in removed {
                        self.restore(&key, entry, Some(slot));
                    }
                }
            }
        }
    }

    fn restore(&mut self, key: &Key, entry: EntryKey, before: Option<Slot>) {
        let Some(row) = self.rows.get_mut(key) else { return };
        if let Some(now) = row.entries.remove(&entry) {
            self.bytes = self.bytes.saturating_sub(size(key, &entry, now.value.as_ref()));
            row.dirty_entries -= usize::from(now.dirty != 0);
        }
        if let Some(slot) = before {
            self.bytes += size(key, &entry, slot.value.as_ref());
            row.dirty_entries += usize::from(slot.dirty != 0);
            row.entries.insert(entry, slot);
        }
    }

    /// Ends the batch: adds its writes to `writes`, and returns what must be unpinned once it has committed.
    ///
    /// `cells` are the cells' names by place. Clears come first: an entry that was written before its clear
    /// is no longer in the row, and one written after must win.
    pub(crate) fn seal(
        &mut self,
        keys: &ComputationKeys,
        cells: &[&'static str],
        writes: &mut Vec<Write>,
    ) -> SealedRows {
        debug_assert!(self.undo.is_empty(), "a batch ends between calls");
        let name = |cell: u16| cells.get(usize::from(cell)).map_or(&[][..], |name| name.as_bytes());
        for (key, namespace, cell) in &self.clears {
            let range: KeyRange = keys.state_of_cell(key, namespace, name(*cell));
            writes.push(Write::DeleteRange { range });
        }
        for (key, entry) in &self.changed {
            // An entry can be gone again, by a clear, or twice in the list, by a rewrite after one.
            let Some(slot) = self.rows.get(key).and_then(|row| row.entries.get(entry)) else { continue };
            if slot.dirty != self.batch {
                continue;
            }
            let place = keys.state(key, &entry.namespace, name(entry.cell), &entry.sub_key);
            writes.push(match &slot.value {
                Some(value) => Write::Put { key: place, value: value.clone() },
                None => Write::Delete { key: place },
            });
        }
        let sealed = SealedRows {
            batch: self.batch,
            changed: std::mem::take(&mut self.changed),
            clears: std::mem::take(&mut self.clears),
        };
        self.batch += 1;
        sealed
    }

    /// The batch has committed: what it wrote is what the store has.
    pub(crate) fn committed(&mut self, sealed: SealedRows) {
        for (key, entry) in &sealed.changed {
            let Some(row) = self.rows.get_mut(key) else { continue };
            if let Some(slot) = row.entries.get_mut(entry)
                && slot.dirty == sealed.batch
            {
                slot.dirty = 0;
                row.dirty_entries -= 1;
            }
        }
        for (key, _, _) in &sealed.clears {
            if let Some(row) = self.rows.get_mut(key) {
                row.cleared.retain(|(_, _, batch)| *batch != sealed.batch);
            }
        }
        self.evict();
    }

    /// Drops clean rows that were not touched since the hand last passed, until the limit is kept; of rows that have
    /// something uncommitted, what is clean: a key may be busy all the time, and have ever more entries.
    ///
    /// A second chance instead of strict recency: a row just written is no more likely to be read soon.
    fn evict(&mut self) {
        // Twice around: once to take the second chances, once to drop.
        for _ in 0..2 * self.rows.len() {
            if self.bytes <= self.bytes_max || self.rows.is_empty() {
                return;
            }
            self.hand %= self.rows.len();
            let Some((key, row)) = self.rows.get_index_mut(self.hand) else { return };
            let pinned = (row.dirty_entries > 0 || !row.cleared.is_empty())
                && !mutant(Mutant::UncommittedStateEvicted);
            if row.touched || pinned {
                if !row.touched {
                    let freed = row.drop_clean(key);
                    self.bytes = self.bytes.saturating_sub(freed);
                }
                row.touched = false;
                self.hand += 1;
                continue;
            }
            let freed: usize =
                row.entries.from(Bound::Unbounded).map(|(e, slot)| size(key, e, slot.value.as_ref())).sum();
            self.bytes = self.bytes.saturating_sub(freed);
            self.rows.swap_remove_index(self.hand);
        }
    }

    /// Bytes of everything in it.
    pub(crate) fn cached_bytes(&self) -> usize {
        self.bytes
    }
}

impl Row {
    /// Forgets what the store has as well; the bytes that it took.
    fn drop_clean(&mut self, key: &Key) -> usize {
        let clean = self.entries.from(Bound::Unbounded).filter(|(_, slot)| slot.dirty == 0);
        let clean: Vec<EntryKey> = clean.map(|(entry, _)| entry.clone()).collect();
        let mut freed = 0;
        for entry in clean {
            if let Some(slot) = self.entries.remove(&entry) {
                freed += size(key, &entry, slot.value.as_ref());
            }
        }
        freed
    }

    fn is_cleared(&self, entry: &EntryKey) -> bool {
        self.cleared.iter().any(|(namespace, cell, _)| *cell == entry.cell && *namespace == entry.namespace)
    }

    fn of_cell<'a>(
        &'a self,
        namespace: &Bytes,
        cell: u16,
        after: Bound<&Bytes>,
    ) -> impl Iterator<Item = (&'a EntryKey, &'a Slot)> {
        let at = |sub_key: Bytes| EntryKey { namespace: namespace.clone(), cell, sub_key };
        let start = match after {
            Bound::Excluded(sub_key) | Bound::Included(sub_key) => at(sub_key.clone()),
            Bound::Unbounded => at(Bytes::new()),
        };
        let bound = match after {
            Bound::Excluded(_) => Bound::Excluded(&start),
            _ => Bound::Included(&start),
        };
        let namespace = namespace.clone();
        self.entries.from(bound).take_while(move |(e, _)| e.cell == cell && e.namespace == namespace)
    }
}

fn size(key: &Key, entry: &EntryKey, value: Option<&Bytes>) -> usize {
    ENTRY_OVERHEAD_BYTES
        + key.as_bytes().len()
        + entry.namespace.len()
        + entry.sub_key.len()
        + value.map_or(0, Bytes::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_domain::Name;
    use pelton_statestore::PipelineKeys;

    fn entry(sub_key: &str) -> EntryKey {
        EntryKey { namespace: Bytes::new(), cell: 0, sub_key: Bytes::copy_from_slice(sub_key.as_bytes()) }
    }

    fn value(text: &'static str) -> Option<Bytes> {
        Some(Bytes::from_static(text.as_bytes()))
    }

    fn seal(rows: &mut Rows) -> (Vec<Write>, SealedRows) {
        let keys = PipelineKeys::new(&Name::new("p").unwrap()).computation(1);
        let mut writes = Vec::new();
        let sealed = rows.seal(&keys, &["cell"], &mut writes);
        (writes, sealed)
    }

    #[test]
    fn an_entry_written_many_times_is_one_write_of_the_commit() {
        let (mut rows, key) = (Rows::new(1 << 20), Key::from("k"));
        for text in ["a", "b", "c"] {
            rows.put(&key, entry(""), value(text));
            rows.keep();
        }
        let (writes, _) = seal(&mut rows);
        assert!(matches!(writes.as_slice(), [Write::Put { value, .. }] if value == "c"), "{writes:?}");
    }

    #[test]
    fn a_failed_call_leaves_nothing_behind() {
        let (mut rows, key) = (Rows::new(1 << 20), Key::from("k"));
        rows.learn(&key, entry("old"), value("stored"));
        rows.put(&key, entry("kept"), value("kept"));
        rows.keep();
        let bytes = rows.cached_bytes();
        rows.put(&key, entry("kept"), value("changed"));
        rows.put(&key, entry("new"), value("new"));
        rows.clear(&key, &Bytes::new(), 0);
        rows.put(&key, entry("old"), None);
        rows.rollback();
        assert_eq!(rows.cached_bytes(), bytes);
        assert_eq!(rows.look_up(&key, &entry("kept")), Known::Yes(value("kept")));
        assert_eq!(rows.look_up(&key, &entry("old")), Known::Yes(value("stored")));
        assert_eq!(rows.look_up(&key, &entry("new")), Known::No);
        let (writes, _) = seal(&mut rows);
        assert_eq!(writes.len(), 1);
    }

    #[test]
    fn a_clear_hides_the_store_until_it_has_committed() {
        let (mut rows, key) = (Rows::new(1 << 20), Key::from("k"));
        rows.clear(&key, &Bytes::new(), 0);
        rows.put(&key, entry("b"), value("after"));
        rows.keep();
        assert_eq!(rows.look_up(&key, &entry("a")), Known::Yes(None));
        let (writes, sealed) = seal(&mut rows);
        assert!(matches!(writes.as_slice(), [Write::DeleteRange { .. }, Write::Put { .. }]), "{writes:?}");
        assert!(rows.hides_store(&key, &Bytes::new(), 0));
        rows.committed(sealed);
        assert!(!rows.hides_store(&key, &Bytes::new(), 0));
        assert_eq!(rows.look_up(&key, &entry("a")), Known::No);
        assert_eq!(rows.look_up(&key, &entry("b")), Known::Yes(value("after")));
    }

    #[test]
    fn i11_a_key_that_is_never_without_uncommitted_entries_keeps_no_more_than_these() {
        let (mut rows, key) = (Rows::new(20_000), Key::from("busy"));
        rows.put(&key, entry("0"), value("x"));
        rows.keep();
        let (_, mut sealed) = seal(&mut rows);
        for i in 1..2_000u64 {
            rows.put(&key, entry(&i.to_string()), value("x"));
            rows.keep();
            rows.committed(sealed);
            assert!(rows.cached_bytes() <= 20_000, "{} after {i}", rows.cached_bytes());
            assert_eq!(
                rows.look_up(&key, &entry(&i.to_string())),
                Known::Yes(value("x")),
                "I2: not committed"
            );
            sealed = seal(&mut rows).1;
        }
    }

    #[test]
    fn dirty_rows_are_pinned_and_clean_ones_go() {
        let mut rows = Rows::new(2000);
        for i in 0..100u64 {
            rows.put(&Key::from(i), entry(""), value("x"));
            rows.keep();
        }
        let (_, first) = seal(&mut rows);
        rows.put(&Key::from(1), entry(""), value("y"));
        rows.keep();
        rows.committed(first);
        assert!(rows.cached_bytes() <= 2000);
        assert_eq!(
            rows.look_up(&Key::from(1), &entry("")),
            Known::Yes(value("y")),
            "I2: it is not committed yet"
        );
        let (_, second) = seal(&mut rows);
        rows.committed(second);
    }
}
