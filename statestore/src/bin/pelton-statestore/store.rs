//! The store that is to be served.

use crate::options::Durability;
use anyhow::bail;
use pelton_statestore::StoreHandle;
use pelton_statestore::embedded::{Embedded, EmbeddedOptions};
use pelton_statestore::memory::Memory;
use std::path::Path;
use std::sync::Arc;

/// Opens the store that `url` names. Only those of this machine: the others are servers themselves.
pub(crate) fn open(url: &str, durability: Durability) -> anyhow::Result<StoreHandle> {
    match url.split_once(':') {
        Some(("memory", "")) => {
            tracing::warn!("the store is in memory: it is gone with this process");
            Ok(Arc::new(Memory::new()))
        }
        Some(("embedded", path)) if !path.is_empty() => {
            let options = EmbeddedOptions { durability: durability.into(), ..EmbeddedOptions::default() };
            Ok(Arc::new(Embedded::open(Path::new(path), options)?))
        }
        _ => bail!("{url:?} cannot be served: give embedded:PATH, or memory: for a trial"),
    }
}
