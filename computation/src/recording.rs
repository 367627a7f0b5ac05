//! Recordings of what came from outside: an option of an [`Ingest`](crate::Ingest), with retention.
//!
//! | module | what |
//! |---|---|
//! | [`read`] | the records of a recording, in the order in which they came |
//! | [`play`] | the computation that sends them into a pipeline again |
//! | [`replay`] | sending them into the running pipeline, as new records |
//! | [`totals`] | how much is recorded |
//! | [`find`] | the recordings of a pipeline |
//!
//! Not for writing: a recording is a list of each client, in the state of the computation that appends. So a record, its
//! id and its way into the stream are one commit (I2), and what is too old goes as any state that expires.

pub(crate) mod find;
pub(crate) mod play;
pub(crate) mod read;
pub(crate) mod replay;
pub(crate) mod totals;

pub(crate) use find::{RecordedStream, recorded_streams};
pub(crate) use play::Played;
pub(crate) use read::Recording;
pub use read::RecordingError;
pub(crate) use totals::RecordingTotals;

use std::time::Duration;

/// How long what came from outside is kept.
///
/// ```
/// use bytes::Bytes;
/// use pelton::codec::Raw;
/// use pelton::{Ingest, Retention, Stream};
/// static ORDERS: Stream<Bytes, Raw> = Stream::new("orders");
/// let step = Ingest::new(&ORDERS).record(Retention::days(7));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    age_max: Duration,
}

impl Retention {
    /// So long after its arrival a record is kept; what is older is removed by the engine's sweep.
    #[must_use]
    pub const fn of(age_max: Duration) -> Self {
        Self { age_max }
    }

    /// So many days.
    #[must_use]
    pub const fn days(days: u32) -> Self {
        Self::of(Duration::from_secs(days as u64 * 86_400))
    }

    /// How old a record may become.
    #[must_use]
    pub const fn age_max(self) -> Duration {
        self.age_max
    }
}
