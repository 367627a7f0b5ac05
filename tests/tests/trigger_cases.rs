//! Windows and triggers, held against another implementation of the Beam model, through the engine and its crashes
//! (I2, I8, I12).

#![allow(clippy::unwrap_used, reason = "a test: a panic is its failure")]

use pelton_tests::trigger_cases::format::{self, Case};
use pelton_tests::trigger_cases::run::{Crashes, differences};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/trigger-cases.jsonl")
}

fn all_agree(crashes: Crashes) {
    let cases = format::read(&sample()).unwrap();
    assert_eq!(cases.len(), 40);
    let differ = |(_, case): &(usize, Case)| differences(case, crashes).unwrap();
    let found: Vec<String> = cases.iter().flat_map(differ).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_case_gives_the_panes_of_the_reference() {
    all_agree(Crashes::None);
}

#[test]
fn a_crash_after_every_step_changes_no_pane() {
    all_agree(Crashes::EveryStep);
}

#[test]
fn a_crash_between_each_commit_and_the_news_of_it_changes_no_pane() {
    all_agree(Crashes::EveryCommit);
}

fn trigger_cases(text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cases.jsonl");
    std::fs::write(&file, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_trigger-cases")).arg(&file).output().unwrap()
}

const CASE: &str = r#"{"case":7,"window":{"kind":"fixed","size":10,"offset":0},"trigger":{"kind":"default"},
"accumulation":"discarding","timestamp_combiner":"latest","allowed_lateness":0,"steps":[
{"element":1,"at":3,"panes":[]},{"watermark":10,"panes":[{"window":[0,10000000],"values":[1],"timestamp":3000000,
"index":0,"nonspeculative_index":0,"timing":"on_time","first":true,"last":false}]}]}"#;

#[test]
fn the_program_tells_each_difference_and_fails() {
    let case = CASE.replace('\n', "");
    let good = trigger_cases(&case);
    assert_eq!(String::from_utf8_lossy(&good.stdout), "1 passed, 0 failed\n");
    assert_eq!(good.status.code(), Some(0));

    let other = case.replace(r#""values":[1]"#, r#""values":[2]"#);
    let back = case.replace(r#""steps":["#, r#""steps":[{"watermark":11,"panes":[]},"#);
    let bad = trigger_cases(&[case, other, back].join("\n"));
    let told = String::from_utf8_lossy(&bad.stdout);
    assert!(
        told.contains("line 2, case 7, step 2: missing {\"window\":[0,10000000],\"values\":[2]"),
        "{told}"
    );
    assert!(
        told.contains("line 2, case 7, step 2: unexpected {\"window\":[0,10000000],\"values\":[1]"),
        "{told}"
    );
    assert!(told.contains("line 3, case 7, step 3: the watermark"), "{told}");
    assert!(told.ends_with("1 passed, 2 failed\n"), "{told}");
    assert_eq!(bad.status.code(), Some(1));
}

#[test]
fn a_file_that_is_none_is_refused_in_words() {
    let case = CASE.replace('\n', "");
    let wrong = [
        (String::new(), "has no case"),
        ("{".to_owned(), "line 1: is no case: EOF"),
        (case.replace(r#""default""#, r#""sometimes""#), "unknown variant `sometimes`"),
        (case.replace(r#""allowed_lateness":0,"#, ""), "missing field `allowed_lateness`"),
        (case.replace(r#""size":10"#, r#""size":0"#), "must be more than 0 seconds"),
        (case.replace("[0,10000000]", "[5,5]"), "is empty"),
        (case.replace(r#"{"kind":"default"}"#, r#"{"kind":"after_all","of":[]}"#), "name at least one"),
        (case.replace(r#""at":3"#, r#""at":1e40"#), "seconds are beyond the range of times"),
        (case.replace(r#""at":3,"#, ""), "a step: missing field `at`"),
        (case.replace(r#"{"watermark":10,"#, r#"{"when":10,"#), "either an `element` or a `watermark`"),
    ];
    for (text, reason) in wrong {
        let output = trigger_cases(&text);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(reason) && told.contains("cases.jsonl"), "{reason}: {told}");
        assert_eq!(output.status.code(), Some(2), "{told}");
    }
    let missing = Command::new(env!("CARGO_BIN_EXE_trigger-cases")).arg("/nowhere/at/all").output().unwrap();
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cannot open /nowhere/at/all"));
}
