//! The records of a window, by side.

use super::side::Side;
use crate::window::Aggregator;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;

/// Collects the records of both sides, each as they came. They are kept in one entry, as with
/// [`Collect`](crate::window::aggregators::Collect).
pub(crate) struct CoGroup<A, B> {
    of: PhantomData<fn(A, B)>,
}

impl<A, B> CoGroup<A, B> {
    pub(crate) const fn new() -> Self {
        Self { of: PhantomData }
    }
}

impl<A, B> Clone for CoGroup<A, B> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<A, B> fmt::Debug for CoGroup<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CoGroup")
    }
}

impl<A, B> Aggregator for CoGroup<A, B>
where
    A: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    B: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    type Input = Side<A, B>;
    type Accumulator = (Vec<A>, Vec<B>);
    type Output = (Vec<A>, Vec<B>);

    fn create(&self) -> Self::Accumulator {
        (Vec::new(), Vec::new())
    }

    fn add(&self, (left, right): &mut Self::Accumulator, input: &Side<A, B>) {
        match input {
            Side::Left(value) => left.push(value.clone()),
            Side::Right(value) => right.push(value.clone()),
        }
    }

    fn merge(&self, (left, right): &mut Self::Accumulator, (others_left, others_right): Self::Accumulator) {
        left.extend(others_left);
        right.extend(others_right);
    }

    fn output(&self, both: &Self::Accumulator) -> Self::Output {
        both.clone()
    }
}
