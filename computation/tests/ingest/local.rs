//! The whole pipeline in one process, which listens as a worker and its injector would.

use crate::pipeline::{Book, pipeline};
use crate::{expected, of_client};
use pelton::client::IngestClient;
use pelton::local::{LocalOptions, Outcome, Progress, RunError, run_on};
use pelton::{Engine, EngineOptions, EventTime, IngestLimits, Listening};
use pelton_proto::injector::injector_client::InjectorClient;
use pelton_proto::injector::{DrainRequest, ExplainRequest, StatusRequest, StatusResponse, WorkerMessage};
use pelton_proto::worker::StateRequest;
use pelton_proto::worker::inspect_client::InspectClient;
use pelton_statestore::StoreHandle;
use pelton_statestore::memory::Memory;
use pelton_transport::{ListenOptions, Security, connect};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tonic::Code;
use tonic::transport::Channel;

fn at(address: &str) -> ListenOptions {
    ListenOptions::new(address.parse().unwrap())
}

fn channel(address: SocketAddr) -> Channel {
    connect(&address.to_string(), &Security::none()).unwrap()
}

async fn start(store: &StoreHandle, book: &Book) -> (Engine, Listening) {
    let engine = Engine::start(pipeline(book), store.clone(), EngineOptions::default()).await.unwrap();
    engine.started().await.unwrap();
    let listening = engine.listen(&at("127.0.0.1:0"), IngestLimits::default()).await.unwrap();
    (engine, listening)
}

async fn status(address: SocketAddr) -> StatusResponse {
    let request = StatusRequest { intervals: true };
    InjectorClient::new(channel(address)).status(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn i12_a_single_process_takes_records_from_outside_and_says_how_far_it_is() {
    let (store, book): (StoreHandle, _) = (Arc::new(Memory::new()), Book::default());
    let (engine, listening) = start(&store, &book).await;
    let append = async |listening: &Listening, ids: std::ops::Range<u64>| {
        let addresses = [listening.address().to_string()];
        let mut ann = IngestClient::connect(addresses, "orders", "ann").unwrap();
        ann.append(ids.map(|id| of_client("ann", id)).collect()).await.unwrap();
        ann
    };
    append(&listening, 0..700).await;
    let said = status(listening.address()).await;
    assert!(!said.is_done() && said.pipeline == "shop" && said.computations.len() == 3, "{said:?}");
    assert_eq!((said.workers.len(), said.intervals.len()), (1, 6));
    assert_eq!(said.workers[0].address, listening.address().to_string());
    let ingested = said.computations.iter().find(|of| of.name == "orders.ingest").unwrap();
    assert_eq!((ingested.intervals, ingested.running), (3, 3));
    assert_eq!(ingested.totals.unwrap().records, 700);
    listening.stop().await;
    engine.stop().await;

    let (engine, listening) = start(&store, &book).await;
    append(&listening, 300..1000).await.finish().await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), engine.finished()).await.unwrap().unwrap();
    let said = status(listening.address()).await;
    assert!(said.is_done(), "{said:?}");
    assert!(said.computations.iter().all(|of| of.low_watermark_us == EventTime::MAX.as_micros()));
    assert_eq!(*book.keys.lock().unwrap(), expected(&["ann"], 1000));
    let request = StateRequest { computation: "collect".into(), key: "ann".into(), page: Default::default() };
    let kept = InspectClient::new(channel(listening.address())).state(request).await.unwrap().into_inner();
    assert_eq!(kept.entries.last().unwrap().value_shown, "999");
    listening.stop().await;
    engine.stop().await;
}

#[tokio::test]
async fn what_a_single_process_cannot_do_it_refuses_in_words() {
    let (store, book): (StoreHandle, _) = (Arc::new(Memory::new()), Book::default());
    let (engine, listening) = start(&store, &book).await;
    let mut injector = InjectorClient::new(channel(listening.address()));
    let drained = injector.drain(DrainRequest { worker: "local".into() }).await.unwrap_err();
    let joined = injector.join(tokio_stream::iter([WorkerMessage::default()])).await.unwrap_err();
    for (refused, words) in [(drained, "nobody to move"), (joined, "no worker can join")] {
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains(words) && refused.message().contains("pelton-injector"));
    }
    let why = injector.explain(ExplainRequest { computation: "collect".into() }).await.unwrap();
    assert!(!why.into_inner().words.is_empty());
    let unknown = injector.explain(ExplainRequest { computation: "x".into() }).await.unwrap_err();
    assert!(unknown.code() == Code::NotFound && unknown.message().contains("collect"), "{unknown}");
    let exposed = engine.listen(&at("0.0.0.0:0"), IngestLimits::default()).await.unwrap_err();
    assert!(exposed.to_string().contains("there is no TLS"), "{exposed}");
    listening.stop().await;
    engine.stop().await;
}

#[tokio::test]
async fn a_run_that_listens_ends_when_its_stream_is_finished() {
    let (store, book): (StoreHandle, _) = (Arc::new(Memory::new()), Book::default());
    // A port that was free a moment ago; where another process has taken it since, the next is tried.
    for _ in 0..20 {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let options = LocalOptions {
            listen: Some(at(&address)),
            progress: Progress::Off,
            ..LocalOptions::new("memory:")
        };
        let appending = async {
            let mut ann = IngestClient::connect([address], "orders", "ann").unwrap();
            ann.append((0..10).map(|id| of_client("ann", id)).collect()).await.unwrap();
            ann.finish().await.unwrap();
            // The run ends now, and with it this test.
            std::future::pending().await
        };
        let ended = tokio::select! {
            ended = run_on(pipeline(&book), store.clone(), options) => ended,
            () = appending => unreachable!(),
        };
        match ended {
            Err(RunError::Listen(_)) => continue,
            other => assert_eq!(other.unwrap().outcome, Outcome::Finished),
        }
        assert_eq!(*book.keys.lock().unwrap(), expected(&["ann"], 10));
        return;
    }
    panic!("no port is free");
}
