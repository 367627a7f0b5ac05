use super::*;
use crate::source::file::cut::LONG_ROW_KEPT_BYTES;
use crate::source::file::testing::{Files, gzip};
use proptest::prelude::*;

const COMMA: Quoting = Quoting { delimiter: b',', quote: b'"' };

/// A row as it was cut, the bytes that went by, and the place behind it.
type Cut = (u64, Vec<u8>, RowKind, Place);

fn open(path: &Path, row_bytes_max: usize) -> Rows {
    Rows::open(path, Some(COMMA), row_bytes_max).unwrap()
}

fn rest(rows: &mut Rows) -> Vec<Cut> {
    let mut out = Vec::new();
    while let Some((row, _)) = rows.next().unwrap() {
        let (line, bytes, kind) = (row.line, row.bytes.to_vec(), row.kind);
        if kind != RowKind::Nothing {
            out.push((line, bytes, kind, rows.place()));
        }
    }
    out
}

fn cut(text: &[u8], row_bytes_max: usize) -> Vec<(u64, String, RowKind)> {
    let files = Files::new();
    let cut = rest(&mut open(&files.put("a.csv", text), row_bytes_max));
    cut.into_iter().map(|(line, bytes, kind, _)| (line, String::from_utf8(bytes).unwrap(), kind)).collect()
}

fn row(line: u64, text: &str, kind: RowKind) -> (u64, String, RowKind) {
    (line, text.to_owned(), kind)
}

#[test]
fn rows_are_numbered_by_their_first_line_and_blank_lines_are_none() {
    let text = b"a,b\r\n\n\"x\n\ny\",1\r\n\r\nlast,\"q\"";
    let expected = [
        row(1, "a,b", RowKind::Plain),
        row(3, "\"x\n\ny\",1", RowKind::Quoted),
        row(7, "last,\"q\"", RowKind::Quoted),
    ];
    assert_eq!(cut(text, 100), expected);
}

#[test]
fn a_byte_order_mark_belongs_to_no_row() {
    assert_eq!(cut(b"\xef\xbb\xbfa\nb", 100), [row(1, "a", RowKind::Plain), row(2, "b", RowKind::Plain)]);
}

#[test]
fn a_row_over_the_limit_costs_one_row_and_not_the_memory() {
    let long = "x".repeat(5000);
    let expected = [
        row(1, "ok", RowKind::Plain),
        row(2, "xxxxxxxxxx", RowKind::TooLong),
        row(3, "exactly 10", RowKind::Plain),
        row(4, "eleven cha", RowKind::TooLong),
        row(5, "ok", RowKind::Plain),
    ];
    assert_eq!(cut(format!("ok\n{long}\nexactly 10\neleven char\nok").as_bytes(), 10), expected);
    let kept = cut(&b"x".repeat(10_000), 9000).remove(0).1;
    assert_eq!(kept.len(), LONG_ROW_KEPT_BYTES);
}

#[test]
fn a_stray_quote_costs_its_line_and_not_the_file() {
    let expected =
        [row(1, "a,\"b", RowKind::Unclosed), row(2, "c,d", RowKind::Plain), row(3, "e,f", RowKind::Plain)];
    assert_eq!(cut(b"a,\"b\nc,d\ne,f\n", 100), expected, "up to the end of the file");
    assert_eq!(cut(b"a,\"b\nc,d\ne,f\n", 8), expected, "up to the row limit");
    assert_eq!(cut(b"a,\"b", 100), [row(1, "a,\"b", RowKind::Unclosed)]);
}

#[test]
fn an_empty_file_and_utf16_are_told() {
    let files = Files::new();
    let problem = |content: &[u8]| Rows::open(&files.put("a", content), None, 10).err().unwrap().to_string();
    assert!(problem(&gzip(b"")).contains("is empty"));
    assert!(problem(b"\xff\xfea\0").contains("UTF-16"));
    assert!(problem(&gzip(b"abc")[..8]).contains("breaks off"));
}

