use super::*;
use crate::failure::FailureKind;
use crate::source::file::csv::CsvRows;
use crate::source::file::json::JsonRows;
use crate::source::file::testing::{Files, gzip, set_old};
use pelton_domain::{Key, ProcessingTime};
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
struct Reading {
    sensor: String,
    at: i64,
    value: Option<f64>,
}

type CsvReader = FileReader<CsvRows<Reading>>;

const HOUR: Duration = Duration::from_secs(3600);

fn extract() -> Extract<Reading> {
    Extract {
        key: Some(Arc::new(|reading: &Reading| Key::from(reading.sensor.as_str()))),
        event_time: Some(Arc::new(|reading: &Reading| Ok(EventTime::from_secs(reading.at)))),
    }
}

fn open(path: &Path, from: Option<&FileCursor>) -> Result<CsvReader, Failure> {
    let mut format = CsvRows::default();
    format.null = Some("NA".to_owned());
    FileReader::open(path, format, extract(), 1000, HOUR, from)
}

fn request(rows_max: usize) -> ChunkRequest {
    ChunkRequest { rows_max, bytes_max: 1 << 20, now: ProcessingTime::from_secs(0) }
}

/// Values, rejections and the last watermark, to the end.
fn drain(reader: &mut CsvReader, rows: usize) -> Result<(Vec<Reading>, Vec<Rejected>, EventTime), Failure> {
    let (mut values, mut rejected) = (Vec::new(), Vec::new());
    loop {
        let chunk = reader.read(request(rows))?;
        assert!(chunk.records.len() + chunk.rejected.len() <= rows, "I11");
        values.extend(chunk.records.into_iter().map(|record| record.value));
        rejected.extend(chunk.rejected);
        if chunk.next == Next::End {
            return Ok((values, rejected, chunk.watermark));
        }
    }
}

fn table(rows: usize) -> String {
    let row = |i: usize| match i % 7 {
        3 => format!("s{i},{i},NA,\"a note\nof two lines, {i}\"\n"),
        5 => format!("s{i},{i},no number,\"of\ntwo\"\n"),
        _ => format!("s{i},{i},{}.5,note {i}\r\n", i * 3),
    };
    "sensor,at,value,note\n".to_owned() + &(0..rows).map(row).collect::<String>()
}

#[test]
fn a_cursor_at_every_row_gives_the_same_rest() {
    let files = Files::new();
    for content in [table(40).into_bytes(), gzip(table(40).as_bytes())] {
        let path = files.put("t.csv", content);
        let (all, rejected, watermark) = drain(&mut open(&path, None).unwrap(), 100).unwrap();
        assert_eq!((all.len(), rejected.len()), (35, 5));
        assert_eq!(watermark, EventTime::from_secs(39).minus(HOUR));
        let mut reader = open(&path, None).unwrap();
        let (mut seen, mut bad) = (0, 0);
        for _ in 0..40 {
            let chunk = reader.read(request(1)).unwrap();
            seen += chunk.records.len();
            bad += chunk.rejected.len();
            let mut other = open(&path, Some(&chunk.cursor)).unwrap();
            let (rest, rest_bad, rest_watermark) = drain(&mut other, 3).unwrap();
            assert_eq!(rest, all[seen..]);
            assert_eq!(rest_bad, rejected[bad..], "line numbers and event times too");
            assert_eq!(rest_watermark, watermark, "I7: the watermark does not go back");
        }
    }
}

#[test]
fn bad_rows_are_rejected_one_by_one_with_file_line_and_reason() {
    let files = Files::new();
    let text: &[u8] = b"sensor,at,value,note\n\
        s,1,2,\"two\nlines\"\n\
        s,x,2,\n\
        s,1\n\
        s,1,2,n,n\n\
        \xff,1,2,n\n\
        s,9223372036854775807,2,\n\
        s,1,\"2\n3\",n\n\
        s,1,2,\"never closed\n\
        s,4,NA,last\n";
    let (values, rejected, _) = drain(&mut open(&files.put("t.csv", text), None).unwrap(), 100).unwrap();
    assert_eq!(values.len(), 2);
    assert_eq!(values[1], Reading { sensor: "s".into(), at: 4, value: None });
    let expected = [
        (4, "column \"at\" is \"x\": invalid digit"),
        (5, "it has 2 fields, and the header 4"),
        (6, "it has 5 fields, and the header 4"),
        (7, "column \"sensor\" is \"\u{fffd}\": invalid utf-8 sequence"),
        (8, "its event time is infinite"),
        (9, "column \"value\" is \"2\\n3\": invalid float"),
        (11, "a quote in it is not closed"),
    ];
    assert_eq!(rejected.len(), expected.len(), "{rejected:#?}");
    for (rejected, (line, words)) in rejected.iter().zip(expected) {
        assert!(rejected.reason.contains(&format!("t.csv, line {line}: {words}")), "{}", rejected.reason);
    }
    assert_eq!(rejected[5].bytes, "s,1,\"2\n3\",n");
    assert_eq!(rejected[0].event_time, EventTime::from_secs(1));
}

