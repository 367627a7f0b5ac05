//! Reads one file, chunk after chunk, from any cursor on.
//!
//! The file a cursor belongs to may have changed since. Where length, time of change and beginning are the
//! same, a plain file is trusted and sought in. Otherwise, and always with gzip, which has to be decoded
//! from its beginning anyway, everything before the cursor is read again and its checksum compared: where it
//! is the same, going on is right, whatever else happened to the file (it was copied, or put back whole after
//! it had broken off); where it is not, the split fails, since going on would lose or repeat rows.

use super::cut::RowKind;
use super::decoded::{Fingerprint, shown};
use super::extract::Extract;
use super::format::FileFormat;
use super::rows::{Place, Row, Rows};
use crate::failure::Failure;
use crate::source::disorder::BoundedDisorder;
use crate::source::split::{Chunk, ChunkRequest, Next, Rejected, SourceRecord, SplitReader};
use bytes::Bytes;
use pelton_domain::EventTime;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

/// How much is read again at a time to find a cursor's place: a tenth of a second's decoding or so.
const SKIP_BYTES: usize = 32 * 1024 * 1024;

/// A place in a file, and what is known of the file before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCursor {
    place: Place,
    /// How many rows there were before it, rejected ones included.
    rows: u64,
    /// The greatest event time of those rows.
    latest_us: i64,
    file: Fingerprint,
}

/// A row that went by.
struct Passed<V> {
    /// Its size in the file.
    bytes: usize,
    taken: Taken<V>,
}

/// What became of a row.
enum Taken<V> {
    Record(SourceRecord<V>),
    Rejected(Rejected),
    Nothing,
}

/// Reads the rows of one file.
pub struct FileReader<F: FileFormat> {
    format: F,
    extract: Extract<F::Value>,
    parser: F::Parser,
    rows: Rows,
    row_count: u64,
    estimate: BoundedDisorder,
    /// A cursor whose place is not reached yet.
    target: Option<FileCursor>,
}

impl<F: FileFormat> FileReader<F> {
    /// Opens `path` at `from`, or behind its header.
    pub(crate) fn open(
        path: &Path,
        format: F,
        extract: Extract<F::Value>,
        row_bytes_max: usize,
        disorder: Duration,
        from: Option<&FileCursor>,
    ) -> Result<Self, Failure> {
        let mut rows = Rows::open(path, format.quoting(), row_bytes_max).map_err(Failure::stop)?;
        let parser = format.begin(&mut rows).map_err(Failure::stop)?;
        let estimate = BoundedDisorder::new(disorder);
        let mut reader = Self { format, extract, parser, rows, row_count: 0, estimate, target: None };
        let Some(cursor) = from else { return Ok(reader) };
        reader.row_count = cursor.rows;
        reader.estimate.see(EventTime::from_micros(cursor.latest_us));
        let unchanged = cursor.file == reader.rows.fingerprint();
        if unchanged && reader.rows.seek(&cursor.place).map_err(|fault| reader.fault(fault))? {
            return Ok(reader);
        }
        if !unchanged {
            let file = shown(path);
            tracing::warn!(file, "the file changed since it was last read: what had been read is compared");
        }
        // From its beginning, header included.
        reader.rows = Rows::open(path, reader.format.quoting(), row_bytes_max).map_err(Failure::stop)?;
        reader.target = Some(cursor.clone());
        Ok(reader)
    }

    fn read(&mut self, request: ChunkRequest) -> Result<Chunk<F::Value, FileCursor>, Failure> {
        let (mut records, mut rejected, mut next, mut bytes) = (Vec::new(), Vec::new(), Next::More, 0);
        if let Some(target) = self.skip_to_target()? {
            return Ok(Chunk {
                records,
                rejected,
                cursor: target,
                watermark: self.estimate.watermark(),
                next,
            });
        }
        while bytes < request.bytes_max && records.len() + rejected.len() < request.rows_max {
            match self.next_row() {
                Ok(Some(passed)) => {
                    bytes += passed.bytes;
                    match passed.taken {
                        Taken::Record(record) => records.push(record),
                        Taken::Rejected(rejection) => rejected.push(rejection),
                        Taken::Nothing => {}
                    }
                }
                Ok(None) => {
                    next = Next::End;
                    break;
                }
                Err(fault) if bytes == 0 => return Err(self.fault(fault)),
                // What was read before the fault goes first; the next call meets the fault again.
                Err(_) => break,
            }
        }
        Ok(Chunk { records, rejected, cursor: self.cursor(), watermark: self.estimate.watermark(), next })
    }

