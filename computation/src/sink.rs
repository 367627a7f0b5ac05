//! Sinks: computations whose work is outside, and whose keys are targets.
//!
//! [`JsonLinesSink`] writes a stream to a local file, each record exactly once, by position: where a line goes
//! is committed before it is written. It is two computations: `name.format` turns records into lines and
//! sends them to the target's key; `name.write` appends them, so that the file has one writer (I1).
//!
//! # The attack
//!
//! State holds the lines that are not yet in the file, and a ledger: how long the file is, and which lines
//! are *planned* to follow. A line is planned in one commit and written in a later one, with
//! [`stable_input`](crate::Step::stable_input): so what is written was durable before, and every byte of the file is
//! determined, by place, before it is put there. The file is at every instant a prefix of its final content.
//!
//! 1. *A crash before the write*: the plan and its timer are durable; the successor writes.
//! 2. *A crash in the midst of the write, or before the commit that follows*: the successor writes the same
//!    bytes at the same place. Nothing is twice, nothing is missing.
//! 3. *A torn line*: only the end of the last write can be cut, and it has no line break yet. Lines are written
//!    in whole ones at a time, so that it is rare to see that; what ends with a line break is whole and final.
//! 4. *A zombie*, fenced in the midst of a write (the fence does not reach outside): it writes bytes that are
//!    there already, or will be. It never cuts the file.
//! 5. *Lines arrive while the plan is being written*: they are not planned, so not written.
//! 6. *A full or broken disk*: the write fails, nothing is committed, the key waits and tries again. Its
//!    senders wait as well (I11): nothing is parked, nothing becomes a dead letter.
//! 7. *Power fails*: the ledger counts only what has been synced to the disk. What lay behind it, torn or
//!    zeroed, is written again.
//! 8. *Somebody else touched the file*: it is shorter than the ledger says, longer than ledger and plan
//!    together, gone, or its last bytes are others. Nothing is written, and the pipeline stops and says so.
//! 9. *A new pipeline and a file that is not empty*: the same, unless it may be
//!    [overwritten](JsonLinesSink::overwrite). That the file is its own is committed before anything is written
//!    to it. Overwriting cuts the file, once, at creation. A zombie that slept exactly there while its successor
//!    had already written could cut that: the successor would see it by 8.

mod format;
pub(crate) mod kept;
mod ledger;
mod lines;
mod target;
mod write;

pub use lines::{JsonLinesSink, SinkError};

#[cfg(test)]
mod tests;
