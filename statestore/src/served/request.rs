//! Requests: from the wire to the store's own types. What means nothing is refused in words, before the store is asked.

use super::READ_KEYS_MAX;
use crate::store::{Commit, KeyRange, Precondition, Scan, Write};
use bytes::Bytes;
use pelton_domain::Incarnation;
use pelton_proto::{PROTOCOL, convert, statestore as wire};
use tonic::Status;

/// Most entries of one page, however small they are.
const PAGE_ENTRIES_MAX: u32 = 16_384;

/// Refuses a client that speaks another protocol.
pub(super) fn check_protocol(spoken: u32) -> Result<(), Status> {
    if spoken == PROTOCOL {
        return Ok(());
    }
    Err(Status::failed_precondition(format!(
        "the client speaks protocol {spoken}, and this server {PROTOCOL}: use programs of one version"
    )))
}

/// Refuses a request that was made for another store.
pub(super) fn check_incarnation(named: &[u8], served: Incarnation) -> Result<(), Status> {
    let named = convert::incarnation(named).map_err(|error| Status::invalid_argument(error.to_string()))?;
    if named == served {
        return Ok(());
    }
    Err(Status::failed_precondition(format!(
        "the request is for the store of incarnation {named}, and this one is {served}: another store stands behind the address now"
    )))
}

pub(super) fn keys(keys: Vec<Bytes>) -> Result<Vec<Bytes>, Status> {
    if keys.len() > READ_KEYS_MAX {
        let asked = keys.len();
        return Err(Status::invalid_argument(format!(
            "a read of {asked} keys is over the limit of {READ_KEYS_MAX}"
        )));
    }
    Ok(keys)
}

pub(super) fn scan(request: wire::ScanRequest) -> Result<Scan, Status> {
    let wire::ScanRequest { range: asked, entries_max, bytes_max, .. } = request;
    if entries_max == 0 {
        return Err(Status::invalid_argument("a scan of 0 entries: at least 1 is to be asked for"));
    }
    Ok(Scan {
        range: range("the scan", asked)?,
        entries_max: entries_max.min(PAGE_ENTRIES_MAX) as usize,
        bytes_max: (bytes_max as usize).min(super::ANSWER_BYTES_MAX),
    })
}

pub(crate) fn commit(request: wire::CommitRequest) -> Result<Commit, Status> {
    let preconditions = request.preconditions.into_iter().enumerate().map(precondition);
    let writes = request.writes.into_iter().enumerate().map(write);
    Ok(Commit {
        preconditions: preconditions.collect::<Result<_, _>>()?,
        writes: writes.collect::<Result<_, _>>()?,
    })
}

fn precondition((at, wire): (usize, wire::Precondition)) -> Result<Precondition, Status> {
    use wire::precondition::Kind;
    match wire.kind {
        Some(Kind::Value(wire::ExpectedValue { key, expected })) => Ok(Precondition::Value { key, expected }),
        Some(Kind::Empty(wire::Range { start, end })) => {
            Ok(Precondition::Empty { range: KeyRange { start, end } })
        }
        None => Err(unknown_kind("precondition", at)),
    }
}

fn write((at, wire): (usize, wire::Write)) -> Result<Write, Status> {
    use wire::write::Kind;
    match wire.kind {
        Some(Kind::Put(wire::Entry { key, value })) => Ok(Write::Put { key, value }),
        Some(Kind::Delete(key)) => Ok(Write::Delete { key }),
        Some(Kind::DeleteRange(wire::Range { start, end })) => {
            Ok(Write::DeleteRange { range: KeyRange { start, end } })
        }
        None => Err(unknown_kind("write", at)),
    }
}

fn range(of: &str, wire: Option<wire::Range>) -> Result<KeyRange, Status> {
    let wire::Range { start, end } =
        wire.ok_or_else(|| Status::invalid_argument(format!("{of} has no range")))?;
    Ok(KeyRange { start, end })
}

/// A part of a commit that is skipped would be a commit that nobody asked for.
fn unknown_kind(what: &str, at: usize) -> Status {
    Status::invalid_argument(format!("{what} {at} of the commit is of no kind that this server knows"))
}
