//! Records: once each, in order, late or in time.

use super::*;

#[test]
fn a_record_runs_once_and_its_output_is_taken_once() {
    let mut harness = harness();
    harness.push(&ORDERS, "k", at(5), &Do::Count).unwrap();
    let outputs = harness.output(&COUNTS).unwrap();
    let [output] = outputs.as_slice() else { panic!("{outputs:?}") };
    assert_eq!((output.key.clone(), output.event_time, output.value), (Key::from("k"), at(5), 1));
    assert!(counts(&mut harness).is_empty());
    let counters = harness.counters();
    assert_eq!((counters.records, counters.productions, counters.duplicates), (1, 1, 0));
}

#[test]
fn a_duplicate_is_dropped_at_once_after_a_crash_and_beyond_the_horizon() {
    let mut harness = harness();
    let id = harness.push(&ORDERS, "k", at(5), &Do::Count).unwrap();
    harness.push_with_id(&ORDERS, id, "k", at(5), &Do::Count).unwrap();
    assert_eq!(harness.counters().duplicates, 1);
    harness.crash().unwrap();
    harness.push_with_id(&ORDERS, id, "k", at(5), &Do::Count).unwrap();
    harness.advance_clock(Duration::from_secs(3600)).unwrap();
    harness.push_with_id(&ORDERS, id, "k", at(5), &Do::Count).unwrap();
    assert_eq!(counts(&mut harness), [1]);
    assert_eq!(harness.value(&SEEN, "k").unwrap(), Some(1));
    assert_eq!((harness.counters().records, harness.counters().duplicates), (1, 2));
}

#[test]
fn without_dedup_a_duplicate_runs_again() {
    let mut harness = Harness::new(step().without_dedup()).unwrap();
    let id = harness.push(&ORDERS, "k", at(5), &Do::Count).unwrap();
    harness.push_with_id(&ORDERS, id, "k", at(5), &Do::Count).unwrap();
    assert_eq!(counts(&mut harness), [1, 2]);
}

#[test]
fn records_pushed_together_keep_their_order() {
    let mut harness = harness();
    let records = (0..3000).map(|n: i64| (if n % 2 == 0 { "even" } else { "odd" }, at(n), Do::Count));
    let ids = harness.push_all(&ORDERS, records).unwrap();
    assert!(ids.is_sorted() && ids.len() == 3000);
    let outputs = harness.output(&COUNTS).unwrap();
    for key in ["even", "odd"] {
        let of_key = outputs.iter().filter(|output| output.key == Key::from(key));
        assert_eq!(of_key.map(|output| output.value).collect::<Vec<_>>(), (1..=1500).collect::<Vec<_>>());
    }
}

#[test]
fn a_late_record_reaches_the_code_which_may_drop_it() {
    let mut harness = harness();
    harness.advance_watermark(at(100)).unwrap();
    harness.push(&ORDERS, "k", at(99), &Do::CountInTime).unwrap();
    assert_eq!((harness.late_dropped(), counts(&mut harness)), (1, vec![]));
    harness.push(&ORDERS, "k", at(100), &Do::CountInTime).unwrap();
    assert_eq!((harness.late_dropped(), counts(&mut harness)), (1, vec![1]));
    harness.push(&ORDERS, "k", at(1), &Do::Count).unwrap();
    assert_eq!(counts(&mut harness), [2], "code that does not mind takes it");
    assert_eq!(harness.output_watermark(), at(100), "I7: it does not go back");
}

#[test]
fn every_stream_that_is_read_can_be_pushed_to() {
    static HOW_OFTEN: Stream<u8, Json> = Stream::new("how-often");
    let keep = |number: u8| Do::Keep(number.into());
    let mut harness = Harness::new(step().reads_as(&HOW_OFTEN, keep)).unwrap();
    harness.push(&HOW_OFTEN, "k", at(1), &7).unwrap();
    harness.push(&ORDERS, "k", at(1), &Do::Keep(8)).unwrap();
    assert_eq!(harness.combining(&SUM, "k").unwrap(), 15);
}
