//! An injector and workers, on loopback, over one store in memory.

use crate::injector::injector;
use crate::pipeline::{Book, pipeline};
use pelton::{ClockHandle, EngineOptions, EventTime, IngestLimits, JoinedWorker, WallClock, WorkerOptions};
use pelton_injector::Worker;
use pelton_proto::injector::injector_client::InjectorClient;
use pelton_proto::injector::{StatusRequest, StatusResponse};
use pelton_proto::worker::inspect_client::InspectClient;
use pelton_proto::worker::{DeadLettersRequest, StateRequest};
use pelton_statestore::StoreHandle;
use pelton_statestore::memory::Memory;
use pelton_transport::{ListenOptions, Security, connect};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Looks again and again until it is so.
pub(crate) fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("waited in vain for {what}");
}

fn any_port(security: &Security) -> ListenOptions {
    let security = security.clone();
    ListenOptions { security, ..ListenOptions::new("127.0.0.1:0".parse().unwrap()) }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

pub(crate) struct Services {
    /// Of the injector and of the test itself.
    runtime: Runtime,
    injector: String,
    security: Security,
    ingest: IngestLimits,
    workers: Vec<(Option<Runtime>, String)>,
    book: Book,
    pub(crate) store: StoreHandle,
}

impl Services {
    pub(crate) fn start(workers: usize) -> Self {
        Self::start_with((0..workers).map(|_| -> ClockHandle { Arc::new(WallClock) }).collect())
    }

    /// A worker for each clock.
    pub(crate) fn start_with(clocks: Vec<ClockHandle>) -> Self {
        Self::start_secured(clocks, Security::none(), IngestLimits::default())
    }

    /// All of them listen and connect as `security` says, and take so much from one client.
    pub(crate) fn start_secured(clocks: Vec<ClockHandle>, security: Security, ingest: IngestLimits) -> Self {
        let store: StoreHandle = Arc::new(Memory::new());
        let (runtime, book) = (runtime(), Book::default());
        let injector = runtime.block_on(injector(
            pelton_domain::Name::new("shop").unwrap(),
            store.clone(),
            &any_port(&security),
        ));
        let mut services = Self { runtime, injector, store, security, ingest, workers: Vec::new(), book };
        clocks.into_iter().for_each(|clock| services.start_with_clock(clock));
        services
    }

    /// Starts one more worker.
    pub(crate) fn start_worker(&mut self) {
        self.start_with_clock(Arc::new(WallClock));
    }

    fn start_with_clock(&mut self, clock: ClockHandle) {
        let (own, started) = self.join(self.workers.len(), clock);
        let address = started.address().to_string();
        own.spawn(async move { started.ended().await });
        self.workers.push((Some(own), address));
    }

    /// One more worker, on a runtime of its own.
    pub(crate) fn join(&self, at: usize, clock: ClockHandle) -> (Runtime, JoinedWorker) {
        let (own, options) = (self::runtime(), self.options(at, clock));
        let started =
            own.block_on(JoinedWorker::start(pipeline(&self.book), self.store.clone(), options)).unwrap();
        (own, started)
    }

    fn options(&self, at: usize, clock: ClockHandle) -> WorkerOptions {
        let worker = Worker::from(format!("worker-{at}").as_str());
        WorkerOptions {
            engine: EngineOptions { worker, clock, ..EngineOptions::default() },
            injectors: vec![self.injector.clone()],
            listen: any_port(&self.security),
            advertise: None,
            security: self.security.clone(),
            computations: None,
            ingest: self.ingest,
        }
    }

    /// What the injector knows.
    pub(crate) fn status(&self) -> Option<StatusResponse> {
        let status = self.block_on(async {
            let channel = connect(&self.injector, &self.security).unwrap();
            InjectorClient::new(channel).status(StatusRequest { intervals: false }).await
        });
        status.ok().map(tonic::Response::into_inner)
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.workers.iter().map(|(_, address)| address.clone()).collect()
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(180), work).await }).unwrap()
    }

    pub(crate) fn spawn(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        self.runtime.spawn(work)
    }

    /// Every worker stops where it is, and as many others begin.
    pub(crate) fn restart_all(&mut self) {
        for at in 0..self.workers.len() {
            self.kill(at);
            let (own, started) = self.join(100 + at, Arc::new(WallClock));
            let address = started.address().to_string();
            own.spawn(async move { started.ended().await });
            self.workers[at] = (Some(own), address);
        }
    }

    /// What is kept of a key, as its types show it: cell, sub-key, value.
    pub(crate) fn state(&self, computation: &str, key: &str) -> Vec<(String, String, String)> {
        let key = key.to_owned().into();
        let request = StateRequest { computation: computation.to_owned(), key, page: Default::default() };
        let answer = self.block_on(async {
            let channel = connect(&self.workers[0].1, &self.security).unwrap();
            InspectClient::new(channel).state(request).await
        });
        let entries = answer.unwrap().into_inner().entries.into_iter();
        entries.map(|entry| (entry.cell, entry.sub_key_shown, entry.value_shown)).collect()
    }

    /// How many dead letters a computation has.
    pub(crate) fn dead_letters(&self, computation: &str) -> usize {
        let request = DeadLettersRequest { computation: computation.to_owned(), count_max: 0 };
        let answer = self.block_on(async {
            let channel = connect(&self.workers[0].1, &self.security).unwrap();
            InspectClient::new(channel).dead_letters(request).await
        });
        answer.unwrap().into_inner().letters.len()
    }

    /// Everything of a worker stops where it is.
    pub(crate) fn kill(&mut self, at: usize) {
        self.workers[at].0.take().unwrap().shutdown_background();
    }

    /// How many records the consumer has seen, some perhaps twice.
    pub(crate) fn collecting(&self) -> usize {
        self.book.calls.load(Ordering::Relaxed)
    }

    /// What came in the end, once the stream has ended for so many keys.
    pub(crate) fn collected(&self, keys: usize) -> BTreeMap<String, Vec<u64>> {
        wait("the end of every key", || self.book.keys.lock().unwrap().len() >= keys);
        self.book.keys.lock().unwrap().clone()
    }

    /// Every watermark at plus infinity.
    pub(crate) fn until_done(&self) {
        wait("the end of the pipeline", || {
            self.status().is_some_and(|status| {
                let (computations, end) = (status.computations, EventTime::MAX.as_micros());
                computations.len() == 3 && computations.iter().all(|c| c.low_watermark_us == end)
            })
        });
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.workers.drain(..).filter_map(|(runtime, _)| runtime).for_each(Runtime::shutdown_background);
    }
}
