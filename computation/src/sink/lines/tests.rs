use super::*;

static LINES: Stream<u64> = Stream::new("lines");

#[test]
fn what_cannot_be_written_is_told_before_anything_starts() {
    let directory = tempfile::tempdir().unwrap();
    let problem =
        |path: PathBuf| JsonLinesSink::new(path, &LINES).validate().err().map(|error| error.to_string());
    assert_eq!(problem(directory.path().join("out.jsonl")), None);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "it makes no file");
    std::fs::write(directory.path().join("there.jsonl"), "x\n").unwrap();
    assert_eq!(problem(directory.path().join("there.jsonl")), None, "it may be its own");
    assert!(problem(directory.path().join("absent/out")).unwrap().contains("make it first"));
    assert!(problem(directory.path().to_owned()).unwrap().contains("is a directory"));
    assert!(problem(directory.path().join("x".repeat(5000))).unwrap().contains("longer than a key"));
}

#[test]
fn a_bare_file_name_is_in_the_working_directory() {
    let sink = JsonLinesSink::new("some-name.jsonl", &LINES);
    assert_eq!(sink.key(), Key::from("some-name.jsonl"));
    assert!(!matches!(sink.validate(), Err(SinkError::NoDirectory { .. })));
}
