//! What every service answers about itself: gRPC health (grpc.health.v1) and reflection (grpc.reflection.v1, and
//! v1alpha, which many stock clients still ask for; the messages are the same).

use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_reflection::server::Builder;

/// The two services, and the hand on health's answer.
pub(crate) struct Introspection {
    health: HealthServer<HealthService>,
    reporter: HealthReporter,
    services: Vec<&'static str>,
}

impl Introspection {
    /// The whole, and each of `services`, is serving.
    pub(crate) async fn new(services: &[&'static str]) -> Self {
        let reporter = HealthReporter::new();
        for service in services {
            reporter.set_service_status(*service, ServingStatus::Serving).await;
        }
        let health = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
        Self { health, reporter, services: services.to_vec() }
    }

    /// Adds all of them to `routes`.
    pub(crate) fn add_to(&self, routes: Routes) -> Routes {
        let routes = routes.add_service(self.health.clone());
        match (self.reflection().build_v1(), self.reflection().build_v1alpha()) {
            (Ok(v1), Ok(v1alpha)) => routes.add_service(v1).add_service(v1alpha),
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%error, "there is no reflection: the compiled contracts cannot be read");
                routes
            }
        }
    }

    fn reflection(&self) -> Builder<'static> {
        let reflection = Builder::configure()
            .register_encoded_file_descriptor_set(pelton_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        self.services.iter().fold(reflection, |reflection, service| reflection.with_service_name(*service))
    }

    /// Says NOT_SERVING, and ends the streams of those who watch.
    pub(crate) async fn stop_serving(&self) {
        let mut reporter = self.reporter.clone();
        for service in self.services.iter().copied().chain([""]) {
            reporter.set_service_status(service, ServingStatus::NotServing).await;
            reporter.clear_service_status(service).await;
        }
    }
}
