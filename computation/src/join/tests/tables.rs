//! Joins with a table against a plain computation of the same records (I12).

use super::*;

/// A row that is a multiple of ten says that there is none any more.
fn deletes(row: u32) -> bool {
    row.is_multiple_of(10)
}

fn table(inner: bool, lateness_s: u64) -> Harness {
    let spec = TableJoinSpec {
        lateness: Duration::from_secs(lateness_s),
        copies: None,
        is_deletion: Some(std::sync::Arc::new(|row: &u32| deletes(*row))),
        join: Box::new(move |a, row: Option<&u32>| {
            (row.is_some() || !inner).then_some((Some(a), row.copied()))
        }),
        outlet: Outlet::to(&TOLD),
    };
    let step = Step::new("join", TableJoinOperator::new(spec));
    let asks = |value| Side::Left(Asked { key: None, kind: Vec::new(), value });
    let is = |value| Side::Right(Row { kind: Vec::new(), value });
    Harness::new(step.reads_as(&LEFT, asks).reads_as(&RIGHT, is)).unwrap()
}

/// Every left record with the latest right one up to its time.
fn expected(events: &[Event], inner: bool) -> Vec<Told> {
    let mut told = Vec::new();
    for a in events.iter().filter(|event| event.left) {
        let rows = events.iter().filter(|b| !b.left && b.key == a.key && b.second <= a.second);
        let row = rows.max_by_key(|b| b.second).map(|b| b.value).filter(|row| !deletes(*row));
        if row.is_some() || !inner {
            told.push((a.key, at(a.second), (Some(a.value), row)));
        }
    }
    told.sort_unstable();
    told
}

/// No two rows of a key have one time: which of them is the later one then depends on when they were sent.
fn rows_apart(events: Vec<Event>) -> Vec<Event> {
    let mut seen = std::collections::HashSet::new();
    events.into_iter().filter(|event| event.left || seen.insert((event.key, event.second))).collect()
}

#[test]
fn every_record_meets_the_row_of_its_time_whatever_the_order_and_whatever_crashes() {
    let mut random = random();
    for _ in 0..RUNS {
        let inner = random.random_bool(0.5);
        let count = random.random_range(1..120);
        // The last word on each key is a deletion, so that nothing is to stay.
        let last = (0..KEYS).map(|key| Event { left: false, key, second: 60, value: 1_000 });
        let events = rows_apart(events(&mut random, count).into_iter().chain(last).collect());
        let mut harness = table(inner, 0);
        let told = joined(&mut harness, &mut random, &events);
        assert_eq!(told, expected(&events, inner));
    }
}

#[test]
fn a_record_before_the_first_row_waits_until_it_is_certain_that_there_is_none() {
    let mut harness = table(false, 0);
    harness.push(&LEFT, 1, at(5), &7).unwrap();
    harness.push(&LEFT, 1, at(9), &8).unwrap();
    harness.advance_watermark(at(5)).unwrap();
    assert_eq!((told(&mut harness), harness.output_watermark()), (vec![], at(5)));
    harness.crash().unwrap();
    harness.push(&RIGHT, 1, at(6), &71).unwrap();
    harness.advance_watermark(at(10)).unwrap();
    assert_eq!(told(&mut harness), [(1, at(5), (Some(7), None)), (1, at(9), (Some(8), Some(71)))]);
}

#[test]
fn rows_that_were_replaced_are_collected_and_the_valid_one_stays() {
    let mut harness = table(false, 0);
    for second in 0..300 {
        harness.push(&RIGHT, 1, at(second), &11).unwrap();
    }
    assert_eq!(harness.entries(1).unwrap(), 300);
    harness.advance_watermark(at(200)).unwrap();
    assert_eq!(harness.entries(1).unwrap(), 101, "the row of 199 and those from 200 on");
    harness.finish().unwrap();
    assert_eq!((harness.entries(1).unwrap(), harness.timers(1).unwrap().len()), (1, 0));
}

#[test]
fn a_late_row_counts_for_what_is_not_told_and_a_late_record_is_counted() {
    let mut harness = table(false, 10);
    harness.advance_watermark(at(100)).unwrap();
    harness.push(&RIGHT, 1, at(3), &13).unwrap();
    harness.push(&LEFT, 1, at(89), &1).unwrap();
    harness.push(&LEFT, 1, at(90), &2).unwrap();
    assert_eq!((harness.late_dropped(), told(&mut harness)), (1, vec![(1, at(90), (Some(2), Some(13)))]));
}

#[test]
fn another_number_of_copies_on_the_same_state_is_refused_in_words() {
    static PARTS: Stream<Asked<u32>> = Stream::new("parts");
    static ROWS: Stream<Row<u32>> = Stream::new("rows");
    let step = |copies| {
        let spec = TableJoinSpec {
            lateness: Duration::ZERO,
            copies: Some(copies),
            is_deletion: None,
            join: Box::new(|a, row: Option<&u32>| Some((Some(a), row.copied()))),
            outlet: Outlet::to(&TOLD),
        };
        let step = Step::new("join", TableJoinOperator::new(spec));
        step.reads_as(&PARTS, Side::Left).reads_as(&ROWS, Side::Right)
    };
    let mut harness = Harness::new(step(4)).unwrap();
    let row = |value| Row { kind: b"k".to_vec(), value };
    harness.push(&ROWS, 0, at(1), &row(1)).unwrap();
    let mut other = Harness::builder(step(5)).store(harness.store()).build().unwrap();
    let error = other.push(&ROWS, 0, at(2), &row(2)).unwrap_err().to_string();
    assert!(error.contains("4 copies in the store and 5 in the code"), "{error}");
}
