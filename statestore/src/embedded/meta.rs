//! The description of a store, written into it when it is created: layout version and incarnation.

use super::core::Core;
use super::settled::SettledError;
use crate::keys::{LAYOUT_VERSION, STORE_META_KEY};
use crate::store::{Commit, OpenError, Precondition, StoreFault, Write};
use bytes::Bytes;
use pelton_domain::Incarnation;
use pelton_proto::{Message, convert, store::StoreMeta};
use std::path::Path;
use uuid::Uuid;

/// Reads the incarnation of a store; `None` where the store is new.
pub(super) fn read(core: &Core, path: &Path, is_new: bool) -> Result<Option<Incarnation>, OpenError> {
    let fail = |fault| OpenError::Failed { path: path.to_owned(), fault };
    let unreadable = |error: SettledError| fail(error.fault);
    let Some(bytes) = core.get(STORE_META_KEY).map_err(unreadable)? else {
        // The key of the description begins with the version, so another version's is not found where ours is.
        for version in (1..=u8::MAX).filter(|&version| version != LAYOUT_VERSION) {
            if core.get(&[version, 0]).map_err(unreadable)?.is_some() {
                return Err(other_version(path, version.into()));
            }
        }
        return if is_new {
            Ok(None)
        } else {
            Err(fail(StoreFault("its description is missing".to_owned())))
        };
    };
    let malformed = |error: convert::Malformed| fail(StoreFault(error.to_string()));
    let meta: StoreMeta = convert::decode("store description", &bytes).map_err(malformed)?;
    if meta.layout_version != u32::from(LAYOUT_VERSION) {
        return Err(other_version(path, meta.layout_version));
    }
    convert::incarnation(&meta.incarnation).map(Some).map_err(malformed)
}

/// The commit that describes a new store.
pub(super) fn create() -> (Incarnation, Commit) {
    let incarnation = Incarnation(Uuid::new_v4());
    let meta = StoreMeta {
        layout_version: LAYOUT_VERSION.into(),
        incarnation: Bytes::copy_from_slice(incarnation.0.as_bytes()),
        ..StoreMeta::default()
    };
    let key = Bytes::from_static(STORE_META_KEY);
    let commit = Commit {
        preconditions: vec![Precondition::Value { key: key.clone(), expected: None }],
        writes: vec![Write::Put { key, value: meta.encode_to_vec().into() }],
    };
    (incarnation, commit)
}

fn other_version(path: &Path, found: u32) -> OpenError {
    OpenError::Version { path: path.to_owned(), found, known: LAYOUT_VERSION.into() }
}
