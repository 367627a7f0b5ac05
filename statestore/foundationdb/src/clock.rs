//! The one place where this crate looks at a clock: ages of remembered versions, and latencies.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "the age of a version is the cluster's, not a simulation's")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
