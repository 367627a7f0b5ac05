//! Every mistake gets an error that says what was wrong and what to do.

use super::*;
use crate::testing::HarnessError;

#[track_caller]
fn assert_says<T: std::fmt::Debug>(result: Result<T, HarnessError>, words: &[&str]) {
    let text = result.unwrap_err().to_string();
    words.iter().for_each(|word| assert!(text.contains(word), "{word:?} is not in {text:?}"));
}

#[test]
fn a_stream_that_is_not_read_or_not_produced_is_named_with_those_that_are() {
    let mut harness = harness();
    assert_says(harness.push(&COUNTS, "k", at(1), &1), &["does not read", "\"counts\"", "orders", ".reads("]);
    assert_says(harness.output(&ORDERS), &["does not produce", "\"orders\"", "counts, fired", ".output("]);
}

#[test]
fn a_stream_of_other_values_is_named_with_both_types() {
    static OTHER: Stream<String> = Stream::new("orders");
    static OTHER_CODEC: Stream<u64, Json> = Stream::new("counts");
    let mut harness = harness();
    assert_says(harness.push(&OTHER, "k", at(1), &String::new()), &["Do (postcard)", "String (postcard)"]);
    assert_says(harness.output(&OTHER_CODEC), &["u64 (postcard)", "u64 (json)", "one `Stream`"]);
}

#[test]
fn a_cell_that_is_not_kept_or_of_another_kind_is_named() {
    static UNKNOWN: Value<u64> = Value::new("unknown");
    static OTHER: Bag<u64> = Bag::new("seen");
    static OTHER_TYPE: Value<String> = Value::new("seen");
    let mut harness = harness();
    harness.push(&ORDERS, "k", at(1), &Do::Count).unwrap();
    assert_says(harness.value(&UNKNOWN, "k"), &["no cell \"unknown\"", "seen, sum", ".cell("]);
    assert_says(harness.bag(&OTHER, "k"), &["\"seen\"", "is a value", "here a bag"]);
    assert_says(harness.value(&OTHER_TYPE, "k"), &["cannot decode", "String"]);
}

#[test]
fn a_watermark_that_would_go_back_says_where_it_is() {
    let mut harness = harness();
    harness.advance_watermark(at(60)).unwrap();
    harness.advance_watermark(at(60)).unwrap();
    assert_says(harness.advance_watermark(at(59)), &["00:01:00Z", "00:00:59Z", "late record"]);
    assert_eq!(harness.input_watermark().unwrap(), at(60));
}

#[test]
fn a_record_that_no_producer_could_send_is_refused() {
    let mut harness = harness();
    let long = "k".repeat(5000);
    assert_says(harness.push(&ORDERS, long.as_str(), at(1), &Do::Count), &["a key of 5000", "4096"]);
}

#[test]
fn what_is_no_single_step_is_refused() {
    let two = (step(), Step::new("other", Obedient::default()).reads(&ORDERS));
    assert_says(Harness::new(two), &["one computation", "these are 2"]);
    assert_says(Harness::new(Step::new("no name", Obedient::default())), &["\"no name\" is no name"]);
}

#[test]
fn an_error_shows_its_text_where_tests_show_errors() {
    let error = harness().output(&ORDERS).unwrap_err();
    assert_eq!(format!("{error:?}"), error.to_string());
}
