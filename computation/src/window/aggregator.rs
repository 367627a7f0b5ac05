//! How the records of a window become its value: combined on the way in, so that a window costs one accumulator.

use super::aggregators::Of;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Combines records into an accumulator, accumulators into one, and says what an accumulator is worth.
///
/// Order must not matter beyond what the output may show, as windows merge in any order. An accumulator is one
/// entry of state: it must stay below the store's limit for a value (100 KB).
///
/// ```
/// use pelton::window::Aggregator;
///
/// /// The mean delay, and how many there were.
/// #[derive(Clone)]
/// struct Delays;
///
/// impl Aggregator for Delays {
///     type Input = i64;
///     type Accumulator = (i64, u32);
///     type Output = (f64, u32);
///
///     fn create(&self) -> (i64, u32) {
///         (0, 0)
///     }
///     fn add(&self, sum: &mut (i64, u32), delay: &i64) {
///         self.merge(sum, (*delay, 1));
///     }
///     fn merge(&self, sum: &mut (i64, u32), other: (i64, u32)) {
///         *sum = (sum.0 + other.0, sum.1 + other.1);
///     }
///     fn output(&self, (sum, count): &(i64, u32)) -> (f64, u32) {
///         (*sum as f64 / f64::from(*count), *count)
///     }
/// }
/// ```
pub trait Aggregator: Clone + Send + Sync + 'static {
    /// What goes in.
    type Input;
    /// What is kept.
    type Accumulator: Serialize + DeserializeOwned + Send + Sync;
    /// What comes out.
    type Output: Serialize + DeserializeOwned + Clone + Send + Sync;

    /// An accumulator with nothing in it.
    fn create(&self) -> Self::Accumulator;

    /// Adds one record.
    fn add(&self, accumulator: &mut Self::Accumulator, input: &Self::Input);

    /// Adds another accumulator.
    fn merge(&self, accumulator: &mut Self::Accumulator, other: Self::Accumulator);

    /// What the accumulator is worth.
    fn output(&self, accumulator: &Self::Accumulator) -> Self::Output;

    /// Aggregates what `take` takes out of each record.
    fn of<T, F>(self, take: F) -> Of<Self, T, F>
    where
        Self: Sized,
        T: 'static,
        F: Fn(&T) -> Self::Input + Clone + Send + Sync + 'static,
    {
        Of::new(self, take)
    }
}
