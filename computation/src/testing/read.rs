//! State, timers and failures, as the next call for their key would see them.
//!
//! They are read through the context that user code gets, so expiry and migrations have taken place. While
//! commits are held, what is not yet committed is seen too, as the next call would see it.

use super::blocking::Blocking;
use super::error::HarnessError;
use super::harness::Harness;
use super::view::{KeyFailure, SetTimer};
use crate::codec::Codec;
use crate::context::Context;
use crate::failure::Failure;
use crate::state::{Bag, Combiner, Combining, List, Map, Set, StateCell, Value};
use pelton_domain::{EventTime, Key};

impl Harness {
    /// The value of `key`; `None` where none was set, or it was cleared or has expired.
    ///
    /// # Errors
    /// [`HarnessError`]: the computation keeps no such cell, or what it holds is no `T`.
    pub fn value<T: Send, C: Codec<T>>(
        &mut self,
        cell: &Value<T, C>,
        key: impl Into<Key>,
    ) -> Result<Option<T>, HarnessError> {
        let (runtime, mut cx) = self.reader(cell, key.into())?;
        ended(runtime.wait(cell.get(&mut cx)))
    }

    /// The accumulator of `key`; the default one where nothing was added.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub fn combining<A: Combiner, C: Codec<A::Accumulator>>(
        &mut self,
        cell: &Combining<A, C>,
        key: impl Into<Key>,
    ) -> Result<A::Accumulator, HarnessError> {
        let (runtime, mut cx) = self.reader(cell, key.into())?;
        ended(runtime.wait(cell.get(&mut cx)))
    }

    /// The values in the bag of `key`, in no order.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub fn bag<T: Send, C: Codec<T>>(
        &mut self,
        cell: &Bag<T, C>,
        key: impl Into<Key>,
    ) -> Result<Vec<T>, HarnessError> {
        let (runtime, mut cx) = self.reader(cell, key.into())?;
        ended(runtime.wait(cell.all(&mut cx)))
    }

    /// The values in the list of `key`, as they were pushed.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub fn list<T: Send, C: Codec<T>>(
        &mut self,
        cell: &List<T, C>,
        key: impl Into<Key>,
    ) -> Result<Vec<T>, HarnessError> {
        let (runtime, mut cx) = self.reader(cell, key.into())?;
        ended(runtime.wait(cell.all(&mut cx)))
    }

    /// The entries in the map of `key`, by encoded sub-key.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub fn map<K: Send + Sync, V: Send, C: Codec<K> + Codec<V>>(
        &mut self,
        cell: &Map<K, V, C>,
        key: impl Into<Key>,
    ) -> Result<Vec<(K, V)>, HarnessError> {
        let (runtime, mut cx) = self.reader(cell, key.into())?;
        ended(runtime.wait(cell.all(&mut cx)))
    }

    /// The sub-keys in the set of `key`, by their encoding.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub fn set<K: Send + Sync, C: Codec<K>>(
        &mut self,
        cell: &Set<K, C>,
        key: impl Into<Key>,
    ) -> Result<Vec<K>, HarnessError> {
        let (runtime, mut cx) = self.reader(cell, key.into())?;
        ended(runtime.wait(cell.all(&mut cx)))
    }

    /// The timers of `key` that are set, those of event time first, each by time.
    ///
    /// # Errors
    /// [`HarnessError::Stopped`].
    pub fn timers(&mut self, key: impl Into<Key>) -> Result<Vec<SetTimer>, HarnessError> {
        let key = key.into();
        let timers = &self.world.core()?.scope.timers;
        let of_key = timers.of_key(&key).map(|(address, entry)| SetTimer::of(address, entry));
        let mut timers: Vec<SetTimer> = of_key.collect();
        timers.sort_by(|a, b| (a.at, &a.tag).cmp(&(b.at, &b.tag)));
        Ok(timers)
    }

    /// How many entries of state `key` has in the store, in all its cells and windows: so a test can see that
    /// nothing is left behind.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn entries(&mut self, key: impl Into<Key>) -> Result<usize, HarnessError> {
        let scope = &mut self.world.core()?.scope;
        let range = scope.keys.state_of_key(&key.into());
        ended(self.runtime.wait(scope.scan_all(range))).map(|entries| entries.len())
    }

    /// Why `key` waits to be tried again; `None` where all is well with it.
    ///
    /// # Errors
    /// [`HarnessError::Stopped`].
    pub fn failure(&mut self, key: impl Into<Key>) -> Result<Option<KeyFailure>, HarnessError> {
        let (failing, key) = (&self.world.core()?.failing, key.into());
        let (attempts, parked) = (failing.attempts(&key), failing.has_parked(&key));
        let reason = failing.error(&key).to_owned();
        Ok((attempts > 0 || parked).then_some(KeyFailure { attempts, reason, parked }))
    }

    /// The input low watermark that has reached the computation: less than what was last given to
    /// [`Self::advance_watermark`] while a record is not acknowledged.
    ///
    /// # Errors
    /// [`HarnessError::Stopped`].
    pub fn input_watermark(&mut self) -> Result<EventTime, HarnessError> {
        Ok(self.world.core()?.scope.input_watermark)
    }

    /// What a read of `cell` acts on, and what waits for it.
    fn reader(&mut self, cell: &impl StateCell, key: Key) -> Result<(&Blocking, Context<'_>), HarnessError> {
        self.check_cell(cell)?;
        Ok((&self.runtime, self.world.context(key)?))
    }

    fn check_cell(&self, cell: &impl StateCell) -> Result<(), HarnessError> {
        let given = cell.spec();
        let cells = self.world.hand.spec().map_or(&[][..], |spec| &spec.cells);
        let (computation, cell) = (self.name.clone(), given.name.to_owned());
        match cells.iter().find(|declared| declared.name == given.name) {
            None => {
                let cells = cells.iter().map(|cell| cell.name.to_owned()).collect();
                Err(HarnessError::NoSuchCell { computation, cell, cells })
            }
            Some(declared) if declared.kind != given.kind => {
                let (declared, given) = (declared.kind.as_str(), given.kind.as_str());
                Err(HarnessError::OtherKind { computation, cell, declared, given })
            }
            Some(_) => Ok(()),
        }
    }
}

fn ended<T>(read: Option<Result<T, Failure>>) -> Result<T, HarnessError> {
    match read {
        Some(read) => read.map_err(|failure| HarnessError::State(failure.to_string())),
        None => Err(HarnessError::Stopped { reason: "its runtime is gone".to_owned() }),
    }
}
