//! The calls of the service, by hand: what means nothing is refused in words, and a store that fails ends it.

use super::broken::Broken;
use super::service::Service;
use super::{ANSWER_BYTES_MAX, READ_KEYS_MAX, ServeError, serve};
use crate::memory::Memory;
use crate::store::{
    Commit, CommitError, Limits, Page, ReadError, Scan, StateStore, StoreFault, StoreHandle, Write,
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pelton_domain::Incarnation;
use pelton_proto::statestore::{self as wire, state_store_server::StateStore as Contract};
use pelton_transport::{ListenOptions, Server};
use proptest::prelude::*;
use prost::Message;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};

fn service(store: &Memory) -> Service {
    Service::new(Arc::new(store.clone()), Arc::new(Broken::default()))
}

fn life(store: &Memory) -> Bytes {
    Bytes::copy_from_slice(store.incarnation().0.as_bytes())
}

/// What a call says that does not wait for anything.
fn now<T>(call: BoxFuture<'_, Result<tonic::Response<T>, Status>>) -> Result<T, Status> {
    call.now_or_never().expect("memory answers at once").map(tonic::Response::into_inner)
}

fn commit_of(store: &Memory) -> wire::CommitRequest {
    let entry = wire::Entry { key: "key".into(), value: "value".into() };
    wire::CommitRequest {
        incarnation: life(store),
        preconditions: vec![],
        writes: vec![wire::Write { kind: Some(wire::write::Kind::Put(entry)) }],
    }
}

/// Bytes, and what is left of a message after some damage.
fn damaged(message: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let hurt = (changes, any::<prop::sample::Index>()).prop_map(move |(changes, end)| {
        let mut bytes = message.clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(end.index(2 * bytes.len()));
        bytes
    });
    prop_oneof![any::<Vec<u8>>(), hurt]
}

fn whole_messages() -> [Vec<u8>; 3] {
    let range = wire::Range { start: "a".into(), end: "z".into() };
    let value = wire::precondition::Kind::Value(wire::ExpectedValue { key: "key".into(), expected: None });
    let empty = wire::precondition::Kind::Empty(range.clone());
    let write = |kind| wire::Write { kind: Some(kind) };
    let commit = wire::CommitRequest {
        incarnation: vec![7; 16].into(),
        preconditions: [value, empty].map(|kind| wire::Precondition { kind: Some(kind) }).to_vec(),
        writes: vec![
            write(wire::write::Kind::Put(wire::Entry { key: "key".into(), value: "value".into() })),
            write(wire::write::Kind::Delete("key".into())),
            write(wire::write::Kind::DeleteRange(range.clone())),
        ],
    };
    let incarnation = commit.incarnation.clone();
    let read = wire::ReadRequest { incarnation: incarnation.clone(), keys: vec!["key".into(); 3] };
    let scan = wire::ScanRequest { incarnation, range: Some(range), entries_max: 9, bytes_max: 9 };
    [read.encode_to_vec(), scan.encode_to_vec(), commit.encode_to_vec()]
}

proptest! {
    #[test]
    fn damaged_and_arbitrary_messages_are_answered_without_a_panic(
        bytes in prop::sample::select(whole_messages().to_vec()).prop_flat_map(damaged), named: bool,
    ) {
        let store = Memory::new();
        let service = service(&store);
        let name = |given: Bytes| if named { life(&store) } else { given };
        if let Ok(mut request) = wire::ReadRequest::decode(bytes.as_slice()) {
            request.incarnation = name(request.incarnation);
            let _ = now(service.read(Request::new(request)));
        }
        if let Ok(mut request) = wire::ScanRequest::decode(bytes.as_slice()) {
            request.incarnation = name(request.incarnation);
            let _ = now(service.scan(Request::new(request)));
        }
        if let Ok(mut request) = wire::CommitRequest::decode(bytes.as_slice()) {
            request.incarnation = name(request.incarnation);
            let _ = now(service.commit(Request::new(request)));
        }
        if let Ok(request) = wire::DescribeRequest::decode(bytes.as_slice()) {
            let _ = now(service.describe(Request::new(request)));
        }
    }
}