#[test]
fn what_breaks_off_gives_its_whole_rows_and_then_the_error_again_and_again() {
    let files = Files::new();
    let content: String = (0..2000).map(|i| format!("row {i},{}\n", i * 7919)).collect();
    let whole = gzip(content.as_bytes());
    let mut rows = open(&files.put("a.gz", &whole[..whole.len() / 2]), 100);
    let mut count = 0;
    let error = loop {
        match rows.next() {
            Ok(Some((row, _))) => {
                assert_eq!(row.bytes, format!("row {count},{}", count * 7919).as_bytes());
                count += 1;
            }
            Ok(None) => panic!("it must not end"),
            Err(error) => break error,
        }
    };
    assert!(count > 100 && error.contains("breaks off"), "{count} rows, then {error}");
    assert_eq!(rows.next().unwrap_err(), error);
    assert_eq!(rows.place().line, count + 1);
}

#[test]
fn a_place_in_another_content_is_refused() {
    let files = Files::new();
    let path = files.put("a", b"one\ntwo\nthree\n");
    let place = rest(&mut open(&path, 100))[1].3.clone();
    let skip = |content: &[u8]| open(&files.put("a", content), 100).skip(&place, 1000);
    assert_eq!(skip(b"one\ntwo\nthree\n"), Ok(true));
    assert_eq!(skip(b"one\ntwo\nsomething else"), Ok(true), "what was read is the same");
    assert!(skip(b"one\nTwo\nthree\n").unwrap_err().contains("are not the same any more"));
    assert!(skip(b"one\n").unwrap_err().contains("ends at byte 4, and had been read to byte 8"));
}

#[test]
fn a_long_way_is_skipped_in_bounded_steps() {
    let files = Files::new();
    let path = files.put("a.gz", gzip(&b"0123456789\n".repeat(100)));
    let place = rest(&mut open(&path, 100))[89].3.clone();
    let mut rows = open(&path, 100);
    let mut steps = 1;
    while !rows.skip(&place, 100).unwrap() {
        steps += 1;
    }
    assert!(steps > 5, "{steps}");
    assert_eq!(rest(&mut rows).len(), 10);
}

proptest! {
    #[test]
    fn reading_on_from_any_row_gives_the_same_rest(text in "[ab,\"\n\r]{1,60}", limit in 1usize..20, zip: bool) {
        let files = Files::new();
        let content = if zip { gzip(text.as_bytes()) } else { text.clone().into_bytes() };
        let path = files.put("a", content);
        let all = rest(&mut open(&path, limit));
        let mut rows = open(&path, limit);
        prop_assert_eq!(&rest(&mut rows), &all);
        prop_assert_eq!(rows.place().offset, text.len() as u64, "every byte went by");
        prop_assert_eq!(rows.place().crc, crc32fast::hash(text.as_bytes()));
        for (index, (.., place)) in all.iter().enumerate() {
            let mut skipped = open(&path, limit);
            prop_assert!(skipped.skip(place, usize::MAX).unwrap());
            prop_assert_eq!(&rest(&mut skipped), &all[index + 1..]);
            let mut sought = open(&path, limit);
            prop_assert_eq!(sought.seek(place).unwrap(), !zip);
            if !zip {
                prop_assert_eq!(&rest(&mut sought), &all[index + 1..]);
            }
        }
    }

    #[test]
    fn what_a_csv_writer_wrote_is_cut_where_it_should_be(
        table in prop::collection::vec(prop::collection::vec("[ab,\"\n]{0,5}", 2), 1..8),
    ) {
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        table.iter().for_each(|row| writer.write_record(row).unwrap());
        let text = writer.into_inner().unwrap();
        let found = cut(&text, 1000);
        prop_assert_eq!(found.len(), table.len());
        prop_assert!(found.iter().all(|row| matches!(row.2, RowKind::Plain | RowKind::Quoted)));
    }
}
