//! What Flink's documentation says of patterns, as it says it.

use super::super::matcher::Partial;
use super::super::run::Event;
use super::*;
use std::collections::BTreeMap;

/// The matches among these records, each a letter and a number: `a1 b1`.
fn matches(pattern: &Pattern<Mark>, records: &str) -> Vec<String> {
    pattern.check().unwrap();
    let words: Vec<&str> = records.split(' ').collect();
    let (mut partial, mut told, none) = (Partial::new(pattern), Vec::new(), BTreeMap::new());
    for (number, word) in words.iter().enumerate() {
        let record = Mark { letter: word.chars().next().unwrap(), height: 0 };
        let event = Event { number: number as u64, at_us: number as i64, record: &record, records: &none };
        let (next, found) = partial.advance(pattern, &event).unwrap();
        partial = next;
        for one in found {
            let words: Vec<&str> = one.taken.iter().map(|taken| words[taken.number as usize]).collect();
            told.push(words.join(" "));
        }
    }
    told
}

fn a() -> Pattern<Mark> {
    Pattern::begin("a", is("a"))
}

#[test]
fn strict_relaxed_and_any_contiguity_differ_as_documented() {
    let records = "a c b1 b2";
    assert_eq!(matches(&a().next("b", is("b")), records), [] as [&str; 0]);
    assert_eq!(matches(&a().followed_by("b", is("b")), records), ["a b1"]);
    assert_eq!(matches(&a().followed_by_any("b", is("b")), records), ["a b1", "a b2"]);
}

#[test]
fn loops_are_strict_relaxed_or_of_combinations_as_documented() {
    let records = "a b1 d1 b2 d2 b3 c";
    let some = || a().followed_by("b", is("b")).one_or_more();
    let mut strict = matches(&some().consecutive().followed_by("c", is("c")), records);
    let mut relaxed = matches(&some().followed_by("c", is("c")), records);
    let mut any = matches(&some().allow_combinations().followed_by("c", is("c")), records);
    [&mut strict, &mut relaxed, &mut any].into_iter().for_each(|all| all.sort_unstable());
    assert_eq!(strict, ["a b1 c"]);
    assert_eq!(relaxed, ["a b1 b2 b3 c", "a b1 b2 c", "a b1 c"]);
    assert_eq!(any, ["a b1 b2 b3 c", "a b1 b2 c", "a b1 b3 c", "a b1 c"]);
}

#[test]
fn what_is_skipped_after_a_match_is_as_documented() {
    let b_and_c = |after_match| {
        let pattern = Pattern::begin("b", is("b")).one_or_more().next("c", is("c"));
        matches(&pattern.after_match(after_match), "b1 b2 b3 c")
    };
    assert_eq!(b_and_c(AfterMatch::NoSkip), ["b1 b2 b3 c", "b2 b3 c", "b3 c"]);
    assert_eq!(b_and_c(AfterMatch::SkipToNext), ["b1 b2 b3 c", "b2 b3 c", "b3 c"]);
    assert_eq!(b_and_c(AfterMatch::SkipPastLastEvent), ["b1 b2 b3 c"]);
    assert_eq!(b_and_c(AfterMatch::SkipToFirst("b".into())), ["b1 b2 b3 c", "b2 b3 c", "b3 c"]);
    assert_eq!(b_and_c(AfterMatch::SkipToLast("b".into())), ["b1 b2 b3 c", "b3 c"]);
}

#[test]
fn a_greedy_loop_takes_what_the_next_part_could_take() {
    let pattern = |greedy: bool| {
        let some = a().followed_by("b", is("bc")).one_or_more();
        let some = if greedy { some.greedy() } else { some };
        some.followed_by("d", is("cd"))
    };
    assert_eq!(matches(&pattern(false), "a b c d"), ["a b c", "a b c d"]);
    assert_eq!(matches(&pattern(true), "a b c d"), ["a b c d"]);
}
