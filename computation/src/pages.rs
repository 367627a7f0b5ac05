//! Reading a store from beside the engine, page by page. Waits while the store is unavailable.
//!
//! Not for an interval's own reads: those see what is not committed yet, which this does not.

use bytes::Bytes;
use pelton_statestore::{KeyRange, ReadError, Scan, StoreFault, StoreHandle};
use std::collections::VecDeque;
use std::time::Duration;

/// The wait between two attempts doubles up to this.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(1);

/// The entries of a range, in order; one page of them is in memory at a time.
#[derive(Debug)]
pub(crate) struct Pages {
    store: StoreHandle,
    rest: Option<Scan>,
    page: VecDeque<(Bytes, Bytes)>,
}

impl Pages {
    pub(crate) fn of(store: &StoreHandle, range: KeyRange) -> Self {
        Self::in_scans(store, Scan::page_of(range))
    }

    /// In pages of the size that `scan` says.
    pub(crate) fn in_scans(store: &StoreHandle, scan: Scan) -> Self {
        Self { store: store.clone(), rest: Some(scan), page: VecDeque::new() }
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// Where the store is broken or closed.
    pub(crate) async fn next(&mut self) -> Result<Option<(Bytes, Bytes)>, StoreFault> {
        while self.page.is_empty()
            && let Some(mut scan) = self.rest.take()
        {
            let page = patiently(|| self.store.scan(scan.clone())).await?;
            self.page = page.entries.into();
            self.rest = page.next.map(|next| {
                scan.range.start = next;
                scan
            });
        }
        Ok(self.page.pop_front())
    }
}

/// The value of one key.
///
/// # Errors
/// Where the store is broken or closed.
pub(crate) async fn read(store: &StoreHandle, key: &Bytes) -> Result<Option<Bytes>, StoreFault> {
    let values = patiently(|| store.read(vec![key.clone()])).await?;
    Ok(values.into_iter().next().flatten())
}

async fn patiently<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, StoreFault>
where
    F: Future<Output = Result<T, ReadError>>,
{
    let mut delay = Duration::from_millis(10);
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(ReadError::Fatal(fault)) => return Err(fault),
            Err(ReadError::Unavailable(fault)) => {
                tracing::warn!(%fault, "the store is unavailable; a read waits");
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(RETRY_DELAY_MAX);
            }
        }
    }
}
