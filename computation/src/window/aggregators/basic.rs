//! Counting, and collecting.

use super::super::aggregator::Aggregator;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;

macro_rules! of_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name<T> {
            of: PhantomData<fn(T)>,
        }

        impl<T> $name<T> {
            /// Of records of any kind.
            #[must_use]
            pub const fn new() -> Self {
                Self { of: PhantomData }
            }
        }

        impl<T> Default for $name<T> {
            fn default() -> Self {
                Self::new()
            }
        }

        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                Self::new()
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

of_type! {
    /// How many records there are.
    Count
}
of_type! {
    /// All records, as they came. For windows of few and small records: they are kept in one entry.
    Collect
}

impl<T: 'static> Aggregator for Count<T> {
    type Input = T;
    type Accumulator = u64;
    type Output = u64;

    fn create(&self) -> u64 {
        0
    }

    fn add(&self, count: &mut u64, _: &T) {
        *count += 1;
    }

    fn merge(&self, count: &mut u64, other: u64) {
        *count += other;
    }

    fn output(&self, count: &u64) -> u64 {
        *count
    }
}

impl<T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Aggregator for Collect<T> {
    type Input = T;
    type Accumulator = Vec<T>;
    type Output = Vec<T>;

    fn create(&self) -> Vec<T> {
        Vec::new()
    }

    fn add(&self, all: &mut Vec<T>, record: &T) {
        all.push(record.clone());
    }

    fn merge(&self, all: &mut Vec<T>, other: Vec<T>) {
        all.extend(other);
    }

    fn output(&self, all: &Vec<T>) -> Vec<T> {
        all.clone()
    }
}
