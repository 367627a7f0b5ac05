//! Answers: from the wire to the store's own types. What the contract does not allow is an error in words.

use crate::store::{CommitError, KeyRange, Page, StoreFault};
use bytes::Bytes;
use pelton_proto::statestore as wire;
use wire::commit_response::Outcome;

/// The values of the first of `asked` keys.
pub(super) fn values(answer: wire::ReadResponse, asked: usize) -> Result<Vec<Option<Bytes>>, String> {
    match answer.values.len() {
        0 => Err(format!("no value for {asked} keys")),
        found if found > asked => Err(format!("{found} values for {asked} keys")),
        _ => Ok(answer.values.into_iter().map(|value| value.value).collect()),
    }
}

/// A page of `range`, which gets on: entries ascend within the range, and the next page starts behind them.
pub(super) fn page(answer: wire::ScanResponse, range: &KeyRange) -> Result<Page, String> {
    let wire::ScanResponse { entries, next } = answer;
    let ascends = entries.is_sorted_by(|before, after| before.key < after.key);
    if !ascends || !entries.iter().all(|entry| range.contains(&entry.key)) {
        return Err("a page out of order or beyond its range".to_owned());
    }
    let last = entries.last().map_or(&range.start, |entry| &entry.key);
    if next.as_ref().is_some_and(|next| next <= last) {
        return Err("a page that is followed by itself".to_owned());
    }
    Ok(Page { entries: entries.into_iter().map(|entry| (entry.key, entry.value)).collect(), next })
}

/// What became of a commit.
pub(super) fn outcome(answer: wire::CommitResponse) -> Result<(), CommitError> {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    match answer.outcome {
        Some(Outcome::Done(wire::Done {})) => Ok(()),
        Some(Outcome::Refused(wire::Refused { at })) => Err(CommitError::Refused { at }),
        Some(Outcome::Conflict(wire::Conflict {})) => Err(CommitError::Conflict),
        Some(Outcome::Unknown(wire::Unknown { reason })) => Err(CommitError::Unknown(StoreFault(reason))),
        Some(Outcome::TooLarge(wire::TooLarge { what, size_bytes, limit_bytes })) => {
            let what = match what.as_str() {
                "key" => "key",
                "value" => "value",
                _ => "commit",
            };
            Err(CommitError::TooLarge { what, size_bytes: size(size_bytes), limit_bytes: size(limit_bytes) })
        }
        Some(Outcome::Unavailable(wire::Unavailable { reason })) => {
            Err(CommitError::Unavailable(StoreFault(reason)))
        }
        None => Err(CommitError::Unknown(StoreFault("the server answered without an outcome".to_owned()))),
    }
}
