//! What a file's lines are in a run beside the pipeline: kept in state, counted, under the key of the record that each
//! is for. Nothing is written to any file, and a line that is missing from the live file is told by its key.

use super::format::line_of;
use crate::codec::Raw;
use crate::computation::{Computation, Declaration, Input};
use crate::context::Context;
use crate::failure::Failure;
use crate::state::Map;
use bytes::{BufMut, Bytes, BytesMut};
use pelton_domain::Key;
use serde::Serialize;
use std::marker::PhantomData;
use xxhash_rust::xxh3::xxh3_128;

/// What is kept of a line, to be shown.
pub(crate) const SHOWN_BYTES_MAX: usize = 32 << 10;

/// Lines by their hash: how often, and their beginning.
static LINES: Map<Bytes, Bytes, Raw> = Map::new(CELL);
/// The cell that has them.
pub(crate) const CELL: &str = "lines";

/// One line, as often as it was made for one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptLine {
    pub(crate) times: u64,
    pub(crate) shown: Bytes,
}

impl KeptLine {
    pub(crate) fn decode(bytes: &Bytes) -> Option<Self> {
        let (times, shown) = bytes.split_first_chunk::<8>()?;
        Some(Self { times: u64::from_be_bytes(*times), shown: bytes.slice_ref(shown) })
    }

    fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(8 + self.shown.len());
        bytes.put_u64(self.times);
        bytes.put_slice(&self.shown);
        bytes.freeze()
    }
}

/// In the place of what formats and what writes.
pub(super) struct Keep<T> {
    target: Key,
    types: PhantomData<fn(T)>,
}

impl<T> Keep<T> {
    pub(super) fn new(target: Key) -> Self {
        Self { target, types: PhantomData }
    }
}

impl<T> Clone for Keep<T> {
    fn clone(&self) -> Self {
        Self::new(self.target.clone())
    }
}

impl<T: Serialize + Send + 'static> Computation for Keep<T> {
    type Input = T;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&LINES);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<T>) -> Result<(), Failure> {
        let line = line_of(&input.value)?;
        // A line that cannot be sent to its file is a dead letter, here as there.
        cx.check_production(&self.target, &line)?;
        let place = Bytes::copy_from_slice(&xxh3_128(&line).to_be_bytes());
        let before = LINES.get(cx, &place).await?.as_ref().and_then(KeptLine::decode);
        let times = before.map_or(0, |kept| kept.times) + 1;
        let shown = line.slice(..line.len().min(SHOWN_BYTES_MAX));
        LINES.insert(cx, &place, &KeptLine { times, shown }.encode())
    }
}
