//! The end of a window: its last pane, what it refuses, and that nothing of it stays.

use super::*;

#[test]
fn what_no_pane_has_told_comes_out_when_the_window_closes() {
    let strategy = Strategy { trigger: Trigger::after_count(2).repeatedly(), ..Strategy::default() };
    let mut harness = tens(Strategy { allowed_lateness: secs(5), ..strategy });
    push(&mut harness, [(1, 1), (2, 2), (3, 3)]);
    harness.advance_watermark(at(15)).unwrap();
    assert_eq!(told(&mut harness), [('+', vec![1, 2], Timing::Early, false)]);
    harness.advance_watermark(at(16)).unwrap();
    assert_eq!(told(&mut harness), [('+', vec![3], Timing::OnTime, true)]);
    assert_eq!((left(&mut harness), harness.late_dropped()), ((0, 0), 0));
}

#[test]
fn a_window_that_has_nothing_more_to_tell_closes_without_a_pane_unless_it_is_to() {
    for (closing, panes) in [(Closing::FireIfNonEmpty, 1), (Closing::FireAlways, 2), (Closing::Discard, 1)] {
        let mut harness = tens(Strategy { closing, ..Strategy::default() });
        push(&mut harness, [(1, 1)]);
        harness.finish().unwrap();
        let told = told(&mut harness);
        assert_eq!((told.len(), told[0].3), (panes, false), "{closing:?}");
        assert!(told.get(1).is_none_or(|last| *last == ('+', vec![], Timing::Late, true)));
        assert_eq!(left(&mut harness), (0, 0));
    }
}

#[test]
fn what_is_discarded_at_the_close_is_counted() {
    let mut harness =
        tens(Strategy { trigger: Trigger::Never, closing: Closing::Discard, ..Strategy::default() });
    push(&mut harness, [(1, 1), (2, 2), (3, 12)]);
    harness.advance_watermark(at(11)).unwrap();
    assert_eq!((told(&mut harness), harness.late_dropped()), (vec![], 2));
}

#[test]
fn an_empty_pane_on_time_fires_unless_it_is_not_to() {
    let trigger = Trigger::after_watermark().early(Trigger::after_count(1));
    for (on_time, panes) in [(OnTime::FireAlways, 2), (OnTime::FireIfNonEmpty, 1)] {
        let mut harness = tens(Strategy { trigger: trigger.clone(), on_time, ..Strategy::default() });
        push(&mut harness, [(1, 1)]);
        harness.advance_watermark(at(10)).unwrap();
        assert_eq!(told(&mut harness).len(), panes);
    }
}

#[test]
fn records_that_are_too_late_are_counted_and_told_with_the_reason() {
    let mut harness = tens(Strategy {
        trigger: Trigger::after_watermark(),
        allowed_lateness: secs(5),
        ..Strategy::default()
    });
    push(&mut harness, [(1, 1)]);
    harness.advance_watermark(at(10)).unwrap();
    push(&mut harness, [(2, 2), (3, 12)]);
    harness.advance_watermark(at(16)).unwrap();
    push(&mut harness, [(4, 4)]);
    let refused: Vec<_> =
        harness.output(&REFUSED).unwrap().into_iter().map(|r| (r.event_time, r.value)).collect();
    let window = super::super::Window::new(at(0), at(10)).unwrap();
    let one = |value, reason| Refused { value, windows: vec![(window, reason)] };
    assert_eq!(refused, [(at(2), one(2, Refusal::Finished)), (at(4), one(4, Refusal::Expired))]);
    assert_eq!(harness.late_dropped(), 2);
    assert_eq!(told(&mut harness), [('+', vec![1], Timing::OnTime, true)]);
}

#[test]
fn panes_are_taken_back_before_the_next_ones() {
    let trigger = Trigger::after_watermark().early(Trigger::after_count(2)).late(Trigger::after_count(1));
    let accumulation = Accumulation::Retracting;
    let mut harness =
        tens(Strategy { trigger, accumulation, allowed_lateness: secs(5), ..Strategy::default() });
    push(&mut harness, [(1, 1), (2, 2), (3, 3)]);
    harness.advance_watermark(at(10)).unwrap();
    harness.crash().unwrap();
    push(&mut harness, [(4, 4)]);
    let expected = [
        ('+', vec![1, 2], Timing::Early, false),
        ('-', vec![1, 2], Timing::Early, false),
        ('+', vec![1, 2, 3], Timing::OnTime, false),
        ('-', vec![1, 2, 3], Timing::OnTime, false),
        ('+', vec![1, 2, 3, 4], Timing::Late, false),
    ];
    assert_eq!(told(&mut harness), expected);
}

#[test]
fn a_trigger_that_is_changed_under_open_windows_stops_the_pipeline_and_loses_nothing() {
    let mut harness = tens(Strategy::default());
    push(&mut harness, [(1, 1)]);
    let step = |trigger| {
        let windowed = Windowed::by(FixedWindows::of(secs(10)), Collect::new()).trigger(trigger);
        windowed.refused(&REFUSED).step("windows", &RECORDS, &PANES).unwrap()
    };
    let mut other =
        Harness::builder(step(Trigger::after_watermark())).store(harness.store()).build().unwrap();
    let error = other.push(&RECORDS, KEY, at(2), &2).unwrap_err();
    assert!(error.to_string().contains("was opened under another trigger"), "{error}");
    let mut same = Harness::builder(step(Trigger::Default)).store(harness.store()).build().unwrap();
    same.advance_watermark(at(10)).unwrap();
    assert_eq!(told(&mut same), [('+', vec![1], Timing::OnTime, false)]);
}

#[test]
fn a_step_whose_trigger_cannot_be_is_refused_by_name() {
    let step = Windowed::by(FixedWindows::of(secs(10)), Collect::new())
        .trigger(Trigger::after_count(0))
        .step("hourly", &RECORDS, &PANES);
    assert_eq!(
        step.unwrap_err().to_string(),
        "step \"hourly\": AfterCount(0) would fire without a record: the least count is 1"
    );
}
