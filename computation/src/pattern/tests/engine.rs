//! The operator on the engine: order of arrival, lateness, crashes, bounds, and that nothing stays.

use super::super::kept::{PARTIAL, WAITING_COUNT};
use super::*;
use crate::testing::Harness;
use crate::{EventTime, Stream};
use proptest::prelude::*;
use std::time::Duration;

static MARKS: Stream<Mark> = Stream::new("marks");
static MATCHES: Stream<Match<Mark>> = Stream::new("matches");
static LATE: Stream<Mark> = Stream::new("late");
const KEY: &str = "key";

const fn at(seconds: i64) -> EventTime {
    EventTime::from_secs(seconds)
}

fn mark(letter: char, height: u32) -> Mark {
    Mark { letter, height }
}

fn harness(pattern: Pattern<Mark>) -> Harness {
    Harness::new(Matching::of(pattern).late(&LATE).step("pattern", &MARKS, &MATCHES).unwrap()).unwrap()
}

fn push(harness: &mut Harness, letter: char, second: i64) {
    harness.push(&MARKS, KEY, at(second), &mark(letter, second as u32)).unwrap();
}

/// The matches since the last time: their letters, and their event times in seconds.
fn told(harness: &mut Harness) -> Vec<(String, i64)> {
    let output = harness.output(&MATCHES).unwrap().into_iter();
    output
        .map(|o| (o.value.records().map(|m| m.letter).collect(), o.event_time.as_micros() / 1_000_000))
        .collect()
}

/// How many entries of state, and how many timers, the key has.
fn left(harness: &mut Harness) -> (usize, usize) {
    (harness.entries(KEY).unwrap(), harness.timers(KEY).unwrap().len())
}

fn a_then_b() -> Pattern<Mark> {
    Pattern::begin("a", is("a")).next("b", is("b")).within(Duration::from_secs(10))
}

#[test]
fn records_are_taken_by_time_once_the_watermark_has_passed_them() {
    let mut harness = harness(a_then_b());
    push(&mut harness, 'b', 3);
    push(&mut harness, 'a', 2);
    harness.advance_watermark(at(3)).unwrap();
    assert_eq!(told(&mut harness), []);
    assert_eq!(harness.output_watermark(), at(3), "a match may still end there");
    harness.advance_watermark(EventTime::from_micros(3_000_001)).unwrap();
    assert_eq!(told(&mut harness), [("ab".to_owned(), 3)]);
    assert_eq!(left(&mut harness), (0, 0));
}

#[test]
fn a_late_record_is_counted_and_told_and_changes_nothing() {
    let mut harness = harness(a_then_b());
    push(&mut harness, 'a', 2);
    harness.advance_watermark(at(5)).unwrap();
    push(&mut harness, 'c', 4);
    push(&mut harness, 'b', 5);
    harness.finish().unwrap();
    assert_eq!(told(&mut harness), [("ab".to_owned(), 5)]);
    assert_eq!((harness.late_dropped(), harness.output(&LATE).unwrap().len()), (1, 1));
}

#[test]
fn what_must_not_come_is_told_when_its_time_is_up_and_holds_the_watermark_until_then() {
    let pattern = Pattern::begin("a", is("a")).not_followed_by("b", is("b")).within(Duration::from_secs(10));
    let mut harness = harness(pattern);
    push(&mut harness, 'a', 0);
    push(&mut harness, 'a', 5);
    push(&mut harness, 'b', 12);
    harness.advance_watermark(at(8)).unwrap();
    harness.crash().unwrap();
    assert_eq!((told(&mut harness), harness.output_watermark()), (vec![], at(8)));
    harness.advance_watermark(at(30)).unwrap();
    assert_eq!(told(&mut harness), [("a".to_owned(), 10)], "the second a has a b after it");
    assert_eq!(left(&mut harness), (0, 0));
}

