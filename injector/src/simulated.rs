//! What tests of the store-facing modules share: a pipeline, tokens, and a runtime on which time is simulated.

use pelton_domain::{AttemptToken, Name};
use pelton_statestore::PipelineKeys;
use pelton_statestore::fence::Tokens;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) fn keys() -> PipelineKeys {
    PipelineKeys::new(&Name::new("p").unwrap())
}

/// Tokens 1, 2, 3 ...
pub(crate) fn tokens() -> Tokens {
    let next = AtomicU64::new(1);
    Arc::new(move || AttemptToken(next.fetch_add(1, Ordering::Relaxed).into()))
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}
