//! Calls that wait, from a plain `#[test]` and from an async one alike.

use std::future::Future;
use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime of its own, on whose futures any thread may wait.
#[derive(Debug)]
pub(super) struct Blocking(Option<Runtime>);

impl Blocking {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self(Some(Builder::new_current_thread().enable_time().build()?)))
    }

    /// Runs `future` to its end, and meanwhile whatever it has spawned. `None` only while it is dropped.
    ///
    /// A thread that runs futures of another runtime may not wait for this one, so there a thread of its own does.
    pub(super) fn wait<F>(&self, future: F) -> Option<F::Output>
    where
        F: Future + Send,
        F::Output: Send,
    {
        let runtime = self.0.as_ref()?;
        if Handle::try_current().is_err() {
            return Some(runtime.block_on(future));
        }
        let ended = std::thread::scope(|scope| scope.spawn(|| runtime.block_on(future)).join());
        Some(ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Dropping it in place would wait, which an async test must not.
            runtime.shutdown_background();
        }
    }
}
