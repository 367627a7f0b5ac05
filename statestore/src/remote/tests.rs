//! The way over the wire and back, and what is believed of a status.

use super::{answer, opening, request, status};
use crate::served::testing;
use crate::store::{Commit, CommitError, KeyRange, Page, Precondition, ReadError, Scan, StoreFault, Write};
use bytes::Bytes;
use pelton_domain::Incarnation;
use pelton_proto::statestore as wire;
use proptest::prelude::*;
use prost::Message;
use std::sync::Arc;
use tonic::{Code, Status};
use uuid::Uuid;

fn bytes() -> impl Strategy<Value = Bytes> {
    any::<Vec<u8>>().prop_map(Bytes::from)
}

fn range() -> impl Strategy<Value = KeyRange> {
    (bytes(), bytes()).prop_map(|(start, end)| KeyRange { start, end })
}

fn commits() -> impl Strategy<Value = Commit> {
    let precondition = prop_oneof![
        (bytes(), proptest::option::of(bytes()))
            .prop_map(|(key, expected)| Precondition::Value { key, expected }),
        range().prop_map(|range| Precondition::Empty { range }),
    ];
    let write = prop_oneof![
        (bytes(), bytes()).prop_map(|(key, value)| Write::Put { key, value }),
        bytes().prop_map(|key| Write::Delete { key }),
        range().prop_map(|range| Write::DeleteRange { range }),
    ];
    (proptest::collection::vec(precondition, 0..5), proptest::collection::vec(write, 0..5))
        .prop_map(|(preconditions, writes)| Commit { preconditions, writes })
}

fn outcomes() -> impl Strategy<Value = Result<(), CommitError>> {
    let fault = any::<String>().prop_map(StoreFault);
    prop_oneof![
        Just(Ok(())),
        Just(Err(CommitError::Conflict)),
        bytes().prop_map(|at| Err(CommitError::Refused { at })),
        fault.clone().prop_map(|fault| Err(CommitError::Unknown(fault))),
        fault.prop_map(|fault| Err(CommitError::Unavailable(fault))),
        (prop_oneof![Just("key"), Just("value"), Just("commit")], 0..usize::MAX, 0..usize::MAX).prop_map(
            |(what, size_bytes, limit_bytes)| Err(CommitError::TooLarge { what, size_bytes, limit_bytes })
        ),
    ]
}

/// As the other side gets it.
fn sent<M: Message + Default>(message: &M) -> M {
    M::decode(message.encode_to_vec().as_slice()).unwrap()
}

fn life(number: u128) -> Incarnation {
    Incarnation(Uuid::from_u128(number))
}

proptest! {
    #[test]
    fn a_commit_arrives_as_it_was_sent(commit in commits()) {
        let arrived = testing::commit(sent(&request::commit(life(7), commit.clone()))).unwrap();
        prop_assert_eq!(arrived.preconditions, commit.preconditions);
        prop_assert_eq!(arrived.writes, commit.writes);
    }

    #[test]
    fn an_outcome_arrives_as_it_was_given(outcome in outcomes()) {
        let arrived = answer::outcome(sent(&testing::outcome(outcome.clone())));
        prop_assert_eq!(arrived, outcome);
    }

    #[test]
    fn arbitrary_answers_never_panic(bytes: Vec<u8>, range in range(), asked: u8) {
        let _ = wire::ReadResponse::decode(bytes.as_slice()).map(|found| answer::values(found, asked.into()));
        let _ = wire::ScanResponse::decode(bytes.as_slice()).map(|found| answer::page(found, &range));
        let _ = wire::CommitResponse::decode(bytes.as_slice()).map(answer::outcome);
        let _ = wire::DescribeResponse::decode(bytes.as_slice()).map(opening::parse);
    }
}

#[test]
fn a_store_that_failed_leaves_the_commit_unknown() {
    let failed = Err(CommitError::Fatal(StoreFault("no fsync".to_owned())));
    let outcome = answer::outcome(testing::outcome(failed));
    assert!(
        matches!(&outcome, Err(CommitError::Unknown(fault)) if fault.0.contains("no fsync")),
        "{outcome:?}"
    );
    let without = answer::outcome(wire::CommitResponse { outcome: None });
    assert!(matches!(without, Err(CommitError::Unknown(_))), "{without:?}");
}

