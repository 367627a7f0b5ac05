//! Where a step's productions go: to one stream, or through steps fused into it to one or several.
//!
//! Pure routing: from a value to encoded records. The producing computation sends them, in the commit of its call.

use crate::codec::{Codec, CodecError, Raw};
use crate::computation::Declaration;
use crate::context::Context;
use crate::failure::Failure;
use crate::stream::{Stream, StreamType};
use bytes::Bytes;
use pelton_domain::{EventTime, Key};
use std::fmt;
use std::sync::Arc;

/// A record on its way to a stream.
pub(crate) struct Routed {
    /// The stream, for values that are encoded already.
    pub(crate) stream: Arc<Stream<Bytes, Raw>>,
    pub(crate) key: Key,
    pub(crate) event_time: EventTime,
    pub(crate) value: Bytes,
}

/// What takes the place of one value: any number of records.
type Route<T> = Arc<dyn Fn(T, Key, EventTime, &mut Vec<Routed>) -> Result<(), CodecError> + Send + Sync>;

/// Where productions of one kind go.
pub(crate) struct Outlet<T> {
    outputs: Vec<StreamType>,
    /// The steps fused into the way to each output, first to last.
    fused: Vec<(Vec<&'static str>, String)>,
    route: Route<T>,
}

impl<T> Clone for Outlet<T> {
    fn clone(&self) -> Self {
        Self { outputs: self.outputs.clone(), fused: self.fused.clone(), route: self.route.clone() }
    }
}

impl<T> fmt::Debug for Outlet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.outputs.iter().map(|output| &output.name)).finish()
    }
}

impl<T: 'static> Outlet<T> {
    /// To this stream.
    pub(crate) fn to<C: Codec<T>>(stream: &Stream<T, C>) -> Self {
        let raw = Arc::new(Stream::named(stream.name()));
        let route = move |value: T, key, event_time, routed: &mut Vec<Routed>| {
            routed.push(Routed { stream: raw.clone(), key, event_time, value: C::encode(&value)? });
            Ok(())
        };
        let fused = vec![(Vec::new(), stream.name().to_owned())];
        Self { outputs: vec![stream.into()], fused, route: Arc::new(route) }
    }

    /// To all of these.
    pub(crate) fn all(mut outlets: Vec<Self>) -> Self
    where
        T: Clone,
    {
        if outlets.len() == 1
            && let Some(only) = outlets.pop()
        {
            return only;
        }
        let mut outputs: Vec<StreamType> = Vec::new();
        for output in outlets.iter().flat_map(|outlet| &outlet.outputs) {
            if !outputs.contains(output) {
                outputs.push(output.clone());
            }
        }
        let fused = outlets.iter().flat_map(|outlet| outlet.fused.clone()).collect();
        let routes: Vec<Route<T>> = outlets.into_iter().map(|outlet| outlet.route).collect();
        let route = move |value: T, key: Key, event_time, routed: &mut Vec<Routed>| {
            routes.iter().try_for_each(|route| route(value.clone(), key.clone(), event_time, routed))
        };
        Self { outputs, fused, route: Arc::new(route) }
    }

    /// With `step`, known as `name`, before it: what it gives out goes here.
    pub(crate) fn behind<U: 'static>(
        self,
        name: &'static str,
        step: impl Fn(U, Key, EventTime, &mut dyn FnMut(T, Key)) + Send + Sync + 'static,
    ) -> Outlet<U> {
        let Self { outputs, mut fused, route } = self;
        fused.iter_mut().for_each(|(steps, _)| steps.insert(0, name));
        let chained = move |value: U, key: Key, event_time: EventTime, routed: &mut Vec<Routed>| {
            let mut result = Ok(());
            step(value, key, event_time, &mut |value, key| {
                if result.is_ok() {
                    result = route(value, key, event_time, routed);
                }
            });
            result
        };
        Outlet { outputs, fused, route: Arc::new(chained) }
    }

    /// The step that has it produces these streams.
    pub(crate) fn declare(&self, declaration: &mut Declaration) {
        for output in &self.outputs {
            // Two ways may lead to one stream.
            if !declaration.outputs.contains(output) {
                declaration.outputs.push(output.clone());
            }
        }
        let fused = self.fused.iter().filter(|(steps, _)| !steps.is_empty());
        declaration.fused.extend(fused.map(|(steps, to)| format!("{} -> {to}", steps.join(", "))));
    }

    /// What a value becomes.
    pub(crate) fn route(&self, value: T, key: Key, event_time: EventTime) -> Result<Vec<Routed>, CodecError> {
        let mut routed = Vec::with_capacity(1);
        (self.route)(value, key, event_time, &mut routed)?;
        Ok(routed)
    }

    /// Produces what a value becomes.
    pub(crate) fn emit(
        &self,
        cx: &mut Context<'_>,
        key: Key,
        event_time: EventTime,
        value: T,
    ) -> Result<(), Failure> {
        for Routed { stream, key, event_time, value } in self.route(value, key, event_time)? {
            cx.emit(&stream, key, event_time, &value)?;
        }
        Ok(())
    }
}
