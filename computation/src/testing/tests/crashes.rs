//! Crashes between "it has run" and "everybody knows" (I2, I4, I5, I12).

use super::*;

#[test]
fn what_is_not_committed_is_gone_and_comes_again() {
    let mut harness = harness();
    harness.push(&ORDERS, "k", at(1), &Do::Count).unwrap();
    harness.hold_commits();
    harness.push(&ORDERS, "k", at(2), &Do::Count).unwrap();
    harness.push(&ORDERS, "k", at(3), &Do::Keep(7)).unwrap();
    assert_eq!(counts(&mut harness), [1], "I5: nothing is sent before its commit");
    assert_eq!(harness.value(&SEEN, "k").unwrap(), Some(2), "the next call sees it all the same");
    assert_eq!(harness.counters().records, 1);
    harness.crash().unwrap();
    assert_eq!((counts(&mut harness), harness.value(&SEEN, "k").unwrap()), (vec![2], Some(2)));
    assert_eq!(harness.combining(&SUM, "k").unwrap(), 7);
    assert_eq!((harness.counters().records, harness.counters().duplicates), (3, 0));
}

#[test]
fn a_commit_that_nobody_heard_of_is_not_done_again() {
    let mut harness = harness();
    harness.hold_commits();
    harness.push(&ORDERS, "k", at(2), &Do::Count).unwrap();
    harness.crash_after_commit().unwrap();
    assert_eq!((counts(&mut harness), harness.value(&SEEN, "k").unwrap()), (vec![1], Some(1)));
    assert_eq!((harness.counters().records, harness.counters().duplicates), (1, 1), "it came again");
}

#[test]
fn a_held_commit_that_is_released_is_as_if_it_had_never_been_held() {
    let mut harness = harness();
    harness.hold_commits();
    harness.push(&ORDERS, "k", at(2), &Do::Count).unwrap();
    harness.push(&ORDERS, "k", at(3), &Do::Count).unwrap();
    harness.advance_watermark(at(9)).unwrap();
    assert_eq!(
        (counts(&mut harness), harness.output_watermark()),
        (vec![], at(2)),
        "I7: what is not acknowledged holds"
    );
    harness.release_commits().unwrap();
    assert_eq!((counts(&mut harness), harness.output_watermark()), (vec![1, 2], at(9)));
    harness.push(&ORDERS, "k", at(10), &Do::Count).unwrap();
    assert_eq!(counts(&mut harness), [3]);
}

#[test]
fn a_timer_survives_and_one_whose_firing_was_not_committed_fires_again() {
    let mut harness = harness();
    harness.push(&ORDERS, "k", at(1), &Do::Event { a: Some(10), b: Some(20) }).unwrap();
    harness.crash().unwrap();
    harness.advance_watermark(at(10)).unwrap();
    harness.hold_commits();
    harness.advance_watermark(at(20)).unwrap();
    assert_eq!(fired(&mut harness), [timer("a", 10)]);
    harness.crash().unwrap();
    assert_eq!(fired(&mut harness), [timer("b", 20)]);
    assert_eq!(harness.counters().timers_fired, 2);
}

#[test]
fn a_weak_production_is_sent_before_its_commit_and_has_the_same_id_when_it_is_made_again() {
    let mut strong = harness();
    let mut weak = Harness::new(step().weak()).unwrap();
    for harness in [&mut strong, &mut weak] {
        harness.hold_commits();
        harness.push(&ORDERS, "k", at(2), &Do::Count).unwrap();
    }
    assert_eq!((counts(&mut strong), counts(&mut weak)), (vec![], vec![1]));
    weak.crash().unwrap();
    assert_eq!(weak.value(&SEEN, "k").unwrap(), Some(1));
    assert!(counts(&mut weak).is_empty(), "I6: the consumer knows it");
    assert_eq!(weak.counters().productions, 1);
}

#[test]
fn crashes_anywhere_leave_the_results_of_an_undisturbed_run() {
    let run = |crash: fn(&mut Harness, i64)| {
        let mut harness = harness();
        for second in 0..40 {
            let key = ["a", "b", "c"][usize::try_from(second).unwrap() % 3];
            harness.push(&ORDERS, key, at(second), &Do::Count).unwrap();
            harness.push(&ORDERS, key, at(second), &Do::Event { a: Some(second + 3), b: None }).unwrap();
            crash(&mut harness, second);
            harness.advance_watermark(at(second)).unwrap();
        }
        harness.release_commits().unwrap();
        let counted: Vec<_> =
            harness.output(&COUNTS).unwrap().into_iter().map(|o| (o.key, o.value)).collect();
        let fired: Vec<_> =
            harness.output(&FIRED).unwrap().into_iter().map(|o| (o.key, o.event_time)).collect();
        (counted, fired, harness.value(&SEEN, "a").unwrap(), harness.output_watermark())
    };
    let undisturbed = run(|_, _| {});
    assert_eq!(undisturbed.0.len(), 40);
    let disturbed = run(|harness, second| match second % 4 {
        0 => harness.hold_commits(),
        1 => harness.crash().unwrap(),
        2 => harness.hold_commits(),
        _ => harness.crash_after_commit().unwrap(),
    });
    assert_eq!(disturbed, undisturbed, "I12");
}