    /// Goes on towards the place of a cursor; gives the cursor back while it is not reached.
    fn skip_to_target(&mut self) -> Result<Option<FileCursor>, Failure> {
        let Some(target) = &self.target else { return Ok(None) };
        let reached = self.rows.skip(&target.place, SKIP_BYTES);
        if reached.map_err(|fault| changed(self.rows.path(), fault))? {
            self.target = None;
        }
        Ok(self.target.clone())
    }

    fn next_row(&mut self) -> Result<Option<Passed<F::Value>>, String> {
        let Some((row, bytes)) = self.rows.next()? else { return Ok(None) };
        if row.kind == RowKind::Nothing {
            return Ok(Some(Passed { bytes, taken: Taken::Nothing }));
        }
        self.row_count += 1;
        match record(&self.format, &mut self.parser, &self.extract, row) {
            Ok(record) => {
                self.estimate.see(record.event_time);
                Ok(Some(Passed { bytes, taken: Taken::Record(record) }))
            }
            Err(why) => {
                let (line, kept) = (row.line, Bytes::copy_from_slice(row.bytes));
                Ok(Some(Passed { bytes, taken: Taken::Rejected(self.rejection(line, kept, &why)) }))
            }
        }
    }

    fn cursor(&mut self) -> FileCursor {
        FileCursor {
            place: self.rows.place(),
            rows: self.row_count,
            latest_us: self.estimate.latest().as_micros(),
            file: self.rows.fingerprint(),
        }
    }

    fn rejection(&self, line: u64, bytes: Bytes, why: &str) -> Rejected {
        let reason = format!("{}, line {line}: {why}", shown(self.rows.path()));
        Rejected { bytes, reason, event_time: self.estimate.latest() }
    }

    /// Reading cannot go on at this place. Never permanent: the watermark stays, and nothing is lost.
    fn fault(&mut self, fault: impl Display) -> Failure {
        let Place { offset, line, .. } = self.rows.place();
        let file = shown(self.rows.path());
        Failure::stop(format!(
            "{file}, line {line}, byte {offset}: {fault}. Everything before that was read; once the whole file is \
             in its place, reading goes on there"
        ))
    }
}

fn changed(path: &Path, fault: impl Display) -> Failure {
    Failure::stop(format!(
        "{}: changed while it was being read: {fault}. Going on would lose or repeat rows; put the file back as it \
         was, or read it in a new pipeline",
        shown(path)
    ))
}

fn record<F: FileFormat>(
    format: &F,
    parser: &mut F::Parser,
    extract: &Extract<F::Value>,
    row: Row<'_>,
) -> Result<SourceRecord<F::Value>, String> {
    match row.kind {
        RowKind::TooLong => {
            Err(format!("it is over the row limit; its first {} bytes are kept", row.bytes.len()))
        }
        RowKind::Unclosed => {
            Err("a quote in it is not closed within the row limit; the next line is read as a row".into())
        }
        RowKind::Plain | RowKind::Quoted | RowKind::Nothing => {
            extract.record(format.parse(parser, row)?, row.line)
        }
    }
}

impl<F: FileFormat> SplitReader for FileReader<F> {
    type Value = F::Value;
    type Cursor = FileCursor;

    async fn next_chunk(&mut self, request: ChunkRequest) -> Result<Chunk<F::Value, FileCursor>, Failure> {
        self.read(request)
    }
}

#[cfg(test)]
mod tests;
