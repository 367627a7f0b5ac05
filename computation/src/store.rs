//! Where state is kept: the store that a URL names, of those that are built into this program.

use pelton_statestore::{OpenError, StoreHandle};
use pelton_transport::Security;

/// Opens the store that `url` names.
///
/// | URL | store | built in |
/// |---|---|---|
/// | `memory:` | a new one in memory, gone with the process | always |
/// | `embedded:PATH` | the one in the directory PATH, made where there is none | always |
/// | `remote:HOST:PORT` | the one that a `pelton-statestore` serves there | always |
/// | `fdb:CLUSTER_FILE?prefix=..` | the one under a prefix of a FoundationDB cluster | with the feature `foundationdb` |
///
/// # Errors
/// [`OpenError`], which says what to do.
pub async fn open(url: &str) -> Result<StoreHandle, OpenError> {
    open_secured(url, &Security::none()).await
}

/// The same, with connections secured by `security` where the store is a `pelton-statestore`.
///
/// # Errors
/// [`OpenError`], which says what to do.
pub async fn open_secured(url: &str, security: &Security) -> Result<StoreHandle, OpenError> {
    #[cfg(feature = "foundationdb")]
    if url.starts_with("fdb:") {
        return pelton_statestore_foundationdb::open(url).await;
    }
    pelton_statestore::open_secured(url, security).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_that_is_not_built_in_is_refused_with_the_way_to_build_it_in() {
        assert!(open("memory:").await.is_ok());
        let error = open("fdb:/no/such/file").await.unwrap_err().to_string();
        let expected =
            if cfg!(feature = "foundationdb") { "/no/such/file" } else { "feature `foundationdb`" };
        assert!(error.contains(expected), "{error}");
    }
}
