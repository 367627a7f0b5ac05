//! Answers: from what the store said to the contract's words.

use super::{ANSWER_BYTES_MAX, READ_KEYS_MAX};
use crate::store::{CommitError, Limits, Page, ReadError, StateStore};
use pelton_proto::{PROTOCOL, statestore as wire};
use pelton_transport::MESSAGE_BYTES_MAX;
use tonic::Status;
use wire::commit_response::Outcome;

/// The most bytes of keys and values in one commit: the rest of a message is for what surrounds them.
const COMMIT_BYTES_MAX: usize = MESSAGE_BYTES_MAX / 10 * 8;

/// What a client may ask of `store` here.
pub(super) fn description(store: &dyn StateStore) -> wire::DescribeResponse {
    let Limits { commit_bytes_max, key_bytes_max, value_bytes_max } = store.limits();
    wire::DescribeResponse {
        protocol: PROTOCOL,
        incarnation: store.incarnation().0.into_bytes().to_vec().into(),
        adopted: store.adopted().into_iter().map(|life| life.0.into_bytes().to_vec().into()).collect(),
        commit_bytes_max: commit_bytes_max.min(COMMIT_BYTES_MAX) as u64,
        key_bytes_max: key_bytes_max.min(COMMIT_BYTES_MAX) as u64,
        value_bytes_max: value_bytes_max.min(COMMIT_BYTES_MAX) as u64,
        read_keys_max: u32::try_from(READ_KEYS_MAX).unwrap_or(u32::MAX),
        answer_bytes_max: u32::try_from(ANSWER_BYTES_MAX).unwrap_or(u32::MAX),
    }
}

pub(super) fn page(page: Page) -> wire::ScanResponse {
    let entry = |(key, value)| wire::Entry { key, value };
    wire::ScanResponse { entries: page.entries.into_iter().map(entry).collect(), next: page.next }
}

/// Both are "come back": a store that failed is opened again by the server's next process.
pub(super) fn read_error(error: &ReadError) -> Status {
    Status::unavailable(error.to_string())
}

/// What became of a commit.
pub(crate) fn outcome(result: Result<(), CommitError>) -> wire::CommitResponse {
    let outcome = match result {
        Ok(()) => Outcome::Done(wire::Done {}),
        Err(CommitError::Refused { at }) => Outcome::Refused(wire::Refused { at }),
        Err(CommitError::Conflict) => Outcome::Conflict(wire::Conflict {}),
        Err(CommitError::Unknown(fault)) => Outcome::Unknown(wire::Unknown { reason: fault.0 }),
        Err(CommitError::TooLarge { what, size_bytes, limit_bytes }) => Outcome::TooLarge(wire::TooLarge {
            what: what.to_owned(),
            size_bytes: size_bytes as u64,
            limit_bytes: limit_bytes as u64,
        }),
        Err(CommitError::Unavailable(fault)) => Outcome::Unavailable(wire::Unavailable { reason: fault.0 }),
        // What is durable is known only after reopening (I3).
        Err(CommitError::Fatal(fault)) => {
            Outcome::Unknown(wire::Unknown { reason: format!("the server's store failed: {fault}") })
        }
    };
    wire::CommitResponse { outcome: Some(outcome) }
}
