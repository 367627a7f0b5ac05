//! Sweeping expired state out of the store: a page at a time, in the interval's own commits (I1).
//!
//! Reading an expired entry gives nothing already; this gets its place back.

use super::super::rows::{EntryKey, Known};
use super::core::Core;
use crate::failure::Failure;
use crate::state::Envelope;
use bytes::Bytes;
use pelton_domain::ProcessingTime;
use pelton_statestore::Scan;

/// How far the sweep is.
#[derive(Debug)]
pub(crate) struct Sweep {
    /// When the next page, or the next round, is due.
    pub(crate) at: ProcessingTime,
    from: Option<Bytes>,
}

impl Sweep {
    pub(crate) fn new(at: ProcessingTime) -> Self {
        Self { at, from: None }
    }
}

impl Core {
    /// When the sweep is due; `None` where nothing of this computation expires.
    pub(crate) fn next_sweep(&self) -> Option<ProcessingTime> {
        self.scope.spec.cells.iter().any(|cell| cell.expires_after.is_some()).then_some(self.sweep.at)
    }

    /// Removes the expired entries of the next page.
    pub(crate) async fn sweep_page(&mut self) -> Result<(), Failure> {
        let mut range = self.scope.keys.state_of_interval(self.interval);
        if let Some(from) = self.sweep.from.take() {
            range.start = from;
        }
        let page = self.scope.scan(Scan::page_of(range)).await?;
        let now = self.scope.now;
        for (place, stored) in page.entries {
            let address = self.scope.keys.read_state(&place).map_err(Failure::engine)?;
            let name = std::str::from_utf8(&address.cell).unwrap_or_default();
            let Some(cell) = self.scope.spec.cell(name) else { continue };
            let Some(spec) = self.scope.spec.cells.get(usize::from(cell)).copied() else { continue };
            let entry = EntryKey { namespace: address.namespace, cell, sub_key: address.sub_key };
            // What has been written since and is not committed counts, not what the store still has.
            let value = match self.scope.rows.look_up(&address.key, &entry) {
                Known::Yes(None) => continue,
                Known::Yes(Some(cached)) => cached,
                Known::No => stored,
            };
            if Envelope::open(&value).is_ok_and(|envelope| envelope.is_expired(&spec, now)) {
                self.scope.begin();
                self.scope.put(&address.key, entry, None)?;
                self.scope.keep();
            }
        }
        let delay = match page.next {
            Some(next) => {
                self.sweep.from = Some(next);
                self.options.sweep_interval / 100
            }
            None => self.options.sweep_interval,
        };
        self.sweep.at = now.plus(delay);
        Ok(())
    }
}
