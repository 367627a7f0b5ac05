//! `pelton-probe`: asks a service whether it is well, for probes that cannot show a certificate themselves. Kubernetes'
//! gRPC probes cannot.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | the service says that it serves |
//! | 1 | it says that it does not, or says nothing |
//! | 2 | the options are wrong |

use clap::Parser;
use pelton_transport::config::{self, SecurityArgs};
use pelton_transport::connect;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

/// Asks a Pelton service whether it is well
#[derive(Debug, Parser)]
#[command(name = "pelton-probe", version)]
struct Options {
    /// The service to ask, HOST:PORT
    #[arg(long, value_name = "ADDRESS")]
    connect: String,
    /// Ask for one contract, such as pelton.injector.v1.Injector, and not for the whole
    #[arg(long, value_name = "NAME", default_value = "")]
    service: String,
    /// How long to wait for the answer, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 2_000)]
    wait_ms: u64,
    #[command(flatten)]
    security: SecurityArgs,
}

fn main() -> ExitCode {
    let options: Options = match config::parse_beside_another() {
        Ok(options) => options,
        Err(error) => return error.report(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asked = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(ask(&options)));
    let line = match asked {
        Ok(ServingStatus::Serving) => return ExitCode::SUCCESS,
        Ok(status) => format!("{} says {}", options.connect, status.as_str_name()),
        Err(error) => {
            std::iter::successors(Some(error.as_ref() as &dyn std::error::Error), |error| error.source())
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(": ")
        }
    };
    // Where nobody reads it, the exit code still says it.
    let _ = writeln!(std::io::stderr(), "pelton-probe: {line}");
    ExitCode::FAILURE
}

async fn ask(options: &Options) -> Result<ServingStatus, Box<dyn std::error::Error>> {
    let security = options.security.security()?;
    let mut health = HealthClient::new(connect(&options.connect, &security)?);
    let request = HealthCheckRequest { service: options.service.clone() };
    let answer = tokio::time::timeout(Duration::from_millis(options.wait_ms), health.check(request)).await;
    let answer = answer.map_err(|_| format!("no answer within {} ms", options.wait_ms))??;
    Ok(answer.into_inner().status())
}