#[test]
fn what_means_nothing_is_refused_in_words_and_changes_nothing() {
    let store = Memory::new();
    let service = service(&store);
    let refused = |status: Status, code: Code, words: &str| {
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(words), "{status}");
    };
    let status = now(service.describe(Request::new(wire::DescribeRequest { protocol: 9 }))).unwrap_err();
    refused(status, Code::FailedPrecondition, "speaks protocol 9, and this server 1");
    let other = wire::CommitRequest { incarnation: vec![7; 16].into(), ..commit_of(&store) };
    let status = now(service.commit(Request::new(other))).unwrap_err();
    refused(status.clone(), Code::FailedPrecondition, "07070707-0707-0707-0707-070707070707");
    refused(status, Code::FailedPrecondition, &store.incarnation().to_string());
    let nameless = wire::CommitRequest { incarnation: Bytes::new(), ..commit_of(&store) };
    refused(now(service.commit(Request::new(nameless))).unwrap_err(), Code::InvalidArgument, "0 bytes");
    let mut half = commit_of(&store);
    half.writes.push(wire::Write { kind: None });
    refused(now(service.commit(Request::new(half))).unwrap_err(), Code::InvalidArgument, "write 1");
    let mut half = commit_of(&store);
    half.preconditions.push(wire::Precondition { kind: None });
    refused(now(service.commit(Request::new(half))).unwrap_err(), Code::InvalidArgument, "precondition 0");
    let scan = wire::ScanRequest { incarnation: life(&store), range: None, entries_max: 1, bytes_max: 1 };
    refused(now(service.scan(Request::new(scan.clone()))).unwrap_err(), Code::InvalidArgument, "no range");
    let none = wire::ScanRequest { entries_max: 0, ..scan };
    refused(now(service.scan(Request::new(none))).unwrap_err(), Code::InvalidArgument, "at least 1");
    let keys = vec![Bytes::from_static(b"k"); READ_KEYS_MAX + 1];
    let many = wire::ReadRequest { incarnation: life(&store), keys };
    refused(now(service.read(Request::new(many))).unwrap_err(), Code::InvalidArgument, "4096");
    assert_eq!(store.dump(), []);
}

#[test]
fn answers_end_where_they_would_be_too_large() {
    let store = Memory::new();
    let service = service(&store);
    let keys: Vec<Bytes> = (0..40).map(|number| format!("key {number:02}").into()).collect();
    for key in &keys {
        let write = Write::Put { key: key.clone(), value: vec![7; 90_000].into() };
        let commit = Commit { preconditions: vec![], writes: vec![write] };
        store.commit(commit).now_or_never().unwrap().unwrap();
    }
    let read = wire::ReadRequest { incarnation: life(&store), keys: keys.clone() };
    let values = now(service.read(Request::new(read))).unwrap().values;
    assert_eq!(values.len(), 11, "of 90,000 bytes each in 1,000,000");
    let range = Some(wire::Range { start: "key".into(), end: "kez".into() });
    let all = u32::MAX;
    let scan = wire::ScanRequest { incarnation: life(&store), range, entries_max: all, bytes_max: all };
    let page = now(service.scan(Request::new(scan))).unwrap();
    assert!(page.encoded_len() < ANSWER_BYTES_MAX + 100_000, "{}", page.encoded_len());
    assert_eq!(page.next.as_ref(), keys.get(page.entries.len()));
}

/// A store whose disk failed.
#[derive(Debug)]
struct Failed(Memory);

fn fault() -> StoreFault {
    StoreFault("the disk is gone".to_owned())
}

impl StateStore for Failed {
    fn read(&self, _: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, ReadError>> {
        Box::pin(async { Err(ReadError::Fatal(fault())) })
    }

    fn scan(&self, _: Scan) -> BoxFuture<'_, Result<Page, ReadError>> {
        Box::pin(async { Err(ReadError::Fatal(fault())) })
    }

    fn commit(&self, _: Commit) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async { Err(CommitError::Fatal(fault())) })
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }

    fn incarnation(&self) -> Incarnation {
        self.0.incarnation()
    }
}

#[tokio::test]
async fn a_store_that_failed_ends_the_service_with_the_reason() {
    for is_commit in [true, false] {
        let server = Server::bind(&ListenOptions::new(([127, 0, 0, 1], 0).into())).await.unwrap();
        let address = server.address().to_string();
        let store: StoreHandle = Arc::new(Failed(Memory::new()));
        let serving = tokio::spawn(serve(server, store, CancellationToken::new()));
        let remote =
            crate::remote::Remote::open(&address, &pelton_transport::Security::none()).await.unwrap();
        if is_commit {
            let outcome = remote.commit(Commit::default()).await;
            assert!(matches!(outcome, Err(CommitError::Unknown(_))), "{outcome:?}");
        } else {
            let read = remote.read(vec![Bytes::from_static(b"key")]).await;
            assert!(matches!(read, Err(ReadError::Unavailable(_))), "{read:?}");
        }
        let ended = serving.await.unwrap();
        assert!(matches!(&ended, Err(ServeError::Store(found)) if *found == fault()), "{ended:?}");
    }
}
