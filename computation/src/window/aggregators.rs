//! Ready-made aggregators.
//!
//! | aggregator | gives | keeps |
//! |---|---|---|
//! | [`Count`] | how many | one number |
//! | [`Sum`], [`Mean`] | the sum, the mean | one or two numbers |
//! | [`Min`], [`Max`] | the least, the greatest | one record |
//! | [`TopN`] | the greatest n, greatest first | n records |
//! | [`Distinct`] | how many different ones, exactly | each of them once |
//! | [`ApproximateDistinct`] | the same, within about 2 % | up to 4 KB (HyperLogLog) |
//! | [`Quantiles`] | quantiles, within 1 % of their value | a few KB (DDSketch) |
//! | [`Reduce`] | one record made of all | one record |
//! | [`Collect`] | all of them, as they came | all of them |
//! | [`Combined`] | what a [`Combiner`](crate::Combiner) makes of them | its accumulator |
//! | `(A, B)` | what both give | what both keep |
//!
//! [`Aggregator::of`](super::Aggregator::of) takes what is to be aggregated out of a record:
//! `Max::new().of(|flight: &Flight| flight.delay)`.

mod adapt;
mod basic;
mod hyperloglog;
mod numbers;
mod reduce;
mod sketches;

pub use adapt::{Combined, Of};
pub use basic::{Collect, Count, Distinct, Max, Min, TopN};
pub use hyperloglog::HyperLogLog;
pub use numbers::{Mean, Number, Sum};
pub use reduce::Reduce;
pub use sketches::{ApproximateDistinct, DISTINCT_ERROR, QUANTILE_ERROR, Quantiles};

#[cfg(test)]
mod tests;
