//! Requests: from the store's own types to the wire.

use crate::store::{Commit, KeyRange, Precondition, Scan, Write};
use bytes::Bytes;
use pelton_domain::Incarnation;
use pelton_proto::statestore as wire;

/// The most bytes of keys in one Read, beyond its first: far below what a message may hold.
const READ_REQUEST_BYTES_MAX: usize = 1_000_000;

fn name(incarnation: Incarnation) -> Bytes {
    Bytes::copy_from_slice(incarnation.0.as_bytes())
}

/// How many of the first keys are asked for at once: at least one.
pub(super) fn keys_of_one_read(keys: &[Bytes], keys_max: usize) -> usize {
    let mut bytes = 0;
    let fits = |key: &&Bytes| {
        bytes += key.len();
        bytes <= READ_REQUEST_BYTES_MAX
    };
    keys.iter().take(keys_max).take_while(fits).count().max(1).min(keys.len())
}

pub(super) fn read(incarnation: Incarnation, keys: &[Bytes]) -> wire::ReadRequest {
    wire::ReadRequest { incarnation: name(incarnation), keys: keys.to_vec() }
}

pub(super) fn scan(incarnation: Incarnation, scan: &Scan) -> wire::ScanRequest {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    wire::ScanRequest {
        incarnation: name(incarnation),
        range: Some(range(scan.range.clone())),
        entries_max: number(scan.entries_max.max(1)),
        bytes_max: number(scan.bytes_max),
    }
}

pub(super) fn commit(incarnation: Incarnation, commit: Commit) -> wire::CommitRequest {
    wire::CommitRequest {
        incarnation: name(incarnation),
        preconditions: commit.preconditions.into_iter().map(precondition).collect(),
        writes: commit.writes.into_iter().map(write).collect(),
    }
}

fn precondition(precondition: Precondition) -> wire::Precondition {
    use wire::precondition::Kind;
    let kind = match precondition {
        Precondition::Value { key, expected } => Kind::Value(wire::ExpectedValue { key, expected }),
        Precondition::Empty { range: nothing_in } => Kind::Empty(range(nothing_in)),
    };
    wire::Precondition { kind: Some(kind) }
}

fn write(write: Write) -> wire::Write {
    use wire::write::Kind;
    let kind = match write {
        Write::Put { key, value } => Kind::Put(wire::Entry { key, value }),
        Write::Delete { key } => Kind::Delete(key),
        Write::DeleteRange { range: gone } => Kind::DeleteRange(range(gone)),
    };
    wire::Write { kind: Some(kind) }
}

fn range(KeyRange { start, end }: KeyRange) -> wire::Range {
    wire::Range { start, end }
}
