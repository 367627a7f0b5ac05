//! The commits of one group, checked in order, each against what the earlier ones will have written (I1, I2).
//!
//! Nothing here touches the store: writes gather, and are logged and applied together, or not at all.

use super::core::Core;
use super::encoded::{Encoded, Part};
use super::frame::{self, PAYLOAD_BYTES_MAX, Writes};
use super::settled::SettledError;
use crate::store::{CommitError, KeyRange, Precondition, Scan};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};

/// The writes of the commits that were accepted so far.
#[derive(Debug, Default)]
pub(super) struct Stage {
    payloads: Vec<Bytes>,
    payload_bytes: usize,
    /// What the first `indexed` payloads write last to each key. Built when a later commit asks.
    index: HashMap<Bytes, Option<Bytes>, foldhash::fast::RandomState>,
    indexed: usize,
}

impl Stage {
    pub(super) fn clear(&mut self) {
        self.payloads.clear();
        self.index.clear();
        (self.payload_bytes, self.indexed) = (0, 0);
    }

    pub(super) fn payloads(&self) -> &[Bytes] {
        &self.payloads
    }

    /// Takes `commit` in, and says how many payloads it became; or refuses it and stays as it was.
    pub(super) fn accept(&mut self, commit: Encoded, core: &Core) -> Result<usize, CommitError> {
        for precondition in &commit.preconditions {
            if !self.holds(precondition, core).map_err(unreadable)? {
                return Err(CommitError::Refused { at: precondition.at().clone() });
            }
        }
        let (start, payload_bytes) = (self.payloads.len(), self.payload_bytes);
        let added = commit.parts.into_iter().try_for_each(|part| self.add(part, core));
        if added.is_err() {
            self.payloads.truncate(start);
            self.payload_bytes = payload_bytes;
        }
        added.map(|()| self.payloads.len() - start)
    }

    fn add(&mut self, part: Part, core: &Core) -> Result<(), CommitError> {
        let payload = match part {
            Part::Payload(payload) => payload,
            Part::DeleteRange(range) => {
                let mut payload = Vec::new();
                for key in self.keys_in(&range, core).map_err(unreadable)? {
                    frame::push(&mut payload, &key, None);
                }
                payload.into()
            }
        };
        // A group begins its last commit below its own bound; only the deletion of a vast range gets here.
        let (size_bytes, limit_bytes) = (self.payload_bytes + payload.len(), PAYLOAD_BYTES_MAX);
        if size_bytes > limit_bytes {
            return Err(CommitError::TooLarge { what: "commit", size_bytes, limit_bytes });
        }
        self.payload_bytes = size_bytes;
        self.payloads.push(payload);
        Ok(())
    }

    fn holds(&mut self, precondition: &Precondition, core: &Core) -> Result<bool, SettledError> {
        Ok(match precondition {
            Precondition::Value { key, expected } => match self.staged(key) {
                Some(value) => value == expected,
                None => core.get(key)? == *expected,
            },
            Precondition::Empty { range } => self.is_empty(range, core)?,
        })
    }

    /// What the stage knows of `key`.
    fn staged(&mut self, key: &Bytes) -> Option<&Option<Bytes>> {
        let fresh = self.payloads.iter().skip(self.indexed);
        self.index.extend(fresh.flat_map(|payload| Writes::of(payload.clone())));
        self.indexed = self.payloads.len();
        self.index.get(key)
    }

    /// What the stage knows of the keys of a range: the few commits that ask look through all its writes.
    fn staged_in(&self, range: &KeyRange) -> BTreeMap<Bytes, bool> {
        let writes = self.payloads.iter().flat_map(|payload| Writes::of(payload.clone()));
        let inside = writes.filter(|(key, _)| range.contains(key));
        inside.map(|(key, value)| (key, value.is_some())).collect()
    }

    fn is_empty(&self, range: &KeyRange, core: &Core) -> Result<bool, SettledError> {
        let staged = self.staged_in(range);
        if staged.values().any(|&is_there| is_there) {
            return Ok(false);
        }
        let mut pages = Pages::new(range.clone());
        while let Some(keys) = pages.next(core)? {
            if keys.iter().any(|key| !staged.contains_key(key)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The keys of a range that exist once the staged writes are applied.
    fn keys_in(&self, range: &KeyRange, core: &Core) -> Result<Vec<Bytes>, SettledError> {
        let staged = self.staged_in(range);
        let mut found: Vec<Bytes> =
            staged.iter().filter(|&(_, &is_there)| is_there).map(|(key, _)| key.clone()).collect();
        let mut pages = Pages::new(range.clone());
        while let Some(keys) = pages.next(core)? {
            found.extend(keys.into_iter().filter(|key| !staged.contains_key(key)));
        }
        Ok(found)
    }
}

/// Nothing was written, and the same may work once the disk can be read again.
fn unreadable(error: SettledError) -> CommitError {
    if error.is_transient { CommitError::Unavailable(error.fault) } else { CommitError::Fatal(error.fault) }
}

/// The keys of a range, page by page. Only the committer changes the data, and it is the one who asks: so the
/// pages are of one snapshot.
struct Pages {
    rest: Option<KeyRange>,
}

impl Pages {
    fn new(range: KeyRange) -> Self {
        Self { rest: Some(range) }
    }

    fn next(&mut self, core: &Core) -> Result<Option<Vec<Bytes>>, SettledError> {
        let Some(range) = self.rest.take() else { return Ok(None) };
        let end = range.end.clone();
        let page = core.page(&Scan::page_of(range))?;
        self.rest = page.next.map(|start| KeyRange { start, end });
        Ok(Some(page.entries.into_iter().map(|(key, _)| key).collect()))
    }
}
