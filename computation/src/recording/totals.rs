//! How much of a stream is recorded, and since when.

use super::read::{Recording, RecordingError};
use pelton_domain::ProcessingTime;

/// What a recording has. To know it, all of it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecordingTotals {
    /// Clients with records in it.
    pub(crate) clients: u64,
    /// Records.
    pub(crate) records: u64,
    /// Bytes of their ids, keys and values.
    pub(crate) bytes: u64,
    /// When the earliest and the latest of them arrived; `None` where there is none.
    pub(crate) arrived: Option<(ProcessingTime, ProcessingTime)>,
}

impl Recording {
    /// Counts all of it.
    pub(crate) async fn totals(&self) -> Result<RecordingTotals, RecordingError> {
        let mut totals = RecordingTotals::default();
        let mut merged = self.open(None, None).await?;
        let mut clients = std::collections::HashSet::new();
        while let Some(entry) = merged.take().await? {
            let at = ProcessingTime::from_micros(entry.record.arrived_at_us);
            let record = &entry.record;
            let bytes = record.id.len() + record.key.len() + record.value.len();
            totals.records += 1;
            totals.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
            totals.arrived = Some(match totals.arrived {
                None => (at, at),
                Some((first, last)) => (first.min(at), last.max(at)),
            });
            clients.insert(entry.client);
        }
        totals.clients = u64::try_from(clients.len()).unwrap_or(u64::MAX);
        Ok(totals)
    }
}
