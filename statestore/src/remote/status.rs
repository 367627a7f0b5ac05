//! Calls that ended with a status instead of an answer (I3).
//!
//! The contract lists the statuses by which a server says that nothing was written. The gRPC library also makes up
//! statuses with these codes, when a connection breaks while a commit is under way (HTTP/2's ENHANCE_YOUR_CALM becomes
//! RESOURCE_EXHAUSTED), and those say nothing of the commit. They can be told: they have a source, the error that they
//! were made of, and a status that came over the wire has none.

use crate::store::{CommitError, ReadError, StoreFault};
use std::error::Error;
use tonic::{Code, ConnectError, Status};

/// What a call without an answer says.
enum Said {
    /// The server refused it before it asked its store, and will again.
    Refused,
    /// The server refused it before it asked its store, and may take it later.
    Busy,
    /// There was no connection, so nothing was sent.
    NotSent,
    /// Anything may have happened.
    Nothing,
}

fn said(status: &Status) -> Said {
    if status.source().is_some() {
        return if is_unconnected(status) { Said::NotSent } else { Said::Nothing };
    }
    match status.code() {
        Code::FailedPrecondition
        | Code::InvalidArgument
        | Code::Unauthenticated
        | Code::PermissionDenied
        | Code::Unimplemented => Said::Refused,
        Code::ResourceExhausted => Said::Busy,
        _ => Said::Nothing,
    }
}

/// Whether the attempt to connect failed: a request is sent only on a connection that stands.
fn is_unconnected(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether it would be the same again.
pub(super) fn is_final(status: &Status) -> bool {
    matches!(said(status), Said::Refused)
}

/// The status with the causes that its own message leaves out.
pub(super) fn words(status: &Status) -> String {
    let mut words = status.message().to_owned();
    let mut cause = status.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.contains(&text) {
            if !words.is_empty() {
                words.push_str(": ");
            }
            words.push_str(&text);
        }
        cause = error.source();
    }
    if words.is_empty() { status.code().to_string() } else { words }
}

/// A read or a scan that failed.
pub(super) fn of_read(address: &str, status: &Status) -> ReadError {
    match said(status) {
        Said::Refused => ReadError::Fatal(refusal(address, status)),
        Said::Busy | Said::NotSent | Said::Nothing => ReadError::Unavailable(absence(address, status)),
    }
}

/// A commit that failed.
pub(super) fn of_commit(address: &str, status: &Status) -> CommitError {
    match said(status) {
        Said::Refused => CommitError::Fatal(refusal(address, status)),
        Said::Busy | Said::NotSent => CommitError::Unavailable(absence(address, status)),
        Said::Nothing => CommitError::Unknown(absence(address, status)),
    }
}

fn refusal(address: &str, status: &Status) -> StoreFault {
    StoreFault(format!("the server at {address} refuses: {}", words(status)))
}

fn absence(address: &str, status: &Status) -> StoreFault {
    StoreFault(format!("the server at {address}: {}", words(status)))
}
