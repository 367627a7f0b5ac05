//! The recordings of a pipeline in its store, by the names of the streams.

use super::Retention;
use super::read::{Recording, RecordingError};
use crate::pages;
use crate::pipeline::{Pipeline, Role};
use pelton_domain::{EventTime, ProcessingTime};
use pelton_proto::{convert, store};
use pelton_statestore::{PipelineKeys, StoreHandle};

/// A stream from outside that is recorded.
#[derive(Debug)]
pub(crate) struct RecordedStream {
    pub(crate) name: String,
    pub(crate) retention: Retention,
    pub(crate) recording: Recording,
    /// The low watermark of the stream, as announced.
    pub(crate) watermark: EventTime,
}

/// Every stream of `pipeline` that is recorded, as `store` has it. Where the pipeline has never run on it, there is none.
pub(crate) async fn recorded_streams(
    pipeline: &Pipeline,
    store: &StoreHandle,
) -> Result<Vec<RecordedStream>, RecordingError> {
    let keys = PipelineKeys::new(pipeline.name());
    let Some(bytes) = pages::read(store, &keys.catalogue()).await? else { return Ok(Vec::new()) };
    let catalogue: store::Catalogue = convert::decode("catalogue", &bytes)?;
    let mut streams = Vec::new();
    for step in &pipeline.steps {
        let Role::Ingest(ingested) = &step.role else { continue };
        let number = catalogue.computations.iter().find(|known| known.name == step.name);
        let (Some(retention), Some(number)) = (ingested.retention, number.map(|known| known.number)) else {
            continue;
        };
        let announced = match pages::read(store, &keys.announced(number)).await? {
            Some(bytes) => convert::decode::<store::Announced>("announced", &bytes)?.low_watermark_us,
            None => i64::MIN,
        };
        let (name, watermark) = (ingested.stream.clone(), EventTime::from_micros(announced));
        let recording = Recording::of(store, keys.computation(number));
        streams.push(RecordedStream { name, retention, recording, watermark });
    }
    Ok(streams)
}

impl RecordedStream {
    /// From when on nothing has expired, where it is `now`.
    pub(crate) fn kept_from(&self, now: ProcessingTime) -> ProcessingTime {
        now.minus(self.retention.age_max())
    }
}
