//! What readers, committer and flusher share: the tables in memory, the settled data, and the store's health.
//!
//! The data is the active table over the frozen one over the settled data. Who changes what: the committer puts
//! into the active table, one commit at a time, and freezes it; the flusher drops the frozen table, after the
//! settled data has it. So whoever takes the active and the frozen table first, under one lock, and looks into
//! the settled data afterwards misses nothing and sees nothing come back.

use super::flush_slot::FlushSlot;
use super::health::Health;
use super::merge;
use super::settled::{Settled, SettledError};
use super::table::Table;
use crate::store::{Page, Scan};
use bytes::Bytes;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The tables in memory.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) active: Table,
    pub(super) frozen: Option<Arc<Table>>,
}

impl Tables {
    /// What memory knows of `key`: nothing, deleted, or its value, copied out.
    fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        let found = self.active.get(key).or_else(|| self.frozen.as_ref()?.get(key))?;
        Some(found.as_ref().map(merge::detached))
    }
}

/// The shared parts of an open store.
#[derive(Debug)]
pub(super) struct Core {
    tables: RwLock<Tables>,
    pub(super) settled: Settled,
    pub(super) health: Health,
    pub(super) flush: FlushSlot,
}

impl Core {
    pub(super) fn new(active: Table, settled: Settled) -> Self {
        let tables = RwLock::new(Tables { active, frozen: None });
        Self { tables, settled, health: Health::default(), flush: FlushSlot::default() }
    }

    /// The tables, to be read: for moments only, and never while the disk is waited for.
    fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        // Only whole commits are put in under the lock, and a panic there breaks the store anyway.
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tables, to be changed.
    pub(super) fn tables_mut(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys of the active table.
    pub(super) fn active_keys(&self) -> usize {
        self.tables().active.len()
    }

    /// The value of one key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, SettledError> {
        // A variable of its own: the lock must be gone before the disk is asked.
        let found = self.tables().get(key);
        found.map_or_else(|| self.settled.get(key), Ok)
    }

    /// The values of many keys, in their order.
    pub(super) fn get_many(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, SettledError> {
        let found: Vec<Option<Option<Bytes>>> = {
            let tables = self.tables();
            keys.iter().map(|key| tables.get(key)).collect()
        };
        let settle =
            |(key, found): (&Bytes, Option<Option<Bytes>>)| found.map_or_else(|| self.settled.get(key), Ok);
        keys.iter().zip(found).map(settle).collect()
    }

    /// One page, a snapshot.
    pub(super) fn page(&self, scan: &Scan) -> Result<Page, SettledError> {
        let (newest, frozen, settled) = {
            let tables = self.tables();
            (tables.active.part(scan), tables.frozen.clone(), self.settled.range(&scan.range))
        };
        let newer = frozen.iter().flat_map(|table| table.range(&scan.range));
        merge::page(scan, newest, newer, settled)
    }
}
