//! The computation that turns records into lines and sends them to the file's key.

use crate::codec::Raw;
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::stream::Stream;
use bytes::Bytes;
use pelton_domain::Key;
use serde::Serialize;
use std::marker::PhantomData;

/// One line for each record: JSON, and a line break.
pub(super) struct Format<T> {
    target: Key,
    lines: Stream<Bytes, Raw>,
    types: PhantomData<fn(T)>,
}

impl<T> Clone for Format<T> {
    fn clone(&self) -> Self {
        Self { target: self.target.clone(), lines: self.lines.clone(), types: PhantomData }
    }
}

impl<T> Format<T> {
    pub(super) fn new(target: Key, lines: Stream<Bytes, Raw>) -> Self {
        Self { target, lines, types: PhantomData }
    }
}

impl<T: Serialize + Send + 'static> Computation for Format<T> {
    type Input = T;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.output(&self.lines);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<T>) -> Result<(), Failure> {
        let line = line_of(&input.value)?;
        cx.emit(&self.lines, self.target.clone(), input.event_time, &line)
    }
}

/// JSON, and a line break.
pub(super) fn line_of(value: &impl Serialize) -> Result<Bytes, Failure> {
    let mut line = serde_json::to_vec(value).map_err(Failure::permanent)?;
    line.push(b'\n');
    Ok(line.into())
}
