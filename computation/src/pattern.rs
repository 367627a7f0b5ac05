//! Complex events: patterns over the records of a key, in the order of their event times.
//!
//! A pattern is a row of parts, each with a condition; a match is a choice of records that fills it. The words and
//! the semantics are those of Flink's CEP library, where not said otherwise. Records wait until the watermark has
//! passed them, and are then taken in order of time, so that what matches does not depend on the order of arrival
//! (I12). For what needs no order, see [`window`](crate::window).
//!
//! | module | noun | keeps |
//! |---|---|---|
//! | `said` | a pattern, as one says it | |
//! | `part` | one of its parts | |
//! | `check` | patterns that cannot be | |
//! | `found` | a match, and what of it conditions see | |
//! | `run` | a partial match | |
//! | `matcher` | from partial matches and a record to matches; pure | I11, I12 |
//! | `kept` | records that wait, and partial matches, in the state of a key | I2, I11 |
//! | `operator` | all of it, as a computation | I2, I7, I8, I10 |
//! | `telling` | from matches to records on their way | I10, I11 |
//! | `matching` | how such a step is said | |

mod check;
mod found;
mod kept;
mod matcher;
mod matching;
mod operator;
mod part;
mod run;
mod said;
mod telling;

pub use check::{PARTS_MAX, PatternError};
pub use found::{Match, MatchedPart, SoFar};
pub use kept::WAITING_RECORDS_MAX;
pub use matcher::PARTIAL_RECORDS_MAX;
pub use matching::Matching;
pub use operator::PatternOperator;
pub use said::{AfterMatch, Pattern};

#[cfg(test)]
mod tests;

/// The chapter of the book, whose examples are tested with the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../docs/src/patterns.md")]
struct Chapter;
