//! Sums and means.

use super::super::aggregator::Aggregator;
use super::basic::of_type;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;

/// A number that can be summed up without overflow.
pub trait Number: Copy + Send + Sync + 'static {
    /// The sum of as many as a window can hold.
    type Total: Copy + Default + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Adds this to a total.
    fn add_to(self, total: &mut Self::Total);

    /// Adds two totals.
    fn add_totals(total: &mut Self::Total, other: Self::Total);

    /// The total, as close as an `f64` can be.
    fn to_f64(total: Self::Total) -> f64;
}

macro_rules! number {
    ($($number:ty as $total:ty),*) => {$(
        impl Number for $number {
            type Total = $total;

            fn add_to(self, total: &mut $total) {
                *total += <$total>::from(self);
            }

            fn add_totals(total: &mut $total, other: $total) {
                *total += other;
            }

            #[allow(clippy::cast_precision_loss, clippy::unnecessary_cast, reason = "as close as can be is what is promised")]
            fn to_f64(total: $total) -> f64 {
                total as f64
            }
        }
    )*};
}

number!(i8 as i128, i16 as i128, i32 as i128, i64 as i128);
number!(u8 as u128, u16 as u128, u32 as u128, u64 as u128);
number!(f32 as f64, f64 as f64);

of_type! {
    /// The sum of numbers: of integers as a 128-bit one, which cannot overflow; of floats as an `f64`.
    Sum
}
of_type! {
    /// The mean of numbers; `None` of none.
    Mean
}

impl<N: Number> Aggregator for Sum<N> {
    type Input = N;
    type Accumulator = N::Total;
    type Output = N::Total;

    fn create(&self) -> N::Total {
        N::Total::default()
    }

    fn add(&self, total: &mut N::Total, number: &N) {
        number.add_to(total);
    }

    fn merge(&self, total: &mut N::Total, other: N::Total) {
        N::add_totals(total, other);
    }

    fn output(&self, total: &N::Total) -> N::Total {
        *total
    }
}

impl<N: Number> Aggregator for Mean<N> {
    type Input = N;
    type Accumulator = (N::Total, u64);
    type Output = Option<f64>;

    fn create(&self) -> (N::Total, u64) {
        (N::Total::default(), 0)
    }

    fn add(&self, (total, count): &mut (N::Total, u64), number: &N) {
        number.add_to(total);
        *count += 1;
    }

    fn merge(&self, (total, count): &mut (N::Total, u64), (other, others): (N::Total, u64)) {
        N::add_totals(total, other);
        *count += others;
    }

    #[expect(clippy::cast_precision_loss, reason = "a window of 2^53 records is none")]
    fn output(&self, (total, count): &(N::Total, u64)) -> Option<f64> {
        (*count > 0).then(|| N::to_f64(*total) / *count as f64)
    }
}
