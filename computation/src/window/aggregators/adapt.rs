//! Aggregators from others: of a part of each record, two at once, and from a [`Combiner`].

use super::super::aggregator::Aggregator;
use crate::state::Combiner;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;

/// Aggregates a part of each record. Made by [`Aggregator::of`].
pub struct Of<A, T, F> {
    by: A,
    take: F,
    of: PhantomData<fn(T)>,
}

impl<A, T, F> Of<A, T, F> {
    pub(in super::super) fn new(by: A, take: F) -> Self {
        Self { by, take, of: PhantomData }
    }
}

impl<A: Clone, T, F: Clone> Clone for Of<A, T, F> {
    fn clone(&self) -> Self {
        Self::new(self.by.clone(), self.take.clone())
    }
}

impl<A: fmt::Debug, T, F> fmt::Debug for Of<A, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}", self.by, std::any::type_name::<T>())
    }
}

impl<A, T, F> Aggregator for Of<A, T, F>
where
    A: Aggregator,
    T: 'static,
    F: Fn(&T) -> A::Input + Clone + Send + Sync + 'static,
{
    type Input = T;
    type Accumulator = A::Accumulator;
    type Output = A::Output;

    fn create(&self) -> A::Accumulator {
        self.by.create()
    }

    fn add(&self, accumulator: &mut A::Accumulator, record: &T) {
        self.by.add(accumulator, &(self.take)(record));
    }

    fn merge(&self, accumulator: &mut A::Accumulator, other: A::Accumulator) {
        self.by.merge(accumulator, other);
    }

    fn output(&self, accumulator: &A::Accumulator) -> A::Output {
        self.by.output(accumulator)
    }
}

impl<A: Aggregator, B: Aggregator<Input = A::Input>> Aggregator for (A, B) {
    type Input = A::Input;
    type Accumulator = (A::Accumulator, B::Accumulator);
    type Output = (A::Output, B::Output);

    fn create(&self) -> Self::Accumulator {
        (self.0.create(), self.1.create())
    }

    fn add(&self, accumulator: &mut Self::Accumulator, record: &A::Input) {
        self.0.add(&mut accumulator.0, record);
        self.1.add(&mut accumulator.1, record);
    }

    fn merge(&self, accumulator: &mut Self::Accumulator, other: Self::Accumulator) {
        self.0.merge(&mut accumulator.0, other.0);
        self.1.merge(&mut accumulator.1, other.1);
    }

    fn output(&self, accumulator: &Self::Accumulator) -> Self::Output {
        (self.0.output(&accumulator.0), self.1.output(&accumulator.1))
    }
}

/// What a [`Combiner`] makes of the records: its accumulator comes out.
pub struct Combined<C> {
    by: PhantomData<fn(C)>,
}

impl<C> Combined<C> {
    /// By this combiner.
    #[must_use]
    pub const fn new() -> Self {
        Self { by: PhantomData }
    }
}

impl<C> Default for Combined<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Clone for Combined<C> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<C> fmt::Debug for Combined<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Combined({})", std::any::type_name::<C>())
    }
}

impl<C: Combiner> Aggregator for Combined<C>
where
    C::Input: Clone,
    C::Accumulator: Serialize + DeserializeOwned + Clone + Send + Sync,
{
    type Input = C::Input;
    type Accumulator = C::Accumulator;
    type Output = C::Accumulator;

    fn create(&self) -> C::Accumulator {
        C::Accumulator::default()
    }

    fn add(&self, accumulator: &mut C::Accumulator, record: &C::Input) {
        C::add(accumulator, record.clone());
    }

    fn merge(&self, accumulator: &mut C::Accumulator, other: C::Accumulator) {
        C::merge(accumulator, other);
    }

    fn output(&self, accumulator: &C::Accumulator) -> C::Accumulator {
        accumulator.clone()
    }
}
