//! An injector and workers, on loopback, over one store in memory: a pipeline that publishes what it ingests.

use crate::injector::injector;
use bytes::Bytes;
use pelton::client::{Begin, IngestClient, NewRecord, PublishedRecord, SubscribeClient};
use pelton::codec::Raw;
use pelton::{EngineOptions, Ingest, JoinedWorker, Pipeline, Publish, Stream, WorkerOptions};
use pelton_injector::Worker;
use pelton_statestore::StoreHandle;
use pelton_statestore::memory::Memory;
use pelton_transport::{ListenOptions, Security};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

static ORDERS: Stream<Bytes, Raw> = Stream::new("orders");

/// Orders are published under two names; of one, little is kept.
pub(crate) fn pipeline() -> Pipeline {
    let all = Publish::new("orders", &ORDERS);
    let few = Publish::new("recent", &ORDERS).partitions(1).keeps_records(1_000);
    Pipeline::builder("shop").with(Ingest::new(&ORDERS).intervals(2)).with(all).with(few).build().unwrap()
}

fn any_port() -> ListenOptions {
    ListenOptions::new("127.0.0.1:0".parse().unwrap())
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

pub(crate) struct Services {
    /// Of the injector and of the test itself.
    runtime: Runtime,
    workers: Vec<(Option<Runtime>, Arc<JoinedWorker>)>,
}

impl Services {
    /// As many workers as there are lists; a list names the computations that one runs, and an empty one runs all.
    pub(crate) fn start(pipeline: impl Fn() -> Pipeline, workers: &[&[&str]]) -> Self {
        let store: StoreHandle = Arc::new(Memory::new());
        let runtime = runtime();
        let name = pipeline().name().clone();
        let injector = runtime.block_on(injector(name, store.clone(), &any_port()));
        let worker = |(at, only): (usize, &&[&str])| {
            let (own, options) = (self::runtime(), options(at, only, &injector));
            let started = own.block_on(JoinedWorker::start(pipeline(), store.clone(), options)).unwrap();
            (Some(own), Arc::new(started))
        };
        let workers = workers.iter().enumerate().map(worker).collect();
        Self { runtime, workers }
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.workers.iter().map(|(_, worker)| worker.address().to_string()).collect()
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(180), work).await }).unwrap()
    }

    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(work)
    }

    /// Everything of a worker stops where it is.
    pub(crate) fn kill(&mut self, at: usize) {
        self.workers[at].0.take().unwrap().shutdown_background();
    }

    /// Gives what a worker runs to others, and ends it once it has nothing left.
    pub(crate) fn drain(&mut self, at: usize) {
        let worker = self.workers[at].1.clone();
        worker.leave();
        self.block_on(worker.ended()).unwrap();
        self.kill(at);
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.workers.drain(..).filter_map(|(runtime, _)| runtime).for_each(Runtime::shutdown_background);
    }
}

fn options(at: usize, only: &[&str], injector: &str) -> WorkerOptions {
    let worker = Worker::from(format!("worker-{at}").as_str());
    WorkerOptions {
        engine: EngineOptions { worker, ..EngineOptions::default() },
        injectors: vec![injector.to_owned()],
        listen: any_port(),
        advertise: None,
        security: Security::none(),
        computations: (!only.is_empty()).then(|| only.iter().map(|name| (*name).to_owned()).collect()),
        ingest: Default::default(),
    }
}

/// Appends the numbers of a range, each under its client's name as key.
pub(crate) async fn append(addresses: Vec<String>, client: &str, numbers: std::ops::Range<u64>) {
    let mut to = IngestClient::connect(addresses, "orders", client).unwrap();
    let record = |number: u64| {
        let id = Bytes::from(number.to_string());
        NewRecord { id: id.clone(), key: client.to_owned().into(), value: id, event_time: None }
    };
    to.append(numbers.map(record).collect()).await.unwrap();
}

pub(crate) async fn finish(addresses: Vec<String>) {
    IngestClient::connect(addresses, "orders", "any").unwrap().finish().await.unwrap();
}

/// What came, by key; and where each partition is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) keys: BTreeMap<String, Vec<u64>>,
    offsets: BTreeMap<u32, u64>,
}

impl Seen {
    /// Takes records up; offsets have no gap and no repetition.
    pub(crate) fn take(&mut self, records: &[PublishedRecord]) {
        for record in records {
            let next = self.offsets.entry(record.partition).or_insert(record.offset);
            assert_eq!(record.offset, *next, "of partition {}", record.partition);
            *next += 1;
            let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
            self.keys.entry(text(&record.key)).or_default().push(text(&record.value).parse().unwrap());
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.keys.values().map(Vec::len).sum()
    }

    /// Receives until the stream ends.
    pub(crate) async fn receive_all(&mut self, from: &mut SubscribeClient) {
        while let Some(received) = from.next().await.unwrap() {
            self.take(&received.records);
        }
    }
}

pub(crate) fn subscribe(addresses: Vec<String>, stream: &str, begin: Begin) -> SubscribeClient {
    SubscribeClient::connect(addresses, stream, begin).unwrap()
}