#[test]
fn partial_matches_go_when_their_time_is_up_and_all_goes_with_the_end_of_the_input() {
    let mut with_time = harness(a_then_b());
    push(&mut with_time, 'a', 1);
    with_time.advance_watermark(at(5)).unwrap();
    assert_eq!(left(&mut with_time), (2, 1), "a partial match, and its record");
    with_time.advance_watermark(at(11)).unwrap();
    assert_eq!(left(&mut with_time), (0, 0));

    let mut without = harness(Pattern::begin("a", is("a")).followed_by("b", is("b")));
    push(&mut without, 'a', 1);
    without.advance_watermark(at(1_000_000)).unwrap();
    assert_eq!(left(&mut without), (2, 1));
    without.finish().unwrap();
    assert_eq!((left(&mut without), told(&mut without)), ((0, 0), vec![]));
}

#[test]
fn conditions_see_what_was_taken_before_also_after_a_crash() {
    let rising = Pattern::begin("low", is("a"))
        .followed_by("high", is("a"))
        .and(|mark, so_far| so_far.of("low").next().is_some_and(|low| mark.height > low.height + 5));
    let mut harness = harness(rising);
    push(&mut harness, 'a', 1);
    push(&mut harness, 'a', 4);
    harness.advance_watermark(at(5)).unwrap();
    harness.crash().unwrap();
    push(&mut harness, 'a', 8);
    harness.advance_watermark(at(9)).unwrap();
    let outputs = harness.output(&MATCHES).unwrap();
    assert_eq!(outputs.len(), 1);
    let one = &outputs[0].value;
    assert_eq!((one.began(), one.ended()), (at(1), at(8)));
    assert_eq!((one.of("low")[0].height, one.of("high")[0].height), (1, 8));
}

#[test]
fn a_record_that_a_condition_panics_at_is_a_dead_letter_and_the_others_go_on() {
    let picky = Pattern::begin("a", |mark: &Mark| mark.letter == 'a' || mark.letter == 'x' && panic!("an x"))
        .next("b", is("b"));
    let mut harness = harness(picky);
    for (letter, second) in [('a', 1), ('x', 2), ('b', 3)] {
        push(&mut harness, letter, second);
    }
    harness.finish().unwrap();
    let letters = harness.dead_letters().unwrap();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].error.contains("the code panicked: an x"), "{}", letters[0].error);
    assert_eq!(told(&mut harness), [("ab".to_owned(), 3)], "as if it had not come");
}

#[test]
fn beyond_the_bound_of_partial_matches_records_are_dead_letters_with_advice() {
    let mut harness = harness(Pattern::begin("a", is("a")).followed_by("b", is("b")));
    let many = PARTIAL_RECORDS_MAX as i64 + 3;
    harness.push_all(&MARKS, (0..many).map(|n| (KEY, at(n), mark('a', 0)))).unwrap();
    harness.advance_watermark(at(many)).unwrap();
    let letters = harness.dead_letters().unwrap();
    assert_eq!(letters.len(), 3);
    assert!(letters[0].error.contains("say `within` a shorter time"), "{}", letters[0].error);
    push(&mut harness, 'b', many);
    harness.finish().unwrap();
    assert_eq!(told(&mut harness).len(), PARTIAL_RECORDS_MAX);
    assert_eq!(left(&mut harness), (0, 0));
}

#[test]
fn a_match_that_is_too_large_to_be_sent_makes_its_last_record_a_dead_letter() {
    static TEXTS: Stream<String> = Stream::new("texts");
    static FOUND: Stream<Match<String>> = Stream::new("found");
    let pattern = Pattern::begin("begin", |_: &String| true).next("end", |_| true);
    let step = Matching::of(pattern).step("pattern", &TEXTS, &FOUND).unwrap();
    let mut harness = Harness::new(step).unwrap();
    for second in 0..2 {
        harness.push(&TEXTS, KEY, at(second), &"x".repeat(60_000)).unwrap();
    }
    harness.finish().unwrap();
    let letters = harness.dead_letters().unwrap();
    assert_eq!((letters.len(), harness.output(&FOUND).unwrap().len()), (1, 0));
    assert!(letters[0].error.contains("tell less of them with `map`"), "{}", letters[0].error);
}

