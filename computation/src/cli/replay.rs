//! The command `replay`.

use super::time::When;
use crate::client::{IngestClient, IngestError};
use crate::engine::clock::{Clock, WallClock};
use crate::pipeline::Pipeline;
use crate::recording::replay::{NAME_BYTES_MAX, Plan, Range, ReplayTime, SendError, client_of};
use crate::recording::{RecordedStream, RecordingError, recorded_streams};
use clap::Args;
use pelton_domain::ProcessingTime;
use pelton_statestore::{OpenError, StoreHandle};
use pelton_transport::config::{SecurityArgs, SecurityArgsError};

/// The arguments of `replay`.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// Which stream.
    pub stream: String,

    /// The store that the pipeline runs on: remote:HOST:PORT or fdb:CLUSTER_FILE.
    #[arg(long, value_name = "URL")]
    pub store: String,

    /// The addresses of workers that take the records, with commas between them.
    #[arg(long, value_name = "HOST:PORT,..", value_delimiter = ',', required = true)]
    pub workers: Vec<String>,

    /// The name of this replay: what broke off goes on under the same name, and another name makes all of it come again.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub name: String,

    /// What arrived from here on: 2026-03-01T12:00:00Z, or how long ago, such as 2h.
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub from: When,

    /// What arrived before this; by default all until now. To go on with a replay that broke off, give the same.
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub to: Option<When>,

    /// Which event time they have.
    #[arg(long, value_enum, default_value = "original")]
    pub event_time: ReplayTime,

    /// Do it. Without, it is only said what would be done.
    #[arg(long)]
    pub yes: bool,

    /// How connections are secured.
    #[command(flatten)]
    pub security: SecurityArgs,
}

fn name(text: &str) -> Result<String, String> {
    match text.len() {
        1..=NAME_BYTES_MAX => Ok(text.to_owned()),
        bytes => Err(format!("it has {bytes} bytes; 1 to {NAME_BYTES_MAX} will do")),
    }
}

/// Why nothing was replayed, or not all.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The certificates cannot be used.
    #[error(transparent)]
    Security(#[from] SecurityArgsError),
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A recording cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The stream is not recorded.
    #[error("no stream {stream:?} is recorded in this store; those that are: {known}")]
    NotRecorded {
        /// Which.
        stream: String,
        /// Those that are.
        known: String,
    },
    /// What is asked for has expired.
    #[error(
        "the recording of {stream:?} is kept from {kept_from} on: what arrived between {from} and then may be gone; begin at {kept_from} or later"
    )]
    Expired {
        /// Of which stream.
        stream: String,
        /// From when on it was asked for.
        from: ProcessingTime,
        /// From when on it is kept.
        kept_from: ProcessingTime,
    },
    /// It was not confirmed.
    #[error("nothing was replayed: give --yes to do it")]
    NotConfirmed,
    /// The workers did not take it.
    #[error(
        "the replay broke off: {0}; it goes on when it is begun again with the same --name, --from and --to"
    )]
    Ingest(#[from] IngestError),
}

/// Says what a replay would do, and does it where that is confirmed.
///
/// # Errors
/// [`ReplayError`].
pub async fn replay(pipeline: &Pipeline, arguments: &ReplayArgs) -> Result<(), ReplayError> {
    let store = crate::store::open_secured(&arguments.store, &arguments.security.security()?).await?;
    replay_from(pipeline, &store, arguments).await
}

/// As [`replay`], from a store that is open already.
///
/// # Errors
/// [`ReplayError`].
pub async fn replay_from(
    pipeline: &Pipeline,
    store: &StoreHandle,
    arguments: &ReplayArgs,
) -> Result<(), ReplayError> {
    let (now, mut streams) = (WallClock.now(), recorded_streams(pipeline, store).await?);
    let Some(at) = streams.iter().position(|known| known.name == arguments.stream) else {
        let known: Vec<_> = streams.iter().map(|known| known.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(ReplayError::NotRecorded { stream: arguments.stream.clone(), known });
    };
    let stream = streams.swap_remove(at);
    let range = Range {
        from: arguments.from.moment(now),
        to: arguments.to.map_or(now, |to| to.moment(now)),
        time: arguments.event_time,
    };
    let kept_from = stream.kept_from(now);
    if range.from < kept_from {
        return Err(ReplayError::Expired { stream: stream.name, from: range.from, kept_from });
    }
    println!("{}", words(&stream, &range, range.plan(&stream).await?));
    if !arguments.yes {
        return Err(ReplayError::NotConfirmed);
    }
    let client = client_of(&arguments.name);
    let mut client = IngestClient::connect(arguments.workers.clone(), stream.name.clone(), client)?;
    let sent = range.send(&stream, &mut client).await.map_err(|error| match error {
        SendError::Recording(error) => ReplayError::Recording(error),
        SendError::Ingest(error) => ReplayError::Ingest(error),
    })?;
    println!("{sent} records of {} were replayed", stream.name);
    Ok(())
}

fn words(stream: &RecordedStream, range: &Range, plan: Plan) -> String {
    let Plan { records, bytes, late } = plan;
    let (name, Range { from, to, .. }) = (&stream.name, range);
    let mut words = format!(
        "{records} records of {name}, {bytes} bytes, arrived from {from} to {to}: each becomes a new record, and counts once more."
    );
    if late > 0 {
        let watermark = stream.watermark;
        words += &format!(
            " {late} of them lie before the watermark {watermark}: what is late by then is dropped or told as late, unless it is given --event-time arrival."
        );
    }
    words
}
