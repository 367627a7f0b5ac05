//! The injector as a process: options in, service up, one line for each change of role. All else is the library's.

use anyhow::Context;
use clap::Parser;
use pelton_domain::{Name, ProcessingTime};
use pelton_injector::Load;
use pelton_injector::assign::heat::{HeatLimits, HeatLimitsError};
use pelton_injector::service::{InjectorService, Role, ServiceOptions, run};
use pelton_statestore::StoreHandle;
use pelton_transport::config::{self, SecurityArgs, ServingArgs};
use pelton_transport::{Security, Server};
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// Pelton's injector: who is there, who owns which interval, and how far the low watermarks have come.
#[derive(Clone, Debug, Parser)]
#[command(name = "pelton-injector", version)]
struct Options {
    /// The pipeline to serve
    #[arg(long)]
    pipeline: Name,
    /// The store of the pipeline, the same as the workers': embedded:PATH, or fdb:.. where that is built in
    #[arg(long)]
    store: String,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:4200")]
    listen: SocketAddr,
    /// How others reach it, HOST:PORT; without it, the address it listens at
    #[arg(long, alias = "address")]
    advertise: Option<String>,
    /// How long a leader may be silent before another injector takes its place, in milliseconds
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(100..=600_000))]
    lease_ms: u64,
    /// How long a worker may be silent before its intervals go to others, in milliseconds
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(100..=600_000))]
    worker_lease_ms: u64,
    /// How often hot intervals are split and cold ones merged, in seconds; 0: never
    #[arg(long, default_value_t = 10)]
    reshape_every_s: u64,
    /// How far a worker's clock may be ahead of this machine's, in milliseconds; one that is further gets no intervals
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(100..=86_400_000))]
    clock_ahead_ms_max: u64,
    /// An interval is hot, and is split, when it keeps so many thousandths of a processor busy
    #[arg(long, default_value_t = 700, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    hot_busy_permille: u32,
    /// An interval is hot or cold when it was so this often in a row
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    reshape_rounds: u32,
    /// A computation with so many intervals, or fewer, has none merged
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=4_096))]
    intervals_min: u16,
    /// Where to serve metrics for Prometheus, HOST:PORT; without it, nowhere
    #[arg(long)]
    metrics: Option<SocketAddr>,
    #[command(flatten)]
    security: SecurityArgs,
    #[command(flatten)]
    serving: ServingArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match config::parse() {
        Ok(options) => options,
        Err(error) => return error.report(),
    };
    match begin(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pelton-injector: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn begin(options: Options) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    if let Some(address) = options.metrics {
        let exporter = metrics_exporter_prometheus::PrometheusBuilder::new().with_http_listener(address);
        exporter.install().with_context(|| format!("cannot serve metrics at {address}"))?;
    }
    let security = options.security.security()?;
    // Wrong limits are said before a store is waited for.
    let heat = heat(&options)?;
    let store = open(&options.store, &security).await;
    let store = store.with_context(|| format!("cannot open the store {}", options.store))?;
    serve(options, store, &security, heat).await
}

/// Opens the store that a URL names, of those that are built in.
async fn open(url: &str, security: &Security) -> Result<StoreHandle, pelton_statestore::OpenError> {
    #[cfg(feature = "foundationdb")]
    if url.starts_with("fdb:") {
        return pelton_statestore_foundationdb::open(url).await;
    }
    pelton_statestore::open_secured(url, security).await
}

/// Serves until a signal, or until the store fails.
async fn serve(
    options: Options,
    store: StoreHandle,
    security: &Security,
    heat: HeatLimits,
) -> anyhow::Result<()> {
    // Before it says that it listens: whoever reads that may stop it.
    let signal = ended_by_signal()?;
    let server = Server::bind(&options.serving.listen(options.listen, security)).await?;
    let address = options.advertise.clone().unwrap_or_else(|| server.address().to_string());
    say(&format!("listening at {}", server.address()));
    let (roles, watched) = watch::channel(Role::StandingBy { leader: None });
    let routes = Routes::new(InjectorService::new(watched.clone()).server());
    let stop = CancellationToken::new();
    let service_options = ServiceOptions { heat, ..service_options(&options, address) };
    let service = tokio::spawn(run(store, service_options, roles, stop.clone()));
    let calls = tokio::spawn(server.serve(routes, stop.clone()));
    let told = tokio::spawn(tell_roles(watched));
    let mut service = service;
    let ended = tokio::select! {
        ended = &mut service => Some(ended),
        signal = signal => {
            signal?;
            None
        }
    };
    stop.cancel();
    told.abort();
    let ended = match ended {
        Some(ended) => ended,
        None => service.await,
    };
    // The server cuts what does not end within --drain-ms-max.
    calls.await?.context("the server failed")?;
    ended?.context("the injector cannot go on")
}

/// What is hot and what is cold: of what is not an option, the default.
fn heat(options: &Options) -> Result<HeatLimits, HeatLimitsError> {
    let memory_bytes = HeatLimits::HOT_BYTES;
    let hot = Load { busy_permille: options.hot_busy_permille, memory_bytes };
    let (merge, most) = (HeatLimits::MERGE_PRESSURE_PERMILLE, HeatLimits::INTERVALS_MAX);
    HeatLimits::new(hot, merge, options.reshape_rounds, usize::from(options.intervals_min), most)
}

fn service_options(options: &Options, address: String) -> ServiceOptions {
    let started = monotonic_now();
    let monotonic = Arc::new(move || monotonic_now().duration_since(started));
    let clock = Arc::new(wall_clock);
    let mut service = ServiceOptions::new(options.pipeline.clone(), address, clock, monotonic);
    service.lease = Duration::from_millis(options.lease_ms);
    service.limits.lease = Duration::from_millis(options.worker_lease_ms);
    service.clock_ahead_max = Duration::from_millis(options.clock_ahead_ms_max);
    service.reshape_every = Duration::from_secs(options.reshape_every_s);
    service
}

/// One line whenever the role changes.
async fn tell_roles(mut roles: watch::Receiver<Role>) {
    roles.mark_changed();
    while roles.changed().await.is_ok() {
        let line = match &*roles.borrow_and_update() {
            Role::Leading { epoch, .. } => format!("leading, as number {epoch}"),
            Role::StandingBy { leader: Some(address) } => format!("standing by; {address} leads"),
            Role::StandingBy { leader: None } => "standing by; no leader is known".to_owned(),
        };
        say(&line);
    }
}

/// Writes a line that a supervisor may wait for; one that nobody reads is no error.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn ended_by_signal() -> anyhow::Result<impl Future<Output = anyhow::Result<()>>> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            result = tokio::signal::ctrl_c() => result?,
        }
        Ok(())
    })
}

#[expect(clippy::disallowed_methods, reason = "the process provides the clocks")]
fn monotonic_now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the process provides the clocks")]
fn wall_clock() -> ProcessingTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    ProcessingTime::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
