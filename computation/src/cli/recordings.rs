//! The command `recordings`.

use crate::pipeline::Pipeline;
use crate::recording::{RecordingError, RecordingTotals, recorded_streams};
use clap::Args;
use pelton_statestore::OpenError;
use pelton_transport::config::{SecurityArgs, SecurityArgsError};
use serde_json::json;

/// The arguments of `recordings`.
#[derive(Clone, Debug, Args)]
pub struct RecordingsArgs {
    /// The store of the pipeline: remote:HOST:PORT or fdb:CLUSTER_FILE; embedded:PATH where nothing runs on it.
    #[arg(long, value_name = "URL")]
    pub store: String,

    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,

    /// How connections are secured.
    #[command(flatten)]
    pub security: SecurityArgs,
}

/// Why recordings could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum RecordingsError {
    /// The certificates cannot be used.
    #[error(transparent)]
    Security(#[from] SecurityArgsError),
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A recording cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
}

/// Prints how much of each stream is recorded, and since when. It reads all of it.
///
/// # Errors
/// [`RecordingsError`].
pub async fn recordings(pipeline: &Pipeline, arguments: &RecordingsArgs) -> Result<(), RecordingsError> {
    let store = crate::store::open_secured(&arguments.store, &arguments.security.security()?).await?;
    let mut values = Vec::new();
    for stream in recorded_streams(pipeline, &store).await? {
        let totals = stream.recording.totals().await?;
        let kept_s = stream.retention.age_max().as_secs();
        if arguments.json {
            values.push(json(&stream.name, kept_s, &totals));
        } else {
            println!("{}", words(&stream.name, kept_s, &totals));
        }
    }
    if arguments.json {
        println!("{:#}", serde_json::Value::Array(values));
    }
    Ok(())
}

fn words(stream: &str, kept_s: u64, totals: &RecordingTotals) -> String {
    let RecordingTotals { clients, records, bytes, arrived } = totals;
    let range = match arrived {
        Some((first, last)) => format!(", arrived from {first} to {last}"),
        None => String::new(),
    };
    format!("{stream}: {records} records of {clients} clients, {bytes} bytes{range}; kept for {kept_s} s")
}

fn json(stream: &str, kept_s: u64, totals: &RecordingTotals) -> serde_json::Value {
    json!({
        "stream": stream, "records": totals.records, "clients": totals.clients, "bytes": totals.bytes,
        "first_arrived_us": totals.arrived.map(|(first, _)| first.as_micros()),
        "last_arrived_us": totals.arrived.map(|(_, last)| last.as_micros()),
        "kept_s": kept_s,
    })
}
