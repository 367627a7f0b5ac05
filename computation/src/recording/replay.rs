//! Sending a recording into the running pipeline again, as new records of the stream.
//!
//! They come as any records from outside do: from a client of their own, under ids that are made of the replay's name and
//! of the place in the recording. So a replay that broke off and is begun again under the same name adds nothing twice
//! within the horizon of the stream (I6), and one under another name adds all of it once more, on purpose.

use super::find::RecordedStream;
use super::read::{Entry, RecordingError};
use crate::client::{IngestClient, IngestError, NewRecord};
use bytes::Bytes;
use pelton_domain::{EventTime, ProcessingTime};

/// The clients of replays have names that begin so. What they have appended is not replayed again.
const CLIENT_PREFIX: &str = "replay.";
/// The longest name of a replay: with the prefix it is the name of a client.
pub(crate) const NAME_BYTES_MAX: usize = 64 - CLIENT_PREFIX.len();
/// What is handed to the client at once.
const BATCH_RECORDS_MAX: usize = 1000;
const BATCH_BYTES_MAX: usize = 400_000;

/// Which event time a replayed record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ReplayTime {
    /// That which it had: it may be late now.
    Original,
    /// That of its arrival now: it is not late, and belongs to the windows of now.
    Arrival,
}

/// What is to be replayed: what arrived from `from` on and before `to`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) from: ProcessingTime,
    pub(crate) to: ProcessingTime,
    pub(crate) time: ReplayTime,
}

/// What a replay would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// Those whose event time lies before the watermark of the stream.
    pub(crate) late: u64,
}

/// The name of the client of the replay `name`.
pub(crate) fn client_of(name: &str) -> String {
    format!("{CLIENT_PREFIX}{name}")
}

impl Range {
    fn has(&self, entry: &Entry) -> bool {
        let before = entry.record.arrived_at_us < self.to.as_micros();
        before && !entry.client.as_bytes().starts_with(CLIENT_PREFIX.as_bytes())
    }

    /// What it would do, as far as can be said before.
    pub(crate) async fn plan(&self, stream: &RecordedStream) -> Result<Plan, RecordingError> {
        let (mut plan, mut merged) = (Plan::default(), stream.recording.open(Some(self.from), None).await?);
        while let Some(entry) = merged.take().await? {
            if !self.has(&entry) {
                continue;
            }
            let record = &entry.record;
            plan.records += 1;
            plan.bytes += u64::try_from(record.key.len() + record.value.len()).unwrap_or(u64::MAX);
            let late = EventTime::from_micros(record.event_time_us) < stream.watermark;
            plan.late += u64::from(late && self.time == ReplayTime::Original);
        }
        Ok(plan)
    }

    fn record(&self, entry: Entry) -> NewRecord {
        let id = Bytes::from(entry.place.name());
        let event_time = match self.time {
            ReplayTime::Original => Some(EventTime::from_micros(entry.record.event_time_us)),
            ReplayTime::Arrival => None,
        };
        NewRecord { id, key: entry.record.key, value: entry.record.value, event_time }
    }

    /// Sends them, in order. Returns how many, those included that an earlier attempt of the same name has sent.
    pub(crate) async fn send(
        &self,
        stream: &RecordedStream,
        client: &mut IngestClient,
    ) -> Result<u64, SendError> {
        let mut merged = stream.recording.open(Some(self.from), None).await?;
        let (mut batch, mut bytes, mut sent) = (Vec::new(), 0, 0);
        while let Some(entry) = merged.take().await? {
            if !self.has(&entry) {
                continue;
            }
            bytes += entry.record.key.len() + entry.record.value.len();
            batch.push(self.record(entry));
            sent += 1;
            if batch.len() >= BATCH_RECORDS_MAX || bytes >= BATCH_BYTES_MAX {
                client.append(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
        }
        client.append(batch).await?;
        Ok(sent)
    }
}

/// Why a replay broke off. Begun again under the same name it goes on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error(transparent)]
    Ingest(#[from] IngestError),
}
