//! What a source must be able to do: list its splits, and read one from a cursor on.
//!
//! Two promises make it exactly-once, and the source must keep both:
//!
//! * **The same from the same place.** Reading a split from a cursor gives, whenever it is done, the same
//!   records in the same order, as far as the first reading had come. Where the outside cannot promise it
//!   (a log that was compacted, a file that changed) it must notice and fail, not go on.
//! * **A cursor is all there is.** A reader may vanish at any time; what the next one needs is in the cursor.

use super::error::SourceError;
use crate::failure::Failure;
use bytes::Bytes;
use pelton_domain::{EventTime, Key, ProcessingTime};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::future::Future;
use std::time::Duration;

/// An outside that can be read in splits, each from a cursor.
///
/// It is cloned into every interval that reads it, so a clone should be cheap and share no open handles.
pub trait SplitSource: Clone + Send + Sync + 'static {
    /// What its records say.
    type Value: Send + 'static;
    /// What tells one split from the others; kept in state. As small as can be.
    type Split: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;
    /// A place in a split; kept in state, and written with every chunk. As small as can be.
    type Cursor: Serialize + DeserializeOwned + Clone + PartialEq + fmt::Debug + Send + Sync + 'static;
    /// Reads one split.
    type Reader: SplitReader<Value = Self::Value, Cursor = Self::Cursor>;

    /// Checks what can be checked before anything starts. It runs again when the splits are listed.
    ///
    /// # Errors
    /// Every problem that was found.
    fn validate(&self) -> Result<(), SourceError>;

    /// Every split, each under its own key. What is listed first is committed, and not asked for again.
    ///
    /// # Errors
    /// [`Failure::retry`] where they cannot be listed now, [`Failure::stop`] where somebody has to mend something
    /// first. The watermark stays at minus infinity meanwhile.
    fn splits(&self) -> impl Future<Output = Result<Vec<(Key, Self::Split)>, Failure>> + Send;

    /// A reader of `split` that goes on at `from`, or begins where there is no cursor.
    ///
    /// # Errors
    /// [`Failure::retry`] where it cannot be read now, [`Failure::stop`] where it is not what it was when the
    /// cursor was made. Never [`Failure::permanent`]: that would give the rest of the split up.
    fn open(
        &self,
        split: &Self::Split,
        from: Option<&Self::Cursor>,
    ) -> impl Future<Output = Result<Self::Reader, Failure>> + Send;
}

/// Reads one split, a bounded chunk at a time.
pub trait SplitReader: Send + 'static {
    /// What the records say.
    type Value: Send + 'static;
    /// A place in the split.
    type Cursor;

    /// The next chunk: what can be had soon, within the bounds of `request`.
    ///
    /// It may block its thread for as long as one chunk takes; work that takes longer, such as finding the
    /// place again, is to be cut up by returning empty chunks.
    ///
    /// # Errors
    /// As for [`SplitSource::open`]. After an error, or where the chunk could not be committed, the reader is
    /// dropped, and the split opened again at the last committed cursor.
    fn next_chunk(
        &mut self,
        request: ChunkRequest,
    ) -> impl Future<Output = Result<Chunk<Self::Value, Self::Cursor>, Failure>> + Send;
}

/// The bounds of one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRequest {
    /// At most this many rows, rejected ones included; at least 1.
    pub rows_max: usize,
    /// No further row once those of the chunk have this many bytes, as read.
    pub bytes_max: usize,
    /// The clock, for watermarks and idleness that follow it.
    pub now: ProcessingTime,
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk<V, C> {
    /// The records, in order.
    pub records: Vec<SourceRecord<V>>,
    /// What could not become a record: it goes to the dead-letter stream (I10).
    pub rejected: Vec<Rejected>,
    /// Where the next chunk begins. Equal to the one before where nothing was read.
    pub cursor: C,
    /// No record with an event time before this one is expected any more. An estimate that goes back is
    /// ignored (I7).
    pub watermark: EventTime,
    /// What to do next.
    pub next: Next,
}

/// One record of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRecord<V> {
    /// Its key.
    pub key: Key,
    /// When it happened.
    pub event_time: EventTime,
    /// What it says.
    pub value: V,
    /// Where it stands in the split, such as a line or an offset: for messages.
    pub origin: u64,
}

/// A row that could not become a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The row as it stands in the split, or its beginning where it is over the row limit.
    pub bytes: Bytes,
    /// Where, what and why.
    pub reason: String,
    /// The event time to file it under: that of what was read around it.
    pub event_time: EventTime,
}

/// What follows a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is more.
    More,
    /// There is nothing now; ask again after this delay. The split goes on holding its watermark, which the
    /// reader may let advance while it is idle.
    Idle(Duration),
    /// The split has ended: it is never asked again, and holds nothing. Irrevocable.
    End,
}