#[test]
fn a_truncated_gzip_fails_at_its_end_and_goes_on_once_it_is_whole() {
    let files = Files::new();
    let whole = gzip(table(3000).as_bytes());
    let (all, ..) = drain(&mut open(&files.put("whole.csv.gz", &whole), None).unwrap(), 100).unwrap();
    let path = files.put("t.csv.gz", &whole[..whole.len() / 2]);
    let mut reader = open(&path, None).unwrap();
    let (mut values, mut cursor) = (Vec::new(), None);
    let failure = loop {
        match reader.read(request(100)) {
            Ok(chunk) => {
                assert_eq!(chunk.next, Next::More, "it must not end");
                values.extend(chunk.records.into_iter().map(|record| record.value));
                cursor = Some(chunk.cursor);
            }
            Err(failure) => break failure,
        }
    };
    assert!(failure.kind == FailureKind::Stop && failure.reason().contains("breaks off"), "{failure}");
    assert_eq!(values, all[..values.len()]);
    let mut again = open(&path, cursor.as_ref()).unwrap();
    assert!(again.read(request(100)).unwrap_err().reason().contains("breaks off"));
    files.put("t.csv.gz", &whole);
    let (rest, ..) = drain(&mut open(&path, cursor.as_ref()).unwrap(), 100).unwrap();
    values.extend(rest);
    assert_eq!(values, all, "nothing is lost and nothing is twice");
}

#[test]
fn a_file_that_changed_between_two_runs_is_refused_and_one_that_was_copied_is_not() {
    let files = Files::new();
    let path = files.put("t.csv", table(20));
    let cursor = open(&path, None).unwrap().read(request(10)).unwrap().cursor;
    let read_on = || drain(&mut open(&path, Some(&cursor)).unwrap(), 100).map(|(values, ..)| values.len());
    assert_eq!(read_on().unwrap(), 8);
    set_old(&path);
    assert_eq!(read_on().unwrap(), 8, "another time of change, and the same content");
    files.put("t.csv", table(21));
    assert_eq!(read_on().unwrap(), 9, "longer, and what was read is the same");
    for changed in [table(20).replace("s2,", "S2,"), "sensor,at,value,note\n".into(), table(20)[..60].into()]
    {
        files.put("t.csv", changed);
        let failure = read_on().unwrap_err();
        assert!(
            failure.kind == FailureKind::Stop && failure.reason().contains("changed while it was being read"),
            "{failure}"
        );
    }
    files.put("t.csv", "other,columns\n");
    assert!(open(&path, Some(&cursor)).err().unwrap().reason().contains("has no column \"sensor\""));
}

#[test]
fn chunks_are_bounded_by_bytes_too() {
    let files = Files::new();
    let mut reader = open(&files.put("t.csv", table(40)), None).unwrap();
    let chunk = reader.read(ChunkRequest { bytes_max: 30, ..request(100) }).unwrap();
    assert_eq!((chunk.records.len(), chunk.next), (2, Next::More), "a row has 17 bytes");
}

#[test]
fn json_lines_are_read_and_what_is_none_is_rejected() {
    let files = Files::new();
    let text = "{\"sensor\":\"a\",\"at\":1,\"value\":2}\n\n{\"sensor\":\"\\\"\",\"at\":2}\n{\"sensor\":1}\nnot json\n";
    let path = files.put("t.jsonl", text);
    let mut reader =
        FileReader::<JsonRows<Reading>>::open(&path, JsonRows::default(), extract(), 1000, HOUR, None)
            .unwrap();
    let chunk = reader.read(request(100)).unwrap();
    let sensors: Vec<&str> = chunk.records.iter().map(|record| record.value.sensor.as_str()).collect();
    assert_eq!(sensors, ["a", "\""]);
    assert_eq!(chunk.records[1].origin, 3);
    assert!(chunk.rejected[0].reason.contains("line 4: it is no such JSON value: invalid type"));
    assert!(chunk.rejected[1].reason.contains("line 5"));
    assert_eq!(chunk.next, Next::End);
}
