//! Patterns that cannot be, in words.

use super::*;
use std::time::Duration;

fn refused(pattern: &Pattern<Mark>) -> String {
    pattern.check().unwrap_err().to_string()
}

fn a() -> Pattern<Mark> {
    Pattern::begin("a", is("a"))
}

#[test]
fn patterns_that_cannot_be_are_refused_in_words() {
    let skip = |name: &str| AfterMatch::SkipToLast(name.to_owned());
    let cases = [
        (a().next("a", is("b")), "two parts are called \"a\""),
        (a().times(0), "part \"a\" is to take 0 to 0 records"),
        (a().times_between(3, 2), "part \"a\" is to take 3 to 2 records"),
        (
            a().not_next("no", is("b")).times(2).next("c", is("c")),
            "times, optional, greedy and until say nothing",
        ),
        (a().not_followed_by("no", is("b")).optional().next("c", is("c")), "of records that must not come"),
        (a().until(is("b")), "`until` and `greedy` are for parts that take several"),
        (a().not_followed_by("no", is("b")), "no time is said within which: add `.within(..)`"),
        (a().not_next("no", is("b")).within(Duration::from_secs(1)), "say `.not_followed_by(..)`"),
        (a().within(Duration::ZERO), "within 0 s nothing matches"),
        (a().after_match(skip("b")), "to skip to part \"b\", and there is none of that name"),
        (
            a().not_next("no", is("b")).next("c", is("c")).after_match(skip("no")),
            "to skip to part \"no\", and that one takes no records",
        ),
    ];
    for (pattern, reason) in cases {
        let said = refused(&pattern);
        assert!(said.contains(reason), "{said}");
    }
    let long = (1..=PARTS_MAX).fold(a(), |pattern, n| pattern.next(n.to_string(), is("a")));
    assert!(refused(&long).contains("a pattern of 61 parts, and 60 is the limit"));
}

#[test]
fn a_flow_refuses_by_name_a_step_whose_pattern_cannot_be_or_whose_matches_go_nowhere() {
    use crate::flow::Flow;
    use crate::{JsonLinesSource, Stream};
    static MARKS: Stream<Mark> = Stream::new("marks");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("marks.jsonl");
    std::fs::write(&file, "").unwrap();
    let flow = Flow::new("flow");
    let marks = flow.read(JsonLinesSource::<Mark>::new(file, &MARKS).key(|_| "all".into()));
    marks.key_by(|_| "all".into()).matches("never", a().times(0)).send(&Stream::<_>::named("found"));
    marks.key_by(|_| "all".into()).matches("lost", a());
    let said = flow.build().unwrap_err().to_string();
    assert!(said.contains("step \"never\": part \"a\" is to take 0 to 0 records"), "{said}");
    assert!(said.contains("nothing is done with the matches of step \"lost\""), "{said}");
}
