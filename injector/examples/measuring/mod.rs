//! What work takes of the processor and of memory.

use std::time::{Duration, Instant};

/// What the work took of the processor, so that neighbours on the machine count less; wall time where the system
/// does not say.
#[expect(clippy::disallowed_methods, reason = "it measures how long this machine takes")]
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let (wall, processor) = (Instant::now(), processor_ns());
    let result = work();
    let on_processor =
        processor_ns().zip(processor).map(|(after, before)| Duration::from_nanos(after - before));
    (result, on_processor.unwrap_or_else(|| wall.elapsed()))
}

/// How long this thread has run so far.
fn processor_ns() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split_whitespace().next()?.parse().ok()
}

/// The memory this process has resident; 0 where the system does not say.
pub(crate) fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}
