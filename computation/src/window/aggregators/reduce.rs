//! Records that become one of their own kind.

use super::super::aggregator::Aggregator;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;

/// Makes one record of all: `Reduce::by(|a: Flight, b| if a.delay < b.delay { b } else { a })`. The function must be
/// associative and commutative.
pub struct Reduce<T, F> {
    combine: F,
    of: PhantomData<fn(T)>,
}

impl<T, F: Fn(T, T) -> T> Reduce<T, F> {
    /// By this function.
    #[must_use]
    pub const fn by(combine: F) -> Self {
        Self { combine, of: PhantomData }
    }
}

impl<T, F: Clone> Clone for Reduce<T, F> {
    fn clone(&self) -> Self {
        Self { combine: self.combine.clone(), of: PhantomData }
    }
}

impl<T, F> fmt::Debug for Reduce<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reduce")
    }
}

impl<T, F> Aggregator for Reduce<T, F>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    F: Fn(T, T) -> T + Clone + Send + Sync + 'static,
{
    type Input = T;
    type Accumulator = Option<T>;
    type Output = Option<T>;

    fn create(&self) -> Option<T> {
        None
    }

    fn add(&self, reduced: &mut Option<T>, record: &T) {
        self.merge(reduced, Some(record.clone()));
    }

    fn merge(&self, reduced: &mut Option<T>, other: Option<T>) {
        *reduced = match (reduced.take(), other) {
            (Some(one), Some(other)) => Some((self.combine)(one, other)),
            (one, other) => one.or(other),
        };
    }

    fn output(&self, reduced: &Option<T>) -> Option<T> {
        reduced.clone()
    }
}
