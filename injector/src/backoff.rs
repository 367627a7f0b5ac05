//! How long to wait before the store is asked again: from a millisecond, doubling up to a second.

use std::time::Duration;

/// The wait before the next attempt.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self(Duration::from_millis(1))
    }

    /// Waits. Safe to cancel.
    pub(crate) async fn pause(&mut self) {
        let wait = self.0;
        self.0 = (wait * 2).min(Duration::from_secs(1));
        tokio::time::sleep(wait).await;
    }
}
