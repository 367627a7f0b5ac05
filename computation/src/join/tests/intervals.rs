//! Interval joins against a plain computation of the same records (I12).

use super::*;

fn secs(seconds: i64) -> Offset {
    let by = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { Offset::before(by) } else { Offset::after(by) }
}

/// The join of a left record with right ones that are `lower` to `upper` seconds later.
fn join((lower, upper): (i64, i64), (outer_left, outer_right): (bool, bool), lateness_s: u64) -> Harness {
    let spec = IntervalJoinSpec {
        lower: secs(lower),
        upper: secs(upper),
        lateness: Duration::from_secs(lateness_s),
        outer_left,
        outer_right,
        join: Box::new(|pair| match pair {
            Pair::Both(a, b) => Some((Some(*a), Some(*b))),
            Pair::Left(a) => Some((Some(*a), None)),
            Pair::Right(b) => Some((None, Some(*b))),
        }),
        outlet: Outlet::to(&TOLD),
    };
    let step = Step::new("join", IntervalJoinOperator::new(spec));
    Harness::new(step.reads_as(&LEFT, Side::Left).reads_as(&RIGHT, Side::Right)).unwrap()
}

/// Every left record with every right one.
fn expected(events: &[Event], (lower, upper): (i64, i64), (left, right): (bool, bool)) -> Vec<Told> {
    let meets = |a: &Event, b: &Event| {
        let apart = b.second - a.second;
        a.left && !b.left && a.key == b.key && lower <= apart && apart <= upper
    };
    let mut told = Vec::new();
    for a in events {
        for b in events.iter().filter(|b| meets(a, b)) {
            told.push((a.key, at(a.second.max(b.second)), (Some(a.value), Some(b.value))));
        }
        if left && a.left && !events.iter().any(|b| meets(a, b)) {
            told.push((a.key, at(a.second), (Some(a.value), None)));
        }
        if right && !a.left && !events.iter().any(|b| meets(b, a)) {
            told.push((a.key, at(a.second), (None, Some(a.value))));
        }
    }
    told.sort_unstable();
    told
}

#[test]
fn it_tells_what_a_plain_join_tells_whatever_the_order_and_whatever_crashes() {
    let mut random = random();
    for _ in 0..RUNS {
        let lower = random.random_range(-15..10);
        let bounds = (lower, random.random_range(lower..20));
        let outer = (random.random_bool(0.5), random.random_bool(0.5));
        let count = random.random_range(1..120);
        let events = events(&mut random, count);
        let mut harness = join(bounds, outer, 0);
        let told = joined(&mut harness, &mut random, &events);
        assert_eq!(told, expected(&events, bounds, outer), "{bounds:?}, {outer:?}");
    }
}

#[test]
fn both_bounds_are_included() {
    let mut harness = join((-2, 3), (false, false), 0);
    harness.push(&LEFT, 1, at(10), &0).unwrap();
    for second in [7, 8, 13, 14] {
        harness.push(&RIGHT, 1, at(second), &u32::try_from(second).unwrap()).unwrap();
    }
    assert_eq!(
        told(&mut harness),
        [(1, at(10), (Some(0), Some(8))), (1, at(13), (Some(0), Some(13)))],
        "as in Flink: 10 - 2 <= 8, 13 <= 10 + 3"
    );
}

#[test]
fn a_record_alone_is_told_when_nothing_can_meet_it_any_more_and_is_not_late_then() {
    let mut harness = join((-2, 3), (true, true), 0);
    harness.push(&LEFT, 1, at(10), &0).unwrap();
    harness.push(&RIGHT, 2, at(11), &1).unwrap();
    harness.advance_watermark(at(13)).unwrap();
    assert_eq!(harness.output_watermark(), at(10), "I7: it waits for what may be told of the left one");
    assert_eq!(told(&mut harness), []);
    harness.advance_watermark(EventTime::from_micros(13_000_001)).unwrap();
    assert_eq!(told(&mut harness), [(1, at(10), (Some(0), None)), (2, at(11), (None, Some(1)))]);
    assert_eq!(harness.output_watermark(), EventTime::from_micros(13_000_001));
}

#[test]
fn a_late_record_is_counted_and_within_the_lateness_meets_what_it_should() {
    let mut harness = join((0, 5), (true, false), 10);
    harness.push(&LEFT, 1, at(20), &0).unwrap();
    harness.advance_watermark(at(34)).unwrap();
    harness.push(&RIGHT, 1, at(23), &1).unwrap();
    assert_eq!((harness.late_dropped(), told(&mut harness)), (1, vec![]), "24 is the last that is in time");
    harness.push(&RIGHT, 1, at(24), &2).unwrap();
    assert_eq!(told(&mut harness), [(1, at(24), (Some(0), Some(2)))]);
    harness.finish().unwrap();
    assert_eq!((harness.late_dropped(), told(&mut harness)), (1, vec![]));
    assert_eq!(harness.entries(1).unwrap(), 0);
}

#[test]
fn thousands_of_records_that_are_due_at_once_leave_in_several_commits() {
    static LONG: Stream<String> = Stream::new("long");
    static NONE: Stream<u8> = Stream::new("none");
    static ALONE: Stream<String> = Stream::new("alone");
    let spec = IntervalJoinSpec {
        lower: Offset::ZERO,
        upper: Offset::ZERO,
        lateness: Duration::ZERO,
        outer_left: true,
        outer_right: false,
        join: Box::new(|pair: Pair<&String, &u8>| match pair {
            Pair::Left(a) => Some(a.clone()),
            _ => None,
        }),
        outlet: Outlet::to(&ALONE),
    };
    let step = Step::new("join", IntervalJoinOperator::new(spec));
    let step = step.reads_as(&LONG, Side::Left).reads_as(&NONE, Side::Right);
    let mut harness = Harness::new(step).unwrap();
    let long = "x".repeat(20_000);
    for second in 0..400 {
        harness.push(&LONG, 1, at(second), &format!("{second} {long}")).unwrap();
    }
    harness.finish().unwrap();
    let alone = harness.output(&ALONE).unwrap();
    assert_eq!(
        (alone.len(), harness.dead_letters().unwrap().len()),
        (400, 0),
        "8 MB do not fit into one call"
    );
    assert_eq!(harness.entries(1).unwrap(), 0);
}
