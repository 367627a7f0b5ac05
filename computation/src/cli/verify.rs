//! The command `verify`.

use super::time::When;
use crate::engine::clock::{Clock, WallClock};
use crate::pipeline::Pipeline;
use crate::verify::{self, Difference, VerifyError, VerifyOptions};
use clap::Args;
use pelton_statestore::OpenError;
use pelton_transport::config::{SecurityArgs, SecurityArgsError};
use std::process::ExitCode;

/// Nothing differs; something does; it could not be said.
const EXIT_DIFFERS: u8 = 1;
const EXIT_ERROR: u8 = 2;

/// The arguments of `verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// The store that the pipeline ran on: embedded:PATH, remote:HOST:PORT or fdb:CLUSTER_FILE.
    #[arg(long, value_name = "URL")]
    pub store: String,

    /// Where the shadow's state is kept, memory: too; by default in the same store.
    #[arg(long, value_name = "URL")]
    pub shadow_store: Option<String>,

    /// Play recordings from here on only: 2026-03-01T12:00:00Z, or how long ago, such as 2h. What only the live pipeline
    /// has is no difference then.
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub from: Option<When>,

    /// Neither run nor compare these computations, with commas between them.
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub leave_out: Vec<String>,

    /// Keep the shadow's state, to look into it. The next verification removes it.
    #[arg(long)]
    pub keep: bool,

    /// Print JSON, for programs: an object for each difference, a line each, and one for the verdict.
    #[arg(long)]
    pub json: bool,

    /// How connections are secured.
    #[command(flatten)]
    pub security: SecurityArgs,
}

/// Why a pipeline could not be verified.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Security(#[from] SecurityArgsError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

/// Verifies the pipeline and prints what came of it. The exit code is 0 where nothing differs, 1 where something does,
/// and 2 where that could not be said.
pub async fn verify(pipeline: Pipeline, arguments: &VerifyArgs) -> ExitCode {
    match attempt(pipeline, arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_DIFFERS),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(EXIT_ERROR)
        }
    }
}

async fn attempt(pipeline: Pipeline, arguments: &VerifyArgs) -> Result<bool, Failed> {
    let security = arguments.security.security()?;
    let live = crate::store::open_secured(&arguments.store, &security).await?;
    let shadow = match &arguments.shadow_store {
        Some(url) if *url != arguments.store => crate::store::open_secured(url, &security).await?,
        _ => live.clone(),
    };
    let options = VerifyOptions {
        from: arguments.from.map(|from| from.moment(WallClock.now())),
        leave_out: arguments.leave_out.clone(),
        keep: arguments.keep,
        ..VerifyOptions::default()
    };
    let json = arguments.json;
    let mut print = |difference: Difference| match json {
        true => println!("{}", difference.to_json()),
        false => println!("{difference}"),
    };
    let verdict = verify::verify(pipeline, live, shadow, options, &mut print).await?;
    match json {
        true => println!("{}", verdict.to_json()),
        false => println!("{verdict}"),
    }
    Ok(verdict.is_same())
}
