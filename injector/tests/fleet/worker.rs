//! A scripted worker: a task that answers as a worker does, and a view of what it was told.
//!
//! It does what its [`Manners`] say and no more, so that a test can have one that never reads, never releases, or dies.

use super::{Client, PATIENCE, name};
use bytes::Bytes;
use pelton_proto::PROTOCOL;
use pelton_proto::injector::{self as proto, injector_message, worker_message};
use pelton_proto::worker::Route;
use pelton_statestore::StateStore;
use pelton_statestore::memory::Memory;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

/// An interval and a reign, to compare and sort: computation, first and last position, sequencer.
pub(crate) type Id = (u32, u64, u64, u64);

pub(crate) fn id(id: &proto::IntervalId) -> Id {
    (id.computation, id.first_position, id.last_position, id.sequencer)
}

pub(crate) fn interval_id(id: Id) -> proto::IntervalId {
    proto::IntervalId { computation: id.0, first_position: id.1, last_position: id.2, sequencer: id.3 }
}

/// What it saw and has.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) running: BTreeSet<Id>,
    /// Everything told, in order.
    pub(crate) log: Vec<injector_message::Kind>,
    pub(crate) heartbeats: usize,
    pub(crate) epoch: u64,
    pub(crate) announced: BTreeMap<u32, i64>,
    pub(crate) routes: BTreeMap<(u32, u64, u64), Route>,
    /// The latest time that ids may carry, as last said.
    pub(crate) id_time_ms_max: Option<u64>,
    /// How the stream ended.
    pub(crate) end: Option<Result<(), Status>>,
}

/// How it behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// Takes over what it is assigned, at once.
    pub(crate) takes_over: bool,
    /// Stops what it is to release, at once.
    pub(crate) releases: bool,
    /// Sends heartbeats.
    pub(crate) beats: bool,
}

pub(crate) const GOOD: Manners = Manners { takes_over: true, releases: true, beats: true };

pub(crate) struct FakeWorker {
    pub(crate) hello: proto::Hello,
    pub(crate) view: Arc<Mutex<View>>,
    out: mpsc::Sender<proto::WorkerMessage>,
    task: JoinHandle<()>,
}

