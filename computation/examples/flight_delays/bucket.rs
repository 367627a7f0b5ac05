//! What is told of an hour of an airport.

use crate::hour::Hour;
use serde::{Deserialize, Serialize};

/// A complete hour of an airport, as `hourly.jsonl` has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bucket {
    /// The airport.
    pub(crate) origin: String,
    /// The hour that the flights were scheduled in.
    pub(crate) hour: Hour,
    /// How many left.
    pub(crate) departed: u32,
    /// How many never did.
    pub(crate) cancelled: u32,
    /// How late those that left were on average; nothing if none left.
    pub(crate) delay_minutes_mean: Option<f64>,
}
