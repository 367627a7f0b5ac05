//! Streams of a hand-written computation whose records go on through steps fused behind it.
//!
//! The computation emits to its own streams and knows nothing of it. Pure routing, as in an outlet; the context
//! produces what comes out, in the commit of the call (I2).

use crate::computation::Declaration;
use crate::failure::Failure;
use crate::outlet::{Outlet, Routed};
use pelton_domain::{EventTime, Key};
use std::any::Any;
use std::fmt;

/// Where the streams of one computation go instead.
#[derive(Default)]
pub(crate) struct Redirects {
    ways: Vec<(String, Box<dyn Redirected>)>,
}

/// One way behind a stream.
pub(crate) trait Redirected: Send + Sync {
    fn declare(&self, declaration: &mut Declaration);
    fn as_any(&self) -> &dyn Any;
}

/// A way for values of one type.
pub(crate) struct Redirect<T> {
    outlet: Outlet<T>,
    copy: fn(&T) -> T,
}

impl<T: Clone + 'static> Redirect<T> {
    pub(crate) fn new(outlet: Outlet<T>) -> Self {
        Self { outlet, copy: T::clone }
    }
}

impl<T: 'static> Redirected for Redirect<T> {
    fn declare(&self, declaration: &mut Declaration) {
        self.outlet.declare(declaration);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl fmt::Debug for Redirects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.ways.iter().map(|(stream, _)| stream)).finish()
    }
}

impl Redirects {
    /// What is produced to `stream` goes this way, too.
    pub(crate) fn add(&mut self, stream: String, way: Box<dyn Redirected>) {
        self.ways.push((stream, way));
    }

    pub(crate) fn has(&self, stream: &str) -> bool {
        self.ways.iter().any(|(name, _)| name == stream)
    }

    /// The streams behind, in place of the redirected ones.
    pub(crate) fn declare(&self, declaration: &mut Declaration) {
        declaration.outputs.retain(|output| !self.has(&output.name));
        self.ways.iter().for_each(|(_, way)| way.declare(declaration));
    }

    /// What a value that is produced to `stream` becomes.
    pub(crate) fn route<T: 'static>(
        &self,
        stream: &str,
        key: &Key,
        event_time: EventTime,
        value: &T,
    ) -> Result<Vec<Routed>, Failure> {
        let mut routed = Vec::new();
        for (_, way) in self.ways.iter().filter(|(name, _)| name == stream) {
            let way = way.as_any().downcast_ref::<Redirect<T>>().ok_or_else(|| {
                Failure::permanent(format!(
                    "a {} is produced to stream {stream:?}, which has values of another type: use one `Stream` for both",
                    std::any::type_name::<T>(),
                ))
            })?;
            routed.extend(way.outlet.route((way.copy)(value), key.clone(), event_time)?);
        }
        Ok(routed)
    }
}
