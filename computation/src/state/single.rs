//! Cells of one entry: a value, and an accumulator.

use super::cell::{CellKind, CellSpec, Migration, Shows, StateCell};
use crate::codec::{Codec, Postcard};
use crate::context::Context;
use crate::failure::Failure;
use std::marker::PhantomData;
use std::time::Duration;

macro_rules! cell_options {
    ($cell:ident<$($p:ident),*>) => {
        impl<$($p),*> $cell<$($p),*> {
            /// Entries are dropped once `after` has passed since they were last written, by the clock.
            #[must_use]
            pub const fn expires_after(mut self, after: Duration) -> Self {
                self.spec.expires_after = Some(after);
                self
            }

            /// The schema of its entries is `version`; `migrations` turn older ones into it, step by step.
            #[must_use]
            pub const fn schema(mut self, version: u16, migrations: &'static [Migration]) -> Self {
                self.spec.version = version;
                self.spec.migrations = migrations;
                self
            }
        }

        impl<$($p),*> std::fmt::Debug for $cell<$($p),*> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", stringify!($cell), self.spec.name)
            }
        }
    };
}
pub(super) use cell_options;

/// One value for each key.
pub struct Value<T, C = Postcard> {
    spec: CellSpec,
    types: PhantomData<fn() -> (T, C)>,
}

impl<T, C> Value<T, C> {
    /// The cell `name`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { spec: CellSpec::new(name, CellKind::Value), types: PhantomData }
    }
}

cell_options!(Value<T, C>);

impl<T, C: Codec<T>> StateCell for Value<T, C> {
    fn spec(&self) -> CellSpec {
        CellSpec { shows: Shows { sub_key: None, value: Some(C::show) }, ..self.spec }
    }
}

impl<T: Send, C: Codec<T>> Value<T, C> {
    /// The value; `None` where none was set, or it was cleared or has expired.
    ///
    /// # Errors
    /// Where the stored bytes are no `T`.
    pub async fn get(&self, cx: &mut Context<'_>) -> Result<Option<T>, Failure> {
        match cx.read(&self.spec, &[]).await? {
            Some(bytes) => Ok(Some(C::decode(&bytes)?)),
            None => Ok(None),
        }
    }

    /// Sets the value.
    ///
    /// # Errors
    /// Where it cannot be encoded, or is over the store's limit for one value.
    pub fn set(&self, cx: &mut Context<'_>, value: &T) -> Result<(), Failure> {
        cx.write(&self.spec, &[], &C::encode(value)?)
    }

    /// Removes the value.
    ///
    /// # Errors
    /// Where the cell is not declared.
    pub fn clear(&self, cx: &mut Context<'_>) -> Result<(), Failure> {
        cx.remove(&self.spec, &[])
    }
}

/// How inputs are combined into one accumulator: associative and commutative, so that order does not matter.
pub trait Combiner: Send + Sync + 'static {
    /// What goes in.
    type Input;
    /// What is kept.
    type Accumulator: Default + Send;

    /// Adds one input.
    fn add(accumulator: &mut Self::Accumulator, input: Self::Input);

    /// Adds another accumulator.
    fn merge(accumulator: &mut Self::Accumulator, other: Self::Accumulator);
}

/// One accumulator for each key.
pub struct Combining<A, C = Postcard> {
    spec: CellSpec,
    types: PhantomData<fn() -> (A, C)>,
}

impl<A, C> Combining<A, C> {
    /// The cell `name`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { spec: CellSpec::new(name, CellKind::Combining), types: PhantomData }
    }
}

cell_options!(Combining<A, C>);

impl<A: Combiner, C: Codec<A::Accumulator>> StateCell for Combining<A, C> {
    fn spec(&self) -> CellSpec {
        CellSpec { shows: Shows { sub_key: None, value: Some(C::show) }, ..self.spec }
    }
}

impl<A: Combiner, C: Codec<A::Accumulator>> Combining<A, C> {
    /// Combines `input` into the accumulator.
    ///
    /// # Errors
    /// Where the stored bytes are no accumulator, or the new one cannot be stored.
    pub async fn add(&self, cx: &mut Context<'_>, input: A::Input) -> Result<(), Failure>
    where
        A::Input: Send,
    {
        let mut accumulator = self.get(cx).await?;
        A::add(&mut accumulator, input);
        cx.write(&self.spec, &[], &C::encode(&accumulator)?)
    }

    /// The accumulator; the default one where nothing was added.
    ///
    /// # Errors
    /// Where the stored bytes are no accumulator.
    pub async fn get(&self, cx: &mut Context<'_>) -> Result<A::Accumulator, Failure> {
        match cx.read(&self.spec, &[]).await? {
            Some(bytes) => Ok(C::decode(&bytes)?),
            None => Ok(A::Accumulator::default()),
        }
    }

    /// Removes the accumulator.
    ///
    /// # Errors
    /// Where the cell is not declared.
    pub fn clear(&self, cx: &mut Context<'_>) -> Result<(), Failure> {
        cx.remove(&self.spec, &[])
    }
}
