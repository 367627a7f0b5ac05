//! What user code says when it fails: "try again", or "never".

use crate::codec::CodecError;
use std::fmt;
use std::time::Duration;

/// Why user code could not do its work. Nothing that the failed call did through its context remains.
///
/// * [`Failure::retry`]: the engine calls again, after a growing delay; meanwhile only this key waits, and
///   after a grace its records are parked.
/// * [`Failure::permanent`]: the record goes to the dead-letter stream of the computation with this reason.
/// * [`Failure::stop`]: the whole pipeline stops, such as for an input that is damaged.
///
/// A panic, and a call that does not return within its deadline, count as retryable until the computation's
/// attempts are used up, then as permanent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) reason: String,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Call again; after the given delay where the code names one.
    Retry(Option<Duration>),
    /// Never call again for this record.
    Permanent,
    /// The call panicked or overran its deadline: call again until the attempts are used up.
    Crashed,
    /// The pipeline cannot go on.
    Stop,
    /// The engine itself cannot go on: the store failed, or holds what cannot be read.
    Engine,
}

impl Failure {
    /// "Try again": something outside is not ready.
    #[must_use]
    pub fn retry(reason: impl fmt::Display) -> Self {
        Self { kind: FailureKind::Retry(None), reason: reason.to_string() }
    }

    /// "Try again, not before `delay` has passed."
    #[must_use]
    pub fn retry_after(delay: Duration, reason: impl fmt::Display) -> Self {
        Self { kind: FailureKind::Retry(Some(delay)), reason: reason.to_string() }
    }

    /// "Never": this record cannot be processed.
    #[must_use]
    pub fn permanent(reason: impl fmt::Display) -> Self {
        Self { kind: FailureKind::Permanent, reason: reason.to_string() }
    }

    /// "Nothing can go on before somebody has mended this": the pipeline stops with this reason. What is
    /// committed stays, this call leaves nothing behind, and another run begins with it again.
    #[must_use]
    pub fn stop(reason: impl fmt::Display) -> Self {
        Self { kind: FailureKind::Stop, reason: reason.to_string() }
    }

    pub(crate) fn crashed(reason: impl fmt::Display) -> Self {
        Self { kind: FailureKind::Crashed, reason: reason.to_string() }
    }

    pub(crate) fn engine(reason: impl fmt::Display) -> Self {
        Self { kind: FailureKind::Engine, reason: reason.to_string() }
    }

    /// The reason in words.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether the engine may call again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, FailureKind::Retry(_) | FailureKind::Crashed)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Failure {}

impl From<CodecError> for Failure {
    /// Bytes that cannot be decoded now cannot be decoded later.
    fn from(error: CodecError) -> Self {
        Self::permanent(error)
    }
}
