//! CSV: a header row, and rows as serde types.
//!
//! Only the columns that the row type needs are taken out of a row; the `csv` crate turns them into the type.

use super::columns::columns_of;
use super::cut::RowKind;
use super::decoded::shown;
use super::fields::{Quoting, plain_fields, quoted_fields};
use super::format::FileFormat;
use super::rows::{Row, Rows};
use crate::source::error::SourceProblem;
use csv::ByteRecord;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// CSV rows as values of type `T`.
#[derive(Debug)]
pub struct CsvRows<T> {
    pub(crate) quoting: Quoting,
    pub(crate) null: Option<String>,
    pub(crate) optional: Vec<String>,
    types: PhantomData<fn() -> T>,
}

impl<T> Clone for CsvRows<T> {
    fn clone(&self) -> Self {
        Self {
            quoting: self.quoting,
            null: self.null.clone(),
            optional: self.optional.clone(),
            types: PhantomData,
        }
    }
}

impl<T> Default for CsvRows<T> {
    fn default() -> Self {
        let quoting = Quoting { delimiter: b',', quote: b'"' };
        Self { quoting, null: None, optional: Vec::new(), types: PhantomData }
    }
}

/// What the header of one file says, and room for one row.
pub struct CsvParser {
    /// For each column, whether it is needed.
    needed: Vec<bool>,
    /// The names of the needed ones.
    names: ByteRecord,
    row: ByteRecord,
    field: Vec<u8>,
}

impl<T: DeserializeOwned + Send + 'static> FileFormat for CsvRows<T> {
    type Value = T;
    type Parser = CsvParser;

    fn problem(&self) -> Option<SourceProblem> {
        let Quoting { delimiter, quote } = self.quoting;
        let unfit = delimiter == quote || [delimiter, quote].iter().any(|byte| matches!(byte, b'\r' | b'\n'));
        unfit.then_some(SourceProblem::Option("delimiter() is a quote or a line break"))
    }

    fn quoting(&self) -> Option<Quoting> {
        Some(self.quoting)
    }

    fn begin(&self, rows: &mut Rows) -> Result<CsvParser, SourceProblem> {
        let path = shown(rows.path());
        let header =
            self.header(rows).map_err(|reason| SourceProblem::NoHeader { path: path.clone(), reason })?;
        let fields = columns_of::<T>();
        let is_needed = |name: &str| fields.is_none_or(|fields| fields.contains(&name));
        let missing = |field: &&str| !header.iter().chain(&self.optional).any(|name| name == field);
        let missing: Vec<String> =
            fields.into_iter().flatten().copied().filter(missing).map(str::to_owned).collect();
        if !missing.is_empty() {
            return Err(SourceProblem::MissingColumns { path, missing, found: header });
        }
        let needed: Vec<&String> = header.iter().filter(|name| is_needed(name)).collect();
        for (index, name) in needed.iter().enumerate() {
            if needed.iter().skip(index + 1).any(|other| other == name) {
                return Err(SourceProblem::DuplicateColumn { path, column: (*name).clone() });
            }
        }
        Ok(CsvParser {
            names: needed.iter().collect::<Vec<_>>().into(),
            needed: header.iter().map(|name| is_needed(name)).collect(),
            row: ByteRecord::new(),
            field: Vec::new(),
        })
    }

    fn parse(&self, parser: &mut CsvParser, row: Row<'_>) -> Result<T, String> {
        let CsvParser { needed, names, row: taken, field } = parser;
        taken.clear();
        let null = self.null.as_deref().map(str::as_bytes);
        let mut count = 0;
        let mut columns = needed.iter();
        let take = |field: &[u8]| {
            count += 1;
            if columns.next() == Some(&true) {
                taken.push_field(if Some(field) == null { b"" } else { field });
            }
        };
        match row.kind {
            RowKind::Quoted => quoted_fields(self.quoting, row.bytes, field, take),
            _ => plain_fields(self.quoting.delimiter, row.bytes, take),
        }
        if count != needed.len() {
            return Err(format!("it has {count} fields, and the header {}", needed.len()));
        }
        taken.deserialize(Some(names)).map_err(|error| deserialize_fault(&error, names, taken))
    }
}

impl<T> CsvRows<T> {
    fn header(&self, rows: &mut Rows) -> Result<Vec<String>, String> {
        loop {
            let Some((row, _)) = rows.next()? else { return Err("there are only blank lines".into()) };
            match row.kind {
                RowKind::Nothing => {}
                RowKind::Plain | RowKind::Quoted => return names(self.quoting, row.bytes),
                RowKind::TooLong => return Err("it is over the row limit".into()),
                RowKind::Unclosed => return Err("a quote in it is not closed".into()),
            }
        }
    }
}

fn names(quoting: Quoting, row: &[u8]) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    quoted_fields(quoting, row, &mut Vec::new(), |field| names.push(String::from_utf8(field.to_vec())));
    names.into_iter().collect::<Result<_, _>>().map_err(|_| "it is not UTF-8".into())
}

/// What the `csv` crate says, with the name of the column and what stands in it.
fn deserialize_fault(error: &csv::Error, names: &ByteRecord, row: &ByteRecord) -> String {
    let csv::ErrorKind::Deserialize { err, .. } = error.kind() else { return error.to_string() };
    let column = err.field().and_then(|field| usize::try_from(field).ok());
    let place = column.and_then(|column| Some((names.get(column)?, row.get(column)?)));
    match place {
        None => err.kind().to_string(),
        Some((name, field)) => {
            let (name, field) = (String::from_utf8_lossy(name), String::from_utf8_lossy(field));
            let beginning: String = field.chars().take(64).collect();
            format!("column {name:?} is {beginning:?}: {}", err.kind())
        }
    }
}
