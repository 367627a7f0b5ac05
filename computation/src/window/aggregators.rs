//! Ready-made aggregators.
//!
//! | aggregator | gives | keeps |
//! |---|---|---|
//! | [`Count`] | how many | one number |
//! | [`Collect`] | all of them, as they came | all of them |

mod basic;

pub use basic::{Collect, Count};
