//! An injector on loopback, with leases that a test can wait for: what the suites of services share.

use pelton_domain::{Name, ProcessingTime};
use pelton_injector::service::{InjectorService, Role, ServiceOptions, run};
use pelton_statestore::StoreHandle;
use pelton_transport::{ListenOptions, Server};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Starts one; its address.
#[expect(clippy::disallowed_methods, reason = "the test provides the clocks")]
pub(crate) async fn injector(pipeline: Name, store: StoreHandle, listen: &ListenOptions) -> String {
    let server = Server::bind(listen).await.unwrap();
    let address = server.address().to_string();
    let (roles, watched) = watch::channel(Role::StandingBy { leader: None });
    let clock = pelton::WallClock;
    let began = Instant::now();
    let mut options = ServiceOptions::new(
        pipeline,
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