#[test]
fn a_status_that_came_over_the_wire_says_that_nothing_was_written() {
    for code in [
        Code::FailedPrecondition,
        Code::InvalidArgument,
        Code::Unauthenticated,
        Code::PermissionDenied,
        Code::Unimplemented,
    ] {
        let status = Status::new(code, "no");
        assert!(matches!(status::of_commit("here", &status), CommitError::Fatal(_)), "{code:?}");
        assert!(matches!(status::of_read("here", &status), ReadError::Fatal(_)), "{code:?}");
    }
    let busy = Status::new(Code::ResourceExhausted, "later");
    assert!(matches!(status::of_commit("here", &busy), CommitError::Unavailable(_)));
    assert!(matches!(status::of_read("here", &busy), ReadError::Unavailable(_)));
}

#[test]
fn a_status_that_was_made_here_of_a_broken_connection_says_nothing_of_a_commit() {
    for code in (0..17).map(Code::from_i32) {
        let mut made = Status::new(code, "the connection broke");
        made.set_source(Arc::new(std::io::Error::other("reset")));
        assert!(matches!(status::of_commit("here", &made), CommitError::Unknown(_)), "{code:?}");
        assert!(matches!(status::of_read("here", &made), ReadError::Unavailable(_)), "{code:?}");
    }
    for code in [Code::Unavailable, Code::Cancelled, Code::Unknown, Code::Internal, Code::DeadlineExceeded] {
        let status = Status::new(code, "");
        assert!(matches!(status::of_commit("here", &status), CommitError::Unknown(_)), "{code:?}");
    }
}

#[test]
fn pages_that_break_the_contract_are_refused() {
    let range = KeyRange { start: Bytes::from_static(b"b"), end: Bytes::from_static(b"y") };
    let entry = |key: &'static str| wire::Entry { key: key.into(), value: Bytes::new() };
    let page = |keys: &[&'static str], next: Option<&'static str>| {
        let entries = keys.iter().map(|key| entry(key)).collect();
        answer::page(wire::ScanResponse { entries, next: next.map(Bytes::from) }, &range)
    };
    assert_eq!(page(&["b", "c"], Some("d")).map(|page: Page| page.entries.len()), Ok(2));
    for (keys, next) in [
        (&["c", "b"][..], None),
        (&["c", "c"], None),
        (&["a"], None),
        (&["y"], None),
        (&["c"], Some("c")),
        (&[], Some("b")),
    ] {
        assert!(page(keys, next).is_err(), "{keys:?}, {next:?}");
    }
}

#[test]
fn many_keys_are_asked_for_in_parts() {
    let keys = vec![Bytes::from(vec![7; 10_000]); 5000];
    assert_eq!(request::keys_of_one_read(&keys, 4096), 100);
    assert_eq!(request::keys_of_one_read(&keys[..3], 2), 2);
    let huge = [Bytes::from(vec![7; 2_000_000]), Bytes::new()];
    assert_eq!(request::keys_of_one_read(&huge, 4096), 1);
    let whole = Scan { range: KeyRange::of_prefix(b"x"), entries_max: usize::MAX, bytes_max: usize::MAX };
    let asked = request::scan(life(7), &whole);
    assert_eq!((asked.entries_max, asked.bytes_max), (u32::MAX, u32::MAX));
}

#[test]
fn a_description_that_makes_no_sense_is_refused() {
    let good = wire::DescribeResponse {
        protocol: 1,
        incarnation: vec![7; 16].into(),
        adopted: vec![vec![6; 16].into()],
        commit_bytes_max: 8,
        key_bytes_max: 8,
        value_bytes_max: 8,
        read_keys_max: 8,
        answer_bytes_max: 8,
    };
    assert!(opening::parse(good.clone()).is_ok_and(|found| found.adopted.len() == 1));
    let refused = |bad: wire::DescribeResponse| opening::parse(bad).unwrap_err();
    assert!(refused(wire::DescribeResponse { protocol: 9, ..good.clone() }).contains("protocol 9"));
    let short = wire::DescribeResponse { incarnation: Bytes::from_static(b"short"), ..good.clone() };
    assert!(refused(short).contains("5 bytes where 16 are due"));
    assert!(refused(wire::DescribeResponse { read_keys_max: 0, ..good }).contains("read_keys_max is 0"));
}
