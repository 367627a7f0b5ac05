//! An injector that is told to stop ends at once, whoever is connected: nothing is cut, and nobody is waited for.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test that called it")]

mod fleet;

use fleet::*;
use pelton_proto::injector as proto;
use pelton_statestore::memory::Memory;
use pelton_transport::Limits;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

#[tokio::test]
async fn whoever_keeps_a_connection_open_does_not_hold_up_the_end() {
    let store = Memory::new();
    prepare(&store, 1, 2).await;
    // So long that the test would be over before anything is cut.
    let limits = Limits { drain_ms_max: 3_600_000, greeting_ms_max: 3_600_000, ..Limits::default() };
    let injector = Process::start_within(&store, limits, |_| {}).await;
    injector.leads().await;
    let worker = FakeWorker::join(injector.client(), hello(&store, "a"), GOOD).await.unwrap();
    let mut looking = injector.client();
    looking.status(proto::StatusRequest { intervals: false }).await.unwrap();
    let _silent = TcpStream::connect(injector.address).await.unwrap();
    // A worker that does not come to its Hello: its call is under way once the first message is wanted.
    let (_held, messages) = mpsc::channel::<proto::WorkerMessage>(1);
    let mut slow = injector.client();
    let joining = tokio::spawn(async move { slow.join(ReceiverStream::new(messages)).await });
    // A drain that waits for a worker which does not answer.
    let stubborn = Manners { takes_over: true, releases: false, beats: true };
    let other = FakeWorker::join(injector.client(), hello(&store, "b"), stubborn).await.unwrap();
    eventually("it has something", async || (other.count_of(1) > 0).then_some(())).await;
    let mut draining = injector.client();
    let request = proto::DrainRequest { worker: "b".to_owned() };
    let drained = tokio::spawn(async move { draining.drain(request).await });
    eventually("the drain is under way", async || {
        let status = looking.status(proto::StatusRequest { intervals: false }).await.unwrap().into_inner();
        status.workers.iter().any(|worker| worker.draining).then_some(())
    })
    .await;
    injector.stop_all().await;
    assert_eq!(worker.ended().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(joining.await.unwrap().unwrap_err().code(), Code::Unavailable);
    assert_eq!(drained.await.unwrap().unwrap_err().code(), Code::Unavailable);
}
