//! Sources: computations whose work is outside, and whose keys are splits.
//!
//! A source is two ordinary keyed computations:
//!
//! 1. `name.splits`, with one key, lists the splits once and sends one record for each. Until that is
//!    committed its timer holds the watermark at minus infinity (I7); then the list is irrevocable.
//! 2. `name.read`, keyed by split, keeps the split's cursor in state. A processing-time timer reads a bounded
//!    chunk from the cursor; rows, new cursor and the next timer commit together (I2), so what can be read again
//!    from a cursor is read exactly once, with no further mechanism, and splits move like any other key. The
//!    timer's output time is the split's watermark: the estimate *is* the hold (I7). A bounded split that has
//!    ended has no timer and holds nothing.
//!
//! What is no record goes to the dead-letter stream of `name.read` (I10).
//!
//! | module | noun |
//! |---|---|
//! | `split` | what an outside must be able to do to be a source |
//! | `steps` | a source as steps of a pipeline, and its options |
//! | `enumerate`, `read` | the two computations |
//! | `pace`, `disorder` | rate limit and watermark, as pure arithmetic |
//! | `file` | CSV and JSON lines |

mod disorder;
mod enumerate;
mod error;
mod file;
mod pace;
mod read;
mod split;
mod steps;

pub use disorder::BoundedDisorder;
pub use error::{SourceError, SourceProblem};
pub use file::{
    CsvRows, CsvSource, FileCursor, FileFormat, FileReader, FileSource, IntoEventTime, JsonLinesSource,
    JsonRows, Paths,
};
pub use split::{Chunk, ChunkRequest, Next, Rejected, SourceRecord, SplitReader, SplitSource};
pub use steps::{Source, SourceOptions};

#[cfg(test)]
mod tests;
