//! Where the output watermark waits, and panes by the clock (I7).

use super::*;

#[test]
fn the_output_watermark_waits_for_the_pane_that_is_to_come() {
    let cases = [
        (TimestampCombiner::Earliest, at(3)),
        (TimestampCombiner::Latest, at(7)),
        (TimestampCombiner::EndOfWindow, EventTime::from_micros(9_999_999)),
    ];
    for (timestamps, hold) in cases {
        let mut harness = tens(Strategy { timestamps, ..Strategy::default() });
        push(&mut harness, [(1, 3), (2, 7)]);
        harness.advance_watermark(at(9)).unwrap();
        assert_eq!(harness.output_watermark(), hold.min(at(9)), "{timestamps:?}");
        harness.advance_watermark(at(12)).unwrap();
        let panes = harness.output(&PANES).unwrap();
        assert_eq!(panes[0].event_time, hold);
        assert_eq!(harness.output_watermark(), at(12), "nothing more is held once it is told");
    }
}

#[test]
fn no_pane_is_late_downstream_unless_all_its_records_were() {
    let trigger = Trigger::after_count(2).repeatedly();
    let mut harness = tens(Strategy {
        trigger,
        timestamps: TimestampCombiner::Earliest,
        allowed_lateness: secs(60),
        ..Strategy::default()
    });
    push(&mut harness, [(1, 3)]);
    harness.advance_watermark(at(30)).unwrap();
    assert_eq!(harness.output_watermark(), at(3), "the window still waits for its second record");
    harness.crash().unwrap();
    push(&mut harness, [(2, 4)]);
    assert_eq!(harness.output(&PANES).unwrap()[0].event_time, at(3));
    push(&mut harness, [(3, 5)]);
    harness.advance_watermark(at(31)).unwrap();
    assert_eq!(harness.output_watermark(), at(31), "a late record holds nothing");
}

#[test]
fn a_window_fires_by_the_clock_once_for_each_delay() {
    let trigger = Trigger::after_watermark().early(Trigger::after_processing_time(secs(5)));
    let mut harness = tens(Strategy { trigger, ..Strategy::default() });
    push(&mut harness, [(1, 1)]);
    harness.advance_clock(secs(4)).unwrap();
    push(&mut harness, [(2, 2)]);
    assert_eq!(told(&mut harness), []);
    harness.crash().unwrap();
    harness.advance_clock(secs(1)).unwrap();
    assert_eq!(told(&mut harness), [('+', vec![1, 2], Timing::Early, false)]);
    harness.advance_clock(secs(60)).unwrap();
    assert_eq!(told(&mut harness), [], "nothing has come since");
    push(&mut harness, [(3, 3)]);
    harness.advance_watermark(at(10)).unwrap();
    assert_eq!(told(&mut harness), [('+', vec![3], Timing::OnTime, true)]);
    harness.advance_clock(secs(60)).unwrap();
    harness.advance_watermark(at(11)).unwrap();
    assert_eq!((told(&mut harness), left(&mut harness)), (vec![], (0, 0)));
}

#[test]
fn windows_that_fire_by_an_aligned_clock_fire_together() {
    let delay = super::super::Delay::of(secs(0)).aligned_to(secs(60), secs(0));
    let trigger = Trigger::AfterProcessingTime(delay).repeatedly();
    let mut harness = tens(Strategy { trigger, ..Strategy::default() });
    harness.advance_clock(secs(7)).unwrap();
    push(&mut harness, [(1, 1)]);
    harness.advance_clock(secs(20)).unwrap();
    push(&mut harness, [(2, 12)]);
    harness.advance_clock(secs(32)).unwrap();
    assert_eq!(told(&mut harness), []);
    harness.advance_clock(secs(1)).unwrap();
    assert_eq!(told(&mut harness).len(), 2);
}

#[test]
fn a_clock_that_is_due_while_the_rest_of_the_trigger_waits_is_not_asked_without_end() {
    let both = [Trigger::after_processing_time(secs(1)), Trigger::after_count(2)];
    let mut harness =
        tens(Strategy { trigger: Trigger::after_all(both).repeatedly(), ..Strategy::default() });
    push(&mut harness, [(1, 1)]);
    harness.advance_clock(secs(60)).unwrap();
    assert_eq!(told(&mut harness), []);
    push(&mut harness, [(2, 2)]);
    assert_eq!(told(&mut harness), [('+', vec![1, 2], Timing::Early, false)]);
}
