//! Records on their way, and what can be done to each of them.

use super::Flow;
use super::keyed::Keyed;
use crate::codec::{Codec, Postcard};
use crate::outlet::Outlet;
use crate::pipeline::IntoSteps;
use crate::stream::Stream;
use pelton_domain::Key;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

/// Records of one kind. What is done to them is fused into what produces them. Doing several things to the same
/// records branches: each gets all of them.
///
/// Closures must give the same for the same (I12), and must not panic: a record that cannot be used is to be
/// filtered out, or told by a value of its own.
pub struct Records<'f, T> {
    pub(super) flow: &'f Flow,
    pub(super) attach: Rc<dyn Fn(Outlet<T>)>,
}

/// The outlets of one producer.
pub(super) struct Node<T> {
    outlets: Rc<RefCell<Vec<Outlet<T>>>>,
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        Self { outlets: self.outlets.clone() }
    }
}

impl<T: Clone + 'static> Node<T> {
    pub(super) fn new() -> Self {
        Self { outlets: Rc::default() }
    }

    /// Where its records go; `None`: nowhere.
    pub(super) fn outlet(&self) -> Option<Outlet<T>> {
        let outlets = self.outlets.take();
        (!outlets.is_empty()).then(|| Outlet::all(outlets))
    }
}

impl<T> fmt::Debug for Records<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Records<{}>", std::any::type_name::<T>())
    }
}

impl<T> Clone for Records<'_, T> {
    fn clone(&self) -> Self {
        Self { flow: self.flow, attach: self.attach.clone() }
    }
}

impl<'f, T: 'static> Records<'f, T> {
    pub(super) fn of(flow: &'f Flow, node: Node<T>) -> Self {
        Self::attached(flow, move |outlet| node.outlets.borrow_mut().push(outlet))
    }

    /// Records of which `attach` says how an outlet gets them.
    pub(super) fn attached(flow: &'f Flow, attach: impl Fn(Outlet<T>) + 'static) -> Self {
        Self { flow, attach: Rc::new(attach) }
    }

    /// What is behind a step, known to graphs as `name`, that gives out a value, under a key, for each call.
    pub(super) fn then<U: 'static>(
        &self,
        name: &'static str,
        step: impl Fn(T, Key, &mut dyn FnMut(U, Key)) + Send + Sync + 'static,
    ) -> Records<'f, U> {
        let (attach, step) = (self.attach.clone(), Arc::new(step));
        Records::attached(self.flow, move |outlet: Outlet<U>| {
            let step = step.clone();
            attach(outlet.behind(name, move |value, key, _, give| step(value, key, give)));
        })
    }

    /// Each record becomes another one.
    pub fn map<U: 'static>(&self, step: impl Fn(T) -> U + Send + Sync + 'static) -> Records<'f, U> {
        self.then("map", move |value, key, give| give(step(value), key))
    }

    /// As [`Self::map`], with the record's key.
    pub fn map_with_key<U: 'static>(
        &self,
        step: impl Fn(&Key, T) -> U + Send + Sync + 'static,
    ) -> Records<'f, U> {
        self.then("map_with_key", move |value, key, give| give(step(&key, value), key))
    }

    /// Only the records that it keeps go on.
    pub fn filter(&self, keep: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.then("filter", move |value, key, give| {
            if keep(&value) {
                give(value, key);
            }
        })
    }

    /// Each record becomes any number of them.
    pub fn flat_map<U: 'static, I: IntoIterator<Item = U>>(
        &self,
        step: impl Fn(T) -> I + Send + Sync + 'static,
    ) -> Records<'f, U> {
        self.then("flat_map", move |value, key, give| {
            for value in step(value) {
                give(value, key.clone());
            }
        })
    }

    /// Groups them by a key: what is done next is done to the records of one key.
    pub fn key_by(&self, key: impl Fn(&T) -> Key + Send + Sync + 'static) -> Keyed<'f, T> {
        self.key_as(key)
    }

    /// As [`Self::key_by`], where the type of the key is known: streams keyed by values of different types cannot
    /// be joined, which the compiler says. `.key_as(|flight| flight.origin.clone())`.
    pub fn key_as<K: Into<Key>>(&self, key: impl Fn(&T) -> K + Send + Sync + 'static) -> Keyed<'f, T, K> {
        Keyed::of(self.then("key_by", move |value, _, give| {
            let key = key(&value).into();
            give(value, key);
        }))
    }

    /// Sends them on a stream, each under its key, for a step said by hand.
    pub fn send<C: Codec<T>>(&self, stream: &Stream<T, C>) -> &Self {
        (self.attach)(Outlet::to(stream));
        self
    }

    /// Writes them to a sink, which is made for the stream `name` that has them:
    /// `.write("hourly", |hourly| JsonLinesSink::new("hourly.jsonl", hourly))`.
    pub fn write<S: IntoSteps>(&self, name: &str, sink: impl FnOnce(&Stream<T>) -> S) -> &Self
    where
        T: Serialize + DeserializeOwned,
    {
        let stream = Stream::<T, Postcard>::named(name);
        self.flow.with(sink(&stream));
        self.send(&stream)
    }
}