/// 16 bytes that nobody else has.
pub(crate) fn process() -> Bytes {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = u128::from(NEXT.fetch_add(1, Ordering::Relaxed));
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// What a worker with this name says, hosting computations 1 to 9.
pub(crate) fn hello(store: &Memory, worker: &str) -> proto::Hello {
    proto::Hello {
        protocol: PROTOCOL,
        pipeline: name().to_string(),
        worker: worker.to_owned(),
        process: process(),
        address: "127.0.0.1:9".to_owned(),
        incarnation: Bytes::copy_from_slice(store.incarnation().0.as_bytes()),
        graph_version: 1,
        computations: (1..=9).collect(),
        running: Vec::new(),
        clock_us: None,
    }
}

fn said(kind: worker_message::Kind) -> proto::WorkerMessage {
    proto::WorkerMessage { kind: Some(kind), clock_us: None }
}

impl FakeWorker {
    /// Joins, or is refused.
    pub(crate) async fn join(client: Client, hello: proto::Hello, manners: Manners) -> Result<Self, Status> {
        let mut client = client.max_decoding_message_size(64 << 20);
        let (out, outgoing) = mpsc::channel(64);
        out.send(said(worker_message::Kind::Hello(hello.clone()))).await.unwrap();
        let response = client.join(ReceiverStream::new(outgoing)).await?;
        let mut incoming = response.into_inner();
        let view = Arc::new(Mutex::new(View::default()));
        for interval in &hello.running {
            view.lock().unwrap().running.insert(id(interval));
        }
        let (seen, answers) = (view.clone(), out.clone());
        let task = tokio::spawn(async move {
            loop {
                let next = if manners.beats {
                    match tokio::time::timeout(Duration::from_millis(100), incoming.message()).await {
                        Ok(next) => next,
                        Err(_) => {
                            let _ = answers.try_send(proto::WorkerMessage::default());
                            continue;
                        }
                    }
                } else {
                    incoming.message().await
                };
                match next {
                    Ok(Some(message)) => take_in(&seen, &answers, message, manners).await,
                    Ok(None) => {
                        seen.lock().unwrap().end = Some(Ok(()));
                        return;
                    }
                    Err(status) => {
                        seen.lock().unwrap().end = Some(Err(status));
                        return;
                    }
                }
            }
        });
        Ok(Self { hello, view, out, task })
    }

    /// Joins again and again until an injector takes it.
    pub(crate) async fn join_when_possible(
        clients: &[Client],
        hello: &proto::Hello,
        manners: Manners,
    ) -> Self {
        let trying = async {
            loop {
                for client in clients {
                    match Self::join(client.clone(), hello.clone(), manners).await {
                        Ok(worker) => return worker,
                        Err(status) if status.code() == Code::Unavailable => {}
                        Err(status) => panic!("refused: {status}"),
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, trying).await.expect("some injector takes it")
    }

    pub(crate) async fn send(&self, kind: worker_message::Kind) {
        let _ = self.out.send(said(kind)).await;
    }

    /// A heartbeat with what its clock says.
    pub(crate) async fn say_clock(&self, clock_us: i64) {
        let _ = self.out.send(proto::WorkerMessage { kind: None, clock_us: Some(clock_us) }).await;
    }

    pub(crate) fn running(&self) -> BTreeSet<Id> {
        self.view.lock().unwrap().running.clone()
    }

    pub(crate) fn count_of(&self, computation: u32) -> usize {
        self.running().iter().filter(|id| id.0 == computation).count()
    }

    pub(crate) fn end(&self) -> Option<Result<(), Status>> {
        self.view.lock().unwrap().end.clone()
    }

    pub(crate) async fn ended(&self) -> Result<(), Status> {
        super::eventually("the stream ends", async || self.end()).await
    }

    /// What it would say when it joins again.
    pub(crate) fn hello_again(&self) -> proto::Hello {
        proto::Hello { running: self.running().into_iter().map(interval_id).collect(), ..self.hello.clone() }
    }

    /// Reports `secs` for everything it runs.
    pub(crate) async fn report(&self, secs: i64) {
        let reports = self.running().into_iter().map(|id| report(id, secs)).collect();
        self.send(worker_message::Kind::Reports(proto::Reports { reports })).await;
    }

    /// The stream is lost and nothing is said.
    pub(crate) fn kill(&self) {
        self.task.abort();
    }
}

impl Drop for FakeWorker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn report(id: Id, secs: i64) -> proto::Report {
    proto::Report {
        interval: Some(interval_id(id)),
        low_watermark_us: secs * 1_000_000,
        oldest_unacknowledged_ms: u64::try_from(secs * 1_000).unwrap(),
        ..Default::default()
    }
}

async fn take_in(
    view: &Mutex<View>,
    answers: &mpsc::Sender<proto::WorkerMessage>,
    message: proto::InjectorMessage,
    manners: Manners,
) {
    let answer = {
        let mut view = view.lock().unwrap();
        view.id_time_ms_max = message.id_time_ms_max.or(view.id_time_ms_max);
        let Some(kind) = message.kind else {
            view.heartbeats += 1;
            return;
        };
        view.log.push(kind.clone());
        view.take_in(kind, manners)
    };
    if let Some(kind) = answer {
        let _ = answers.send(said(kind)).await;
    }
}

impl View {
    fn take_in(&mut self, kind: injector_message::Kind, manners: Manners) -> Option<worker_message::Kind> {
        match kind {
            injector_message::Kind::Welcome(welcome) => self.epoch = welcome.epoch,
            injector_message::Kind::Announced(announced) => {
                for entry in announced.entries {
                    let before = self.announced.insert(entry.computation, entry.low_watermark_us);
                    assert!(before.is_none_or(|before| before <= entry.low_watermark_us), "I7: it went back");
                }
            }
            injector_message::Kind::Assign(assign) if manners.takes_over => {
                let interval = assign.interval.unwrap();
                assert!(
                    !assign.require_key.is_empty() && !assign.require_value.is_empty(),
                    "I1: a requirement"
                );
                self.running.insert(id(&interval));
                let running = proto::Running { intervals: vec![interval] };
                return Some(worker_message::Kind::Running(running));
            }
            injector_message::Kind::Release(release) if manners.releases => {
                for interval in &release.intervals {
                    self.running.remove(&id(interval));
                }
                let released = proto::Released { intervals: release.intervals, reason: String::new() };
                return Some(worker_message::Kind::Released(released));
            }
            injector_message::Kind::Routes(routes) => {
                for route in routes.routes {
                    let key = (route.computation, route.first_position, route.last_position);
                    if self.routes.get(&key).is_none_or(|known| known.sequencer <= route.sequencer) {
                        self.routes.insert(key, route);
                    }
                }
            }
            _ => {}
        }
        None
    }
}
