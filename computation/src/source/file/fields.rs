//! The grammar of a CSV row: where it ends, and its fields.
//!
//! As RFC 4180 has it, and as the `csv` crate reads what is beyond it: a quote opens a field only at its
//! beginning, within quotes a doubled one is a quote, and what follows the closing quote belongs to the field.

use memchr::memchr;

/// The bytes that give a row structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoting {
    pub(crate) delimiter: u8,
    pub(crate) quote: u8,
}

/// Where a row with quotes ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowEnd {
    /// At this line break.
    At(usize),
    /// Not in these bytes, and they end within quotes.
    InQuotes,
    /// Not in these bytes, and they end outside of quotes.
    Outside,
}

/// Where the row ends that begins with `bytes`.
pub(crate) fn row_end(quoting: Quoting, bytes: &[u8]) -> RowEnd {
    let (mut quoted, mut at_field_start) = (false, true);
    let mut rest = bytes.iter().enumerate().peekable();
    while let Some((index, &byte)) = rest.next() {
        match byte {
            byte if quoted => {
                if byte == quoting.quote && rest.next_if(|(_, next)| **next == quoting.quote).is_none() {
                    quoted = false;
                }
            }
            b'\n' => return RowEnd::At(index),
            byte => {
                quoted = at_field_start && byte == quoting.quote;
                at_field_start = byte == quoting.delimiter;
            }
        }
    }
    if quoted { RowEnd::InQuotes } else { RowEnd::Outside }
}

/// Calls `each` with every field of a row that has no quotes.
pub(crate) fn plain_fields<'a>(delimiter: u8, row: &'a [u8], mut each: impl FnMut(&'a [u8])) {
    let mut rest = row;
    while let Some((field, after)) = memchr(delimiter, rest).and_then(|at| rest.split_at_checked(at)) {
        each(field);
        rest = after.get(1..).unwrap_or_default();
    }
    each(rest);
}

/// Calls `each` with every field of a row that may have quotes. `unquoted` is room for one field.
pub(crate) fn quoted_fields(
    quoting: Quoting,
    row: &[u8],
    unquoted: &mut Vec<u8>,
    mut each: impl FnMut(&[u8]),
) {
    let mut rest = row;
    loop {
        unquoted.clear();
        if let Some(mut inside) = rest.strip_prefix(&[quoting.quote]) {
            // Each turn copies up to the next quote; a doubled one is copied, a single one closes the field.
            loop {
                let Some((text, from_quote)) =
                    memchr(quoting.quote, inside).and_then(|at| inside.split_at_checked(at))
                else {
                    unquoted.extend_from_slice(inside);
                    rest = &[];
                    break;
                };
                unquoted.extend_from_slice(text);
                rest = from_quote.get(1..).unwrap_or_default();
                let Some(after) = rest.strip_prefix(&[quoting.quote]) else { break };
                unquoted.push(quoting.quote);
                inside = after;
            }
        }
        let end = memchr(quoting.delimiter, rest);
        let (text, after) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, &[]));
        unquoted.extend_from_slice(text);
        each(unquoted);
        match end {
            None => return,
            Some(_) => rest = after.get(1..).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMMA: Quoting = Quoting { delimiter: b',', quote: b'"' };

    fn fields(row: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        quoted_fields(COMMA, row, &mut Vec::new(), |field| out.push(field.to_vec()));
        out
    }

    /// What the csv crate makes of the first row of `text`.
    fn reference(text: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
        let record = reader.byte_records().next()?.unwrap();
        Some(record.iter().map(<[u8]>::to_vec).collect())
    }

    proptest! {
        #[test]
        fn any_row_has_the_end_and_the_fields_that_the_csv_crate_finds(text in "[ab,\"\n]{0,12}") {
            let text = text.as_bytes();
            let row = match row_end(COMMA, text) {
                RowEnd::At(end) => &text[..end],
                RowEnd::InQuotes | RowEnd::Outside => text,
            };
            if !row.is_empty() {
                prop_assert_eq!(Some(fields(row)), reference(text));
            }
        }

        #[test]
        fn a_row_without_quotes_has_the_same_fields_either_way(row in "[ab,]{1,12}") {
            let mut plain = Vec::new();
            plain_fields(b',', row.as_bytes(), |field| plain.push(field.to_vec()));
            prop_assert_eq!(plain, fields(row.as_bytes()));
        }
    }

    #[test]
    fn line_breaks_in_quotes_end_no_row() {
        assert_eq!(row_end(COMMA, b"a,\"b\nc\",d\ne"), RowEnd::At(9));
        assert_eq!(row_end(COMMA, b"a,\"b\nc"), RowEnd::InQuotes);
        assert_eq!(row_end(COMMA, b"a,b\"c"), RowEnd::Outside);
        assert_eq!(fields(b"a,\"b\n\"\"c\"\"\",\"\""), [&b"a"[..], b"b\n\"c\"", b""]);
    }
}
