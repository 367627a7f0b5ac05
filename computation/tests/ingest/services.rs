//! An injector and workers, on loopback, over one store in memory.

use crate::pipeline::{Book, pipeline};
use pelton::{EngineOptions, EventTime, JoinedWorker, ProcessingTime, WorkerOptions};
use pelton_injector::Worker;
use pelton_injector::service::{InjectorService, Role, ServiceOptions, run};
use pelton_proto::injector::StatusRequest;
use pelton_proto::injector::injector_client::InjectorClient;
use pelton_statestore::StoreHandle;
use pelton_statestore::memory::Memory;
use pelton_transport::{ListenOptions, Security, Server, connect};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

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

fn any_port() -> ListenOptions {
    ListenOptions::new("127.0.0.1:0".parse().unwrap())
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

pub(crate) struct Services {
    /// Of the injector and of the test itself.
    runtime: Runtime,
    injector: String,
    workers: Vec<(Option<Runtime>, String)>,
    book: Book,
    pub(crate) store: StoreHandle,
}

impl Services {
    pub(crate) fn start(workers: usize) -> Self {
        let store: StoreHandle = Arc::new(Memory::new());
        let (runtime, book) = (runtime(), Book::default());
        let injector = runtime.block_on(injector(store.clone()));
        let mut services = Self { runtime, injector, workers: Vec::new(), book, store };
        (0..workers).for_each(|_| services.start_worker());
        services
    }

    /// Starts one more worker.
    pub(crate) fn start_worker(&mut self) {
        let (own, options) = (runtime(), options(self.workers.len(), &self.injector));
        let starting = JoinedWorker::start(pipeline(&self.book), self.store.clone(), options);
        let started = own.block_on(starting).unwrap();
        let address = started.address().to_string();
        own.spawn(async move { started.ended().await });
        self.workers.push((Some(own), address));
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
            let status = self.block_on(async {
                let channel = connect(&self.injector, &Security::none()).unwrap();
                InjectorClient::new(channel).status(StatusRequest { intervals: false }).await
            });
            status.is_ok_and(|status| {
                let computations = status.into_inner().computations;
                let end = EventTime::MAX.as_micros();
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

fn options(at: usize, injector: &str) -> WorkerOptions {
    let worker = Worker::from(format!("worker-{at}").as_str());
    WorkerOptions {
        engine: EngineOptions { worker, ..EngineOptions::default() },
        injectors: vec![injector.to_owned()],
        listen: any_port(),
        advertise: None,
        security: Security::none(),
        computations: None,
    }
}

/// Starts an injector; its address.
#[expect(clippy::disallowed_methods, reason = "the test provides the clocks")]
async fn injector(store: StoreHandle) -> String {
    let server = Server::bind(&any_port()).await.unwrap();
    let address = server.address().to_string();
    let (roles, watched) = tokio::sync::watch::channel(Role::StandingBy { leader: None });
    let clock = pelton::WallClock;
    let began = std::time::Instant::now();
    let mut options = ServiceOptions::new(
        pelton_domain::Name::new("shop").unwrap(),
        address.clone(),
        Arc::new(move || -> ProcessingTime { pelton::Clock::now(&clock) }),
        Arc::new(move || began.elapsed()),
    );
    options.lease = Duration::from_millis(500);
    options.limits.lease = Duration::from_secs(2);
    let stop = CancellationToken::new();
    let routes = tonic::service::Routes::new(InjectorService::new(watched).server());
    tokio::spawn(server.serve(routes, stop.clone()));
    tokio::spawn(run(store, options, roles, stop));
    address
}
