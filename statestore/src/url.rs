//! Stores by URL: `memory:` and `embedded:PATH`.

use crate::embedded::{Embedded, EmbeddedOptions};
use crate::memory::Memory;
use crate::store::{OpenError, StoreHandle};
use std::path::Path;
use std::sync::Arc;

/// Opens the store that `url` names.
///
/// | URL | store |
/// |---|---|
/// | `memory:` | a new one in memory, gone with the process |
/// | `embedded:PATH` | the one in the directory PATH, created where there is none |
///
/// # Errors
/// [`OpenError`], which says what to do.
pub fn open(url: &str) -> Result<StoreHandle, OpenError> {
    let fail = |reason: &str| Err(OpenError::Url { url: url.to_owned(), reason: reason.to_owned() });
    match url.split_once(':') {
        Some(("memory", "")) => Ok(Arc::new(Memory::new())),
        Some(("memory", _)) => fail("memory: takes nothing behind the colon"),
        Some(("embedded", "")) => fail("the path is missing"),
        Some(("embedded", path)) => {
            Ok(Arc::new(Embedded::open(Path::new(path), EmbeddedOptions::default())?))
        }
        Some(("fdb", _)) => fail(
            "FoundationDB is not built into this program; build it with the cargo feature `foundationdb` of the crate `pelton`",
        ),
        Some((scheme, _)) => fail(&format!("there is no backend {scheme:?}")),
        None => fail("it has no scheme"),
    }
}
