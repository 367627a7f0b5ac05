//! A worker with the injector in the same process: what the local runner and the tests use.

use super::{EngineOptions, Shared, StartError, open};
use crate::engine::authority::Authority;
use crate::pipeline::Pipeline;
use pelton_domain::Name;
use pelton_injector::{Assigned, Injector, InjectorOptions};
use pelton_statestore::{PipelineKeys, StoreHandle};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// A pipeline that runs in this process.
pub struct Engine {
    pub(super) shared: Arc<Shared>,
    pub(super) injector: Injector,
    pub(super) driver: JoinHandle<()>,
    pub(super) graph_version: u32,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({})", self.shared.name)
    }
}

impl Engine {
    /// Opens the pipeline on `store` and starts every interval where it was.
    ///
    /// # Errors
    /// [`StartError`], which says what to do.
    pub async fn start(
        pipeline: Pipeline,
        store: StoreHandle,
        options: EngineOptions,
    ) -> Result<Self, StartError> {
        let clock = options.clock.clone();
        let injector_options = InjectorOptions::new(Arc::new(move || clock.now()));
        let engine = Self::open(pipeline, store, options, injector_options).await?;
        for number in engine.shared.computations.keys().copied() {
            engine.start_computation(number).await?;
        }
        Ok(engine)
    }

    /// Opens the pipeline on `store`; no interval runs yet.
    pub(super) async fn open(
        pipeline: Pipeline,
        store: StoreHandle,
        options: EngineOptions,
        injector_options: InjectorOptions,
    ) -> Result<Self, StartError> {
        let Pipeline { name, steps, changes, .. } = pipeline;
        let bound = open::bind(&store, &name, &steps, &changes, open::Beside::Nobody).await?;
        let keys = PipelineKeys::new(&name);
        let (graph, graph_version) = (open::injector_graph(&bound)?, bound.catalogue.graph_version);
        let (injector, driver) =
            Injector::start(store.clone(), keys.clone(), graph, options.tokens.clone(), injector_options)
                .await?;
        let driver = tokio::spawn(async move {
            let end = driver.await;
            tracing::debug!(%end, "the injector has ended");
        });
        let authority = Authority::Here(injector.clone(), options.worker.clone());
        let shared = Arc::new(Shared::new(name, store, options, authority, bound, steps));
        Ok(Self { shared, injector, driver, graph_version })
    }

    async fn start_computation(&self, number: u32) -> Result<(), StartError> {
        for assigned in self.assign(number).await? {
            self.shared.clone().spawn(number, assigned, None);
        }
        Ok(())
    }

    /// Makes the computation's fences, where it has none, and assigns its intervals to this worker.
    pub(super) async fn assign(&self, number: u32) -> Result<Vec<Assigned>, StartError> {
        let Some(hosted) = self.shared.hosted(number) else { return Ok(Vec::new()) };
        let fences = self.shared.fences(hosted).await?;
        let worker = &self.shared.options.worker;
        let wanted = fences.iter().map(|fence| (fence.interval, worker.clone())).collect();
        Ok(self.injector.assign(number, wanted).await?)
    }

    /// The pipeline's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.shared.name
    }
}
