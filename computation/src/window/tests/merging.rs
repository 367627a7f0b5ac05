//! Sessions: merging, through crashes, and that nothing of them stays.

use super::*;
use crate::window::merge_overlapping;
use crate::window::{AssignError, Merge, Window};

fn sessions(strategy: Strategy) -> Harness {
    collect(Sessions::with_gap(secs(10)), strategy)
}

fn windows(harness: &mut Harness) -> Vec<(i64, i64, Vec<u32>, bool)> {
    let seconds = |time: EventTime| time.as_micros() / 1_000_000;
    let told = harness.output(&PANES).unwrap().into_iter().map(|output| output.value);
    told.map(|pane| (seconds(pane.window.start()), seconds(pane.window.end()), pane.value, pane.retraction))
        .collect()
}

#[test]
fn a_record_between_two_sessions_makes_them_one() {
    let mut harness = sessions(Strategy::default());
    push(&mut harness, [(1, 0), (2, 15), (3, 40), (4, 8)]);
    harness.crash().unwrap();
    harness.finish().unwrap();
    assert_eq!(windows(&mut harness), [(0, 25, vec![1, 2, 4], false), (40, 50, vec![3], false)]);
    assert_eq!(left(&mut harness), (0, 0));
}

#[test]
fn the_panes_of_sessions_that_are_merged_away_are_taken_back() {
    let strategy = Strategy { allowed_lateness: secs(60), ..Strategy::default() };
    let mut harness = sessions(Strategy { accumulation: Accumulation::Retracting, ..strategy });
    push(&mut harness, [(1, 0), (2, 15)]);
    harness.advance_watermark(at(30)).unwrap();
    assert_eq!(windows(&mut harness), [(0, 10, vec![1], false), (15, 25, vec![2], false)]);
    harness.crash().unwrap();
    push(&mut harness, [(3, 8)]);
    let expected = [(0, 10, vec![1], true), (15, 25, vec![2], true), (0, 25, vec![1, 2, 3], false)];
    assert_eq!(windows(&mut harness), expected);
    harness.finish().unwrap();
    assert_eq!((windows(&mut harness), left(&mut harness)), (vec![], (0, 0)));
}

#[test]
fn a_session_is_kept_for_as_long_as_a_record_in_time_can_join_it() {
    let mut harness = sessions(Strategy { accumulation: Accumulation::Accumulating, ..Strategy::default() });
    push(&mut harness, [(1, 0)]);
    harness.advance_watermark(at(19)).unwrap();
    assert_eq!(windows(&mut harness), [(0, 10, vec![1], false)]);
    // Its own window, from 9 to 19, is not over for this record.
    push(&mut harness, [(2, 9)]);
    assert_eq!(windows(&mut harness), [(0, 19, vec![1, 2], false)]);
    push(&mut harness, [(3, 8)]);
    assert_eq!((harness.late_dropped(), windows(&mut harness)), (1, vec![]));
    harness.advance_watermark(at(29)).unwrap();
    assert_eq!(left(&mut harness), (2, 1), "one session, and the list of sessions");
    harness.advance_watermark(EventTime::from_micros(29_000_001)).unwrap();
    assert_eq!(left(&mut harness), (0, 0));
}

#[test]
fn records_that_arrive_together_merge_before_anything_is_committed() {
    let mut harness = sessions(Strategy::default());
    let records = (0..50u32).map(|n| (KEY, at(i64::from(n * 37 % 50) * 9), n));
    harness.push_all(&RECORDS, records).unwrap();
    harness.finish().unwrap();
    let told = windows(&mut harness);
    assert_eq!((told.len(), told[0].0, told[0].1, told[0].2.len()), (1, 0, 451, 50));
}

/// Sessions whose gap is what the record says.
#[derive(Clone)]
struct OwnGap;

impl WindowFn<u32> for OwnGap {
    fn assign(&self, gap: &u32, at: EventTime) -> Result<Vec<Window>, AssignError> {
        let window = Window::new(at, at.plus(secs(u64::from(*gap))));
        window.map(|window| vec![window]).ok_or(AssignError { at, reason: "a gap of 0".into() })
    }

    fn merge_reach(&self) -> Option<Duration> {
        Some(secs(30))
    }

    fn merge(&self, windows: &[Window]) -> Vec<Merge> {
        merge_overlapping(windows)
    }
}

#[test]
fn windows_of_ones_own_may_merge_and_may_refuse_a_record() {
    let mut harness = collect(OwnGap, Strategy::default());
    push(&mut harness, [(5, 0), (30, 4), (2, 36), (0, 7)]);
    assert_eq!(harness.dead_letters().unwrap().len(), 1);
    harness.finish().unwrap();
    assert_eq!(windows(&mut harness), [(0, 34, vec![5, 30], false), (36, 38, vec![2], false)]);
}
