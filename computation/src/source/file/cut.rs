//! Where the next row ends: a decision on bytes alone.
//!
//! It says "more has to be read first" rather than guess, so what is cut does not depend on how bytes arrive.

use super::fields::{Quoting, RowEnd, row_end};
use memchr::{memchr, memchr_iter};

/// How much of a row over the limit is kept for its dead letter.
pub(crate) const LONG_ROW_KEPT_BYTES: usize = 4096;

/// What can be done with what was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowKind {
    /// A row without quotes.
    Plain,
    /// A row with quotes.
    Quoted,
    /// The beginning of a row over the limit.
    TooLong,
    /// The first line of a row whose quote is not closed.
    Unclosed,
    /// A blank line, or some more of a row over the limit: no row.
    Nothing,
}

/// How a file's rows are cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Knife {
    /// Whether and how rows can hold line breaks.
    pub(crate) quoting: Option<Quoting>,
    /// The longest row.
    pub(crate) row_bytes_max: usize,
}

/// A piece cut off the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) kind: RowKind,
    /// Its size, with the line's end.
    pub(crate) bytes: usize,
    /// How much of it, from its beginning, is the row.
    pub(crate) row_bytes: usize,
    /// Line breaks in it.
    pub(crate) lines: usize,
    /// What follows is the rest of a row over the limit.
    pub(crate) in_long_row: bool,
}

impl Cut {
    /// A row of one line, or a line of no row.
    fn line(kind: RowKind, row_bytes: usize, line_end: usize) -> Self {
        Self { kind, bytes: row_bytes + line_end, row_bytes, lines: line_end, in_long_row: false }
    }

    fn nothing(bytes: usize, lines: usize, in_long_row: bool) -> Self {
        Self { kind: RowKind::Nothing, bytes, row_bytes: 0, lines, in_long_row }
    }
}

impl Knife {
    /// The next piece of `bytes`, which are not empty and begin a row, or go on `in_long_row`. `None` where
    /// more has to be read first: never, where they are `all` there is.
    pub(crate) fn cut(&self, bytes: &[u8], in_long_row: bool, all: bool) -> Option<Cut> {
        let newline = memchr(b'\n', bytes);
        if in_long_row {
            return Some(match newline {
                Some(end) => Cut::nothing(end + 1, 1, false),
                None => Cut::nothing(bytes.len(), 0, true),
            });
        }
        let first_line = newline.unwrap_or(bytes.len());
        if first_line > self.row_bytes_max {
            // Up to the limit and no further, however much has been read.
            let (bytes, row_bytes) = (self.row_bytes_max, self.row_bytes_max.min(LONG_ROW_KEPT_BYTES));
            return Some(Cut { kind: RowKind::TooLong, bytes, row_bytes, lines: 0, in_long_row: true });
        }
        if newline.is_none() && !all {
            return None;
        }
        let (line, _) = bytes.split_at_checked(first_line)?;
        let line_end = usize::from(newline.is_some());
        match self.quoting.filter(|quoting| memchr(quoting.quote, line).is_some()) {
            Some(quoting) => {
                self.quoted(quoting, bytes, Cut::line(RowKind::Unclosed, first_line, line_end), all)
            }
            None if matches!(line, [] | b"\r") => Some(Cut::nothing(first_line + line_end, line_end, false)),
            None => Some(Cut::line(RowKind::Plain, first_line, line_end)),
        }
    }

    /// A row with a quote in its first line: that line is cut where the quote is not closed.
    fn quoted(&self, quoting: Quoting, bytes: &[u8], unclosed: Cut, all: bool) -> Option<Cut> {
        let within = bytes.get(..=self.row_bytes_max).unwrap_or(bytes);
        let (row_bytes, line_end) = match row_end(quoting, within) {
            RowEnd::At(end) => (end, 1),
            _ if bytes.len() > self.row_bytes_max => return Some(unclosed),
            RowEnd::Outside if all => (bytes.len(), 0),
            RowEnd::InQuotes if all => return Some(unclosed),
            RowEnd::Outside | RowEnd::InQuotes => return None,
        };
        let (row, _) = bytes.split_at_checked(row_bytes)?;
        let lines = memchr_iter(b'\n', row).count() + line_end;
        Some(Cut { kind: RowKind::Quoted, bytes: row_bytes + line_end, row_bytes, lines, in_long_row: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn knife(row_bytes_max: usize) -> Knife {
        Knife { quoting: Some(Quoting { delimiter: b',', quote: b'"' }), row_bytes_max }
    }

    /// Every piece that is a row, as it is cut where `step` bytes arrive at a time.
    fn rows(knife: Knife, text: &[u8], step: usize) -> Vec<(usize, Cut)> {
        let (mut out, mut at, mut read, mut in_long_row) = (Vec::new(), 0, 0, false);
        while at < text.len() {
            let cut =
                if read > at { knife.cut(&text[at..read], in_long_row, read == text.len()) } else { None };
            match cut {
                Some(cut) => {
                    out.push((at, cut));
                    at += cut.bytes;
                    in_long_row = cut.in_long_row;
                }
                None => {
                    assert!(read < text.len(), "with all there is, something is cut");
                    read = text.len().min(read + step);
                }
            }
            assert!(read - at <= knife.row_bytes_max + step, "I11");
        }
        out.retain(|(_, cut)| cut.kind != RowKind::Nothing);
        out
    }

    proptest! {
        #[test]
        fn what_is_cut_does_not_depend_on_how_bytes_arrive(
            text in "[ab,\"\n\r]{0,60}", limit in 1usize..20, step in 1usize..30,
        ) {
            let text = text.as_bytes();
            prop_assert_eq!(rows(knife(limit), text, step), rows(knife(limit), text, text.len().max(1)));
        }
    }

    #[test]
    fn a_row_may_have_exactly_its_limit() {
        let plain = |text: &[u8]| knife(4).cut(text, false, true).unwrap().kind;
        assert_eq!((plain(b"1234\n"), plain(b"1234")), (RowKind::Plain, RowKind::Plain));
        assert_eq!((plain(b"12345\n"), plain(b"12345")), (RowKind::TooLong, RowKind::TooLong));
        assert_eq!((plain(b"\"\n\"3\n"), plain(b"\"\n\"3")), (RowKind::Quoted, RowKind::Quoted));
        assert_eq!((plain(b"\"\n\"34\n"), plain(b"\"\n\"34")), (RowKind::Unclosed, RowKind::Unclosed));
    }
}
