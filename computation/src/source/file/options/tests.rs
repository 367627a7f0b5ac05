use super::*;
use crate::source::file::testing::{Files, gzip};
use crate::source::file::{CsvSource, JsonLinesSource};
use pelton_domain::EventTime;
use std::collections::BTreeMap;

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Row {
    key: String,
    at: i64,
    note: Option<String>,
}

static ROWS: Stream<Row> = Stream::new("rows");

fn source(paths: impl Into<Paths>) -> CsvSource<Row> {
    let source = CsvSource::<Row>::new(paths, &ROWS).key(|row| Key::from(row.key.as_str()));
    source.event_time(|row| EventTime::from_secs(row.at))
}

fn problems(source: &CsvSource<Row>) -> String {
    source.validate().err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn a_good_source_has_no_problems() {
    let files = Files::new();
    let one = files.put("a.csv", "note,key,other,at\n");
    let two = files.put("b.csv.gz", gzip(b"at,\"note\",key\r\n1,2,3"));
    assert_eq!(problems(&source([one, two])), "");
}

#[test]
fn missing_columns_are_named_with_those_that_are_there() {
    let files = Files::new();
    let path = files.put("a.csv", "key,At, note\n");
    let found = problems(&source(&path));
    assert!(
        found
            .ends_with("a.csv: the header has no column \"at\", \"note\"; it has \"key\", \"At\", \" note\""),
        "{found}"
    );
    let found = problems(&source(&path).optional(["note"]));
    assert!(found.contains("no column \"at\"; it has"), "{found}");
}

#[test]
fn every_problem_is_found_at_once() {
    let files = Files::new();
    let good = files.put("good.csv", "key,at,note\n");
    let found = problems(&source(vec![
        files.path("absent.csv"),
        files.path(""),
        files.put("empty.csv", ""),
        files.put("plain.csv.gz", "key,at,note\n"),
        files.put("twice.csv", "key,at,note,key\n"),
        files.put("quote.csv", "key,at,\"note\n"),
        files.put("latin.csv", b"key,at,n\xf6te\n"),
        good.clone(),
        good,
    ]));
    let expected = [
        "absent.csv: no such file",
        ": is a directory; name the files in it",
        "empty.csv: is empty",
        "plain.csv.gz: is named .gz, but its content is not gzip",
        "twice.csv: the header has the column \"key\" more than once",
        "quote.csv: has no readable header row: a quote in it is not closed",
        "latin.csv: has no readable header row: it is not UTF-8",
        "good.csv: is named twice",
    ];
    assert_eq!(found.lines().count(), expected.len(), "{found}");
    for (line, words) in found.lines().zip(expected) {
        assert!(line.ends_with(words), "{line}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_says_so() {
    use std::os::unix::fs::PermissionsExt as _;
    let files = Files::new();
    let path = files.put("a.csv", "key,at,note\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser may read everything.
    if std::fs::File::open(&path).is_err() {
        assert!(problems(&source(&path)).contains("a.csv: no permission to read it"));
    }
}

#[test]
fn options_without_sense_are_problems() {
    let files = Files::new();
    let path = files.put("a.csv", "key,at,note\n");
    let found = problems(&CsvSource::<Row>::new(&path, &ROWS));
    assert!(found.contains("needs a key(..)") && found.contains("needs an event_time(..)"), "{found}");
    for (source, words) in [
        (source(&path).rate(0.0), "the rate"),
        (source(&path).rate(f64::NAN), "the rate"),
        (source(&path).chunk_max(0, 1), "chunk_max() is 0"),
        (source(&path).row_bytes_max(0), "row_bytes_max() is 0"),
        (source(&path).delimiter(b'"'), "delimiter()"),
        (source(Vec::<String>::new()), "no file is named"),
    ] {
        assert!(problems(&source).contains(words), "{words}: {}", problems(&source));
    }
}

#[test]
fn a_map_of_strings_and_json_need_no_columns() {
    static MAPS: Stream<BTreeMap<String, String>> = Stream::new("maps");
    let files = Files::new();
    let time = |row: &BTreeMap<String, String>| {
        row.get("at").and_then(|at| at.parse().ok()).map(EventTime::from_secs)
    };
    let maps = CsvSource::new(files.put("a.csv", "x,y\n1,2\n"), &MAPS);
    assert!(maps.key(|row| Key::from(row["x"].as_str())).event_time(time).validate().is_ok());
    let json = JsonLinesSource::new(files.put("a.jsonl", "{}\n"), &ROWS);
    assert!(
        json.key(|row| Key::from(row.key.as_str()))
            .event_time(|row| EventTime::from_secs(row.at))
            .validate()
            .is_ok()
    );
}
