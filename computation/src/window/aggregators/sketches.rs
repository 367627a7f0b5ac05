//! Sketches: answers that are nearly right, from little state.
//!
//! Their precision is fixed, so that accumulators of any two windows can be merged, whichever code wrote them.

use super::super::aggregator::Aggregator;
use super::basic::of_type;
use super::hyperloglog::HyperLogLog;
use serde::Serialize;
use sketches_ddsketch::{Config, DDSketch};
use std::fmt;
use std::marker::PhantomData;
use xxhash_rust::xxh3::xxh3_64;

/// The standard error of [`ApproximateDistinct`].
pub const DISTINCT_ERROR: f64 = 0.0165;
/// By how much of its own value a quantile of [`Quantiles`] may be wrong.
pub const QUANTILE_ERROR: f64 = 0.01;

/// More bins than all `f64` at this error have on one side of zero would be none; with fewer, the least values of a
/// very wide range share one.
const BINS_MAX: u32 = 4_096;
/// Values closer to zero are zero.
const LEAST: f64 = 1.0e-9;

of_type! {
    /// About how many different records there are, from a HyperLogLog: with a standard error of [`DISTINCT_ERROR`].
    ApproximateDistinct
}

impl<T: Serialize + 'static> Aggregator for ApproximateDistinct<T> {
    type Input = T;
    type Accumulator = HyperLogLog;
    type Output = u64;

    fn create(&self) -> HyperLogLog {
        HyperLogLog::new()
    }

    fn add(&self, sketch: &mut HyperLogLog, record: &T) {
        // By its encoding: hashes of `std` may change with the compiler, and a sketch outlives it. What cannot be
        // encoded could not have come through a stream.
        sketch.add(xxh3_64(&postcard::to_stdvec(record).unwrap_or_default()));
    }

    fn merge(&self, sketch: &mut HyperLogLog, other: HyperLogLog) {
        sketch.merge(other);
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it counts, from zero")]
    fn output(&self, sketch: &HyperLogLog) -> u64 {
        sketch.estimate().round() as u64
    }
}

/// Quantiles of numbers, from a DDSketch: each within [`QUANTILE_ERROR`] of its value. What is not a number is left
/// out; infinities count as the greatest and the least `f64`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantiles {
    wanted: Vec<f64>,
}

impl Quantiles {
    /// These quantiles, each between 0 and 1: `[0.5, 0.99]` for the median and the 99th percentile.
    #[must_use]
    pub fn new(wanted: impl IntoIterator<Item = f64>) -> Self {
        Self { wanted: wanted.into_iter().collect() }
    }
}

impl Aggregator for Quantiles {
    type Input = f64;
    type Accumulator = DDSketch;
    type Output = Vec<Option<f64>>;

    fn create(&self) -> DDSketch {
        DDSketch::new(Config::new(QUANTILE_ERROR, BINS_MAX, LEAST))
    }

    fn add(&self, sketch: &mut DDSketch, number: &f64) {
        if !number.is_nan() {
            sketch.add(number.clamp(f64::MIN, f64::MAX));
        }
    }

    fn merge(&self, sketch: &mut DDSketch, other: DDSketch) {
        if let Err(error) = sketch.merge(&other) {
            // Every sketch is made by `create`.
            tracing::error!(?error, "two sketches of one precision cannot be merged");
        }
    }

    /// One for each that is wanted, in their order; `None` of no numbers, and for what is no quantile.
    fn output(&self, sketch: &DDSketch) -> Vec<Option<f64>> {
        self.wanted.iter().map(|quantile| sketch.quantile(*quantile).ok().flatten()).collect()
    }
}
