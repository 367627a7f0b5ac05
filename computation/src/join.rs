//! Joins: records of two streams that meet under one key.
//!
//! | join | a record meets | is told | as in |
//! |---|---|---|---|
//! | of windows | those of its windows | when the window closes | Flink, Beam (`CoGroupByKey`) |
//! | of intervals | those whose event times are so far from its own | as soon as both are there; one alone once none can come any more | Flink, Kafka Streams |
//! | with a table | the row that was valid at its event time | once the watermark has passed that time | Flink's temporal join |
//! | with a side input | as with a table, of which every part of the stream has a copy | as with a table | Beam's side inputs |
//!
//! Said in a flow: [`Keyed::join`](crate::flow::Keyed::join), [`Keyed::join_table`](crate::flow::Keyed::join_table),
//! [`Records::side_input`](crate::flow::Records::side_input). All depend on records and event time only, so their
//! results are the same after every crash (I12), and all they keep is collected as the watermark passes (I11).
//!
//! | module | noun | keeps |
//! |---|---|---|
//! | `side` | which stream a record is of; a pair of records | |
//! | `shelf` | records of a key by event time, in its state | I2 |
//! | `co_group` | the records of a window, by side | |
//! | `interval` | the interval join, as a computation | I2, I7, I8, I10 |
//! | `versions` | the rows of a table, each from its event time on | I2, I11 |
//! | `table` | the join with a table, as a computation | I2, I7, I8, I10 |

mod co_group;
mod interval;
mod shelf;
mod side;
mod table;
mod versions;

pub(crate) use co_group::CoGroup;
pub(crate) use interval::{IntervalJoinOperator, IntervalJoinSpec};
pub(crate) use shelf::CALL_BYTES_SOFT_MAX;
pub use side::{Offset, Pair, Side};
pub(crate) use table::{Asked, Row, TableJoinOperator, TableJoinSpec};

#[cfg(test)]
mod tests;
