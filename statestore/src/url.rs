//! Stores by URL: `memory:`, `embedded:PATH` and `remote:HOST:PORT`.

use crate::embedded::{Embedded, EmbeddedOptions};
use crate::memory::Memory;
use crate::remote::Remote;
use crate::store::{OpenError, StoreHandle};
use pelton_transport::Security;
use std::path::Path;
use std::sync::Arc;

/// Opens the store that `url` names.
///
/// | URL | store |
/// |---|---|
/// | `memory:` | a new one in memory, gone with the process |
/// | `embedded:PATH` | the one in the directory PATH, created where there is none |
/// | `remote:HOST:PORT` | the one that a `pelton-statestore` serves there, in plaintext |
///
/// # Errors
/// [`OpenError`], which says what to do.
pub async fn open(url: &str) -> Result<StoreHandle, OpenError> {
    open_secured(url, &Security::none()).await
}

/// The same, with connections secured by `security` where the store is elsewhere.
///
/// # Errors
/// [`OpenError`], which says what to do.
pub async fn open_secured(url: &str, security: &Security) -> Result<StoreHandle, OpenError> {
    let fail = |reason: &str| Err(OpenError::Url { url: url.to_owned(), reason: reason.to_owned() });
    match url.split_once(':') {
        Some(("memory", "")) => Ok(Arc::new(Memory::new())),
        Some(("memory", _)) => fail("memory: takes nothing behind the colon"),
        Some(("embedded", "")) => fail("the path is missing"),
        Some(("embedded", path)) => {
            Ok(Arc::new(Embedded::open(Path::new(path), EmbeddedOptions::default())?))
        }
        Some(("remote", "")) => fail("the address is missing"),
        Some(("remote", address)) => Ok(Arc::new(Remote::open(address, security).await?)),
        Some(("fdb", _)) => fail(
            "FoundationDB is not built into this program; build it with the cargo feature `foundationdb` of the crate `pelton`",
        ),
        Some((scheme, _)) => fail(&format!("there is no backend {scheme:?}")),
        None => fail("it has no scheme"),
    }
}
