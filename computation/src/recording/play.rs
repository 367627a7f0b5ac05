//! The computation that plays a recording into a pipeline: a source of one key, in the place of those that ingest.
//!
//! * Records and how far it has read are one commit (I2), so a record is played once.
//! * The watermark follows the arrivals as the clock did when they came (I7). What was late then is late again as far
//!   as that can be said: when a watermark reaches a consumer was never part of a record.

use super::read::{Entry, Merged, Place, Recording, RecordingError};
use crate::codec::{Codec, Raw};
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::state::Value;
use crate::stream::Stream;
use crate::timer::{Fired, Timer};
use bytes::Bytes;
use pelton_domain::{EventTime, Key, ProcessingTime};
use std::time::Duration;

/// Its key.
pub(crate) const KEY: &str = "recording";
/// The tag of the timer that reads.
const PLAY: &str = "play";
/// What one commit has at most.
const CHUNK_RECORDS_MAX: usize = 1024;
const CHUNK_BYTES_MAX: usize = 512 << 10;
/// A timer that is not meant to fire: it holds the watermark where the recording ends.
const NEVER: Duration = Duration::from_secs(100 * 365 * 86_400);

static PLAYED: Value<Place> = Value::new("played");

/// What is to be played.
#[derive(Clone, Debug)]
pub(crate) struct Played {
    pub(crate) recording: Recording,
    /// Only what arrived then or later.
    pub(crate) from: Option<ProcessingTime>,
    /// Where the watermark goes when all is played: plus infinity where the stream is finished.
    pub(crate) end: EventTime,
}

pub(crate) struct Play<T, C> {
    stream: Stream<T, C>,
    encoded: Stream<Bytes, Raw>,
    disorder: Duration,
    played: Played,
    /// A cache: a reader, and behind which record it stands.
    open: Option<(Place, Merged)>,
}

impl<T, C> Play<T, C> {
    pub(crate) fn new(stream: Stream<T, C>, disorder: Duration, played: Played) -> Self {
        Self { encoded: Stream::named(stream.name()), stream, disorder, played, open: None }
    }

    async fn reader(&mut self, after: Option<&Place>) -> Result<Merged, RecordingError> {
        match self.open.take() {
            Some((place, merged)) if Some(&place) == after => Ok(merged),
            _ => self.played.recording.open(self.played.from, after).await,
        }
    }

    /// The watermark while `next` is still to come.
    fn watermark(&self, next: &Entry, before: EventTime) -> EventTime {
        let arrived = ProcessingTime::from_micros(next.record.arrived_at_us).minus(self.disorder);
        let held = EventTime::from_micros(self.played.end.as_micros().saturating_sub(1));
        EventTime::from_micros(arrived.as_micros()).min(held).max(before)
    }

    async fn play_on(&mut self, cx: &mut Context<'_>, before: EventTime) -> Result<(), Failure> {
        let mut last = PLAYED.get(cx).await?;
        let mut merged = self.reader(last.as_ref()).await.map_err(Failure::stop)?;
        let (mut records, mut bytes) = (0, 0);
        while records < CHUNK_RECORDS_MAX
            && bytes < CHUNK_BYTES_MAX
            && let Some(entry) = merged.take().await.map_err(Failure::stop)?
        {
            let record = entry.record;
            records += 1;
            bytes += record.key.len() + record.value.len();
            let event_time = EventTime::from_micros(record.event_time_us);
            cx.emit(&self.encoded, Key::new(record.key), event_time, &record.value)?;
            last = Some(entry.place);
        }
        if let Some(last) = &last {
            PLAYED.set(cx, last)?;
        }
        match (merged.peek(), last) {
            (Some(next), Some(last)) => {
                let watermark = self.watermark(next, before);
                self.open = Some((last, merged));
                cx.set_timer(Timer::after(PLAY, Duration::ZERO).output_at(watermark))
            }
            _ if self.played.end == EventTime::MAX => Ok(()),
            _ => cx.set_timer(Timer::after(PLAY, NEVER).output_at(self.played.end.max(before))),
        }
    }
}

impl<T, C> Clone for Play<T, C> {
    fn clone(&self) -> Self {
        Self::new(self.stream.clone(), self.disorder, self.played.clone())
    }
}

impl<T: 'static, C: Codec<T>> Computation for Play<T, C> {
    type Input = ();

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&PLAYED).output(&self.stream);
    }

    async fn process(&mut self, _: &mut Context<'_>, _: Input<()>) -> Result<(), Failure> {
        Ok(())
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, timer: Fired) -> Result<(), Failure> {
        self.play_on(cx, timer.output_time).await.map_err(|failure| match failure.kind {
            // A timer that is given up never fires again: the rest would be lost without a word (I10).
            crate::failure::FailureKind::Permanent => Failure::stop(failure),
            _ => failure,
        })
    }
}
