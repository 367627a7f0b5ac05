//! JSON lines: each line is one JSON value.

use super::fields::Quoting;
use super::format::FileFormat;
use super::rows::{Row, Rows};
use crate::source::error::SourceProblem;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// JSON lines as values of type `T`.
#[derive(Debug)]
pub struct JsonRows<T> {
    types: PhantomData<fn() -> T>,
}

impl<T> Clone for JsonRows<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> Default for JsonRows<T> {
    fn default() -> Self {
        Self { types: PhantomData }
    }
}

impl<T: DeserializeOwned + Send + 'static> FileFormat for JsonRows<T> {
    type Value = T;
    type Parser = ();

    fn problem(&self) -> Option<SourceProblem> {
        None
    }

    fn quoting(&self) -> Option<Quoting> {
        None
    }

    fn begin(&self, _: &mut Rows) -> Result<(), SourceProblem> {
        Ok(())
    }

    fn parse(&self, (): &mut (), row: Row<'_>) -> Result<T, String> {
        serde_json::from_slice(row.bytes).map_err(|error| format!("it is no such JSON value: {error}"))
    }
}