#[test]
fn partial_matches_of_another_pattern_stop_the_pipeline_and_lose_nothing() {
    let mut first = harness(a_then_b());
    push(&mut first, 'a', 1);
    first.advance_watermark(at(2)).unwrap();
    push(&mut first, 'b', 3);
    let step = |pattern| Matching::of(pattern).late(&LATE).step("pattern", &MARKS, &MATCHES).unwrap();
    let changed = step(a_then_b().next("c", is("c")));
    let mut other = Harness::builder(changed).store(first.store()).build().unwrap();
    let error = other.advance_watermark(at(4)).unwrap_err();
    assert!(error.to_string().contains("of another pattern than this step's"), "{error}");
    let mut same = Harness::builder(step(a_then_b())).store(first.store()).build().unwrap();
    same.advance_watermark(at(4)).unwrap();
    assert_eq!(told(&mut same), [("ab".to_owned(), 3)]);
}

#[test]
fn more_records_than_a_call_looks_at_are_all_taken() {
    let mut harness = harness(a_then_b());
    let marks = (0..1_000i64).rev().map(|n| (KEY, at(n), mark(if n % 2 == 0 { 'a' } else { 'b' }, 0)));
    harness.push_all(&MARKS, marks).unwrap();
    assert_eq!(harness.value(&WAITING_COUNT, KEY).unwrap(), Some(1_000));
    harness.advance_watermark(at(999)).unwrap();
    assert_eq!(told(&mut harness).len(), 499);
    assert_eq!(harness.value(&WAITING_COUNT, KEY).unwrap(), Some(1));
    assert!(harness.value(&PARTIAL, KEY).unwrap().is_some());
    harness.finish().unwrap();
    assert_eq!((told(&mut harness).len(), left(&mut harness)), (1, (0, 0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn order_of_arrival_and_crashes_change_no_match(
        marks in prop::collection::vec((0..4i64, prop::sample::select(vec!['a', 'b', 'c']), any::<u32>()), 1..30),
        crashes in prop::collection::vec(any::<bool>(), 30),
        steps in prop::collection::vec(1..20i64, 1..6),
    ) {
        let pattern = || {
            Pattern::begin("a", is("a")).one_or_more().followed_by("b", is("b")).not_followed_by("c", is("c"))
                .within(Duration::from_secs(6)).ties_by(|mark: &Mark| u64::from(mark.height))
        };
        let mut second = 0;
        let mut records: Vec<(i64, Mark)> = Vec::new();
        for (later, letter, height) in marks {
            second += later;
            records.push((second, mark(letter, height)));
        }
        let mut in_order = harness(pattern());
        records.sort_by_key(|(second, mark)| (*second, mark.height));
        for (second, mark) in &records {
            in_order.push(&MARKS, KEY, at(*second), mark).unwrap();
        }
        in_order.finish().unwrap();

        let mut any_order = harness(pattern());
        let (mut told_then, mut watermark) = (Vec::new(), 0);
        for (n, step) in steps.iter().chain([&1_000]).enumerate() {
            let mut now: Vec<_> =
                records.iter().filter(|(s, _)| (watermark..watermark + step).contains(s)).collect();
            now.sort_by_key(|(_, mark)| mark.height.reverse_bits());
            for (second, mark) in now {
                any_order.push(&MARKS, KEY, at(*second), mark).unwrap();
            }
            if crashes[n] {
                any_order.hold_commits();
            }
            watermark += step;
            any_order.advance_watermark(at(watermark)).unwrap();
            if crashes[n] {
                any_order.crash_after_commit().unwrap();
            } else if crashes[n + 10] {
                any_order.crash().unwrap();
            }
            told_then.extend(told(&mut any_order));
        }
        any_order.finish().unwrap();
        told_then.extend(told(&mut any_order));
        prop_assert_eq!(told_then, told(&mut in_order));
        prop_assert_eq!(left(&mut any_order), (0, 0));
    }
}
