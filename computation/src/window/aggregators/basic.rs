//! Aggregators that need nothing of their records but to count, compare or keep them.

use super::super::aggregator::Aggregator;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

/// An aggregator that is nothing but its record type.
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

pub(super) use of_type;

of_type! {
    /// How many records there are.
    Count
}
of_type! {
    /// All records, as they came. For windows of few and small records: they are kept in one entry.
    Collect
}

of_type! {
    /// The least record.
    Min
}
of_type! {
    /// The greatest record.
    Max
}
of_type! {
    /// How many different records there are. They are kept, each one once, in one entry: for windows of few.
    Distinct
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

/// The record that is kept where another one comes that is not `better`.
macro_rules! extreme {
    ($name:ident, $better:tt) => {
        impl<T> Aggregator for $name<T>
        where
            T: PartialOrd + Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
        {
            type Input = T;
            type Accumulator = Option<T>;
            type Output = Option<T>;

            fn create(&self) -> Option<T> {
                None
            }

            fn add(&self, kept: &mut Option<T>, record: &T) {
                if kept.as_ref().is_none_or(|kept| record $better kept) {
                    *kept = Some(record.clone());
                }
            }

            fn merge(&self, kept: &mut Option<T>, other: Option<T>) {
                if let Some(other) = other {
                    self.add(kept, &other);
                }
            }

            fn output(&self, kept: &Option<T>) -> Option<T> {
                kept.clone()
            }
        }
    };
}

extreme!(Min, <);
extreme!(Max, >);

impl<T: Ord + Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Aggregator for Distinct<T> {
    type Input = T;
    type Accumulator = BTreeSet<T>;
    type Output = u64;

    fn create(&self) -> BTreeSet<T> {
        BTreeSet::new()
    }

    fn add(&self, seen: &mut BTreeSet<T>, record: &T) {
        if !seen.contains(record) {
            seen.insert(record.clone());
        }
    }

    fn merge(&self, seen: &mut BTreeSet<T>, other: BTreeSet<T>) {
        seen.extend(other);
    }

    fn output(&self, seen: &BTreeSet<T>) -> u64 {
        seen.len() as u64
    }
}

/// The greatest records, greatest first.
pub struct TopN<T> {
    count: usize,
    of: PhantomData<fn(T)>,
}

impl<T> TopN<T> {
    /// The `count` greatest.
    #[must_use]
    pub const fn new(count: usize) -> Self {
        Self { count, of: PhantomData }
    }
}

impl<T> Clone for TopN<T> {
    fn clone(&self) -> Self {
        Self::new(self.count)
    }
}

impl<T> fmt::Debug for TopN<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopN({})", self.count)
    }
}

impl<T: Ord + Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Aggregator for TopN<T> {
    type Input = T;
    type Accumulator = Vec<T>;
    type Output = Vec<T>;

    fn create(&self) -> Vec<T> {
        Vec::new()
    }

    fn add(&self, top: &mut Vec<T>, record: &T) {
        let place = top.partition_point(|kept| kept >= record);
        if place < self.count {
            top.insert(place, record.clone());
            top.truncate(self.count);
        }
    }

    fn merge(&self, top: &mut Vec<T>, other: Vec<T>) {
        other.iter().for_each(|record| self.add(top, record));
    }

    fn output(&self, top: &Vec<T>) -> Vec<T> {
        top.clone()
    }
}
