//! The computation keyed by client: a record whose id is new is emitted, any other is known (I6).
//!
//! What comes after the end of the stream is dropped here and its id not kept: that is how the service which waits for
//! the answer finds out, and refuses it (I10).
//!
//! An id is an entry of the client's state that expires; the engine's sweep removes it. There is no timer for that,
//! so that a finished stream has nothing left to wait for.

use crate::codec::{Codec, Prost, Raw};
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::recording::Retention;
use crate::recording::read::CELL;
use crate::state::{List, Set};
use crate::stream::Stream;
use bytes::Bytes;
use pelton_domain::{EventTime, Key};
use pelton_proto::ingest::IngestRecord;
use pelton_proto::store::Recorded;
use std::time::Duration;

/// The cell that keeps the ids: a set of them as they came.
pub(crate) const IDS: &str = "ids";

pub(super) struct Append<T, C> {
    stream: Stream<T, C>,
    /// The same stream, for values that are encoded already.
    encoded: Stream<Bytes, Raw>,
    horizon: Duration,
    retention: Option<Retention>,
}

impl<T, C> Append<T, C> {
    pub(super) fn new(stream: Stream<T, C>, horizon: Duration, retention: Option<Retention>) -> Self {
        Self { encoded: Stream::named(stream.name()), stream, horizon, retention }
    }

    const fn ids(&self) -> Set<Bytes, Raw> {
        Set::new(IDS).expires_after(self.horizon)
    }

    fn recording(&self) -> Option<List<Recorded, Prost>> {
        self.retention.map(|retention| List::new(CELL).expires_after(retention.age_max()))
    }
}

impl<T, C> Clone for Append<T, C> {
    fn clone(&self) -> Self {
        Self::new(self.stream.clone(), self.horizon, self.retention)
    }
}

impl<T: 'static, C: Codec<T>> Computation for Append<T, C> {
    type Input = IngestRecord;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&self.ids()).output(&self.stream);
        if let Some(recording) = self.recording() {
            declaration.cell(&recording);
        }
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<IngestRecord>) -> Result<(), Failure> {
        let IngestRecord { id, key, value, event_time_us } = input.value;
        let ids = self.ids();
        if ids.contains(cx, &id).await? {
            return Ok(());
        }
        if cx.input_watermark() == EventTime::MAX {
            return Ok(());
        }
        ids.insert(cx, &id)?;
        // The time of arrival is that of the call: so it is never behind the watermark, however long the way was.
        let now = EventTime::from_micros(cx.now().as_micros());
        let event_time = event_time_us.map_or(now, EventTime::from_micros);
        if let Some(recording) = self.recording() {
            let arrived_at_us = cx.now().as_micros();
            let (key, value, event_time_us) = (key.clone(), value.clone(), event_time.as_micros());
            recording.push(cx, &Recorded { id, key, value, event_time_us, arrived_at_us })?;
        }
        cx.emit(&self.encoded, Key::new(key), event_time, &value)
    }
}
