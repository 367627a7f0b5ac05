//! Code that fails: tried again, parked, given up, and the pipeline stopped (I9, I10).

use super::*;
use crate::testing::{HarnessError, KeyFailure};

#[test]
fn a_failing_key_is_tried_again_by_the_clock_while_others_go_on() {
    let mut harness = harness();
    harness.push(&ORDERS, "bad", at(10), &Do::NotBefore(1)).unwrap();
    harness.push(&ORDERS, "good", at(11), &Do::Count).unwrap();
    harness.push(&ORDERS, "bad", at(12), &Do::Count).unwrap();
    assert_eq!(counts(&mut harness), [1]);
    let failure = harness.failure("bad").unwrap().unwrap();
    assert_eq!(failure, KeyFailure { attempts: 1, reason: "not yet".into(), parked: false });
    assert_eq!(harness.failure("good").unwrap(), None);
    harness.advance_watermark(at(20)).unwrap();
    assert_eq!(harness.input_watermark().unwrap(), at(10), "I7: it is not acknowledged, so it holds");
    harness.advance_clock(Duration::from_millis(30)).unwrap();
    assert_eq!(harness.failure("bad").unwrap().unwrap().attempts, 3, "after 10 and 30 ms");
    harness.advance_clock(Duration::from_secs(2)).unwrap();
    let outputs = harness.output(&COUNTS).unwrap();
    assert_eq!(
        outputs.iter().map(|o| (o.event_time, o.value)).collect::<Vec<_>>(),
        [(at(10), 1), (at(12), 2)]
    );
    assert_eq!(harness.failure("bad").unwrap(), None);
    assert_eq!(harness.output_watermark(), at(20));
}

#[test]
fn records_of_a_key_that_goes_on_failing_are_parked_and_survive_a_crash() {
    let mut harness = harness();
    harness.push(&ORDERS, "bad", at(10), &Do::NotBefore(600)).unwrap();
    harness.advance_watermark(at(20)).unwrap();
    harness.advance_clock(Duration::from_secs(1)).unwrap();
    assert!(harness.failure("bad").unwrap().unwrap().parked);
    assert_eq!(harness.input_watermark().unwrap(), at(20), "it is acknowledged");
    assert_eq!(harness.output_watermark(), at(10), "I7: but it holds what comes out");
    harness.crash().unwrap();
    assert!(harness.failure("bad").unwrap().unwrap().parked);
    harness.advance_clock(Duration::from_secs(700)).unwrap();
    assert_eq!((counts(&mut harness), harness.output_watermark()), (vec![1], at(20)));
}

#[test]
fn a_permanent_failure_is_a_dead_letter_that_can_be_replayed() {
    let mut harness = harness();
    harness.push(&ORDERS, "k", at(5), &Do::Never).unwrap();
    harness.push(&ORDERS, "k", at(6), &Do::Count).unwrap();
    let letters = harness.dead_letters().unwrap();
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!((letter.key.clone(), letter.error.as_str(), letter.attempts), (Key::from("k"), "never", 1));
    assert_eq!((harness.counters().dead_lettered, counts(&mut harness)), (1, vec![1]));
    assert_eq!(harness.replay_dead_letters().unwrap(), 1);
    assert!(harness.dead_letters().unwrap().is_empty() && harness.failure("k").unwrap().unwrap().parked);
    harness.advance_clock(Duration::from_millis(10)).unwrap();
    assert_eq!(harness.dead_letters().unwrap().len(), 1, "it failed once more");
    assert_eq!(harness.counters().dead_lettered, 2);
}

#[test]
fn a_panic_is_tried_again_and_then_given_up() {
    let mut harness = harness();
    harness.push(&ORDERS, "k", at(5), &Do::Panic).unwrap();
    assert!(harness.dead_letters().unwrap().is_empty());
    assert!(harness.failure("k").unwrap().unwrap().reason.contains("as told"));
    harness.advance_clock(Duration::from_secs(60)).unwrap();
    let letters = harness.dead_letters().unwrap();
    assert_eq!((letters.len(), letters[0].attempts), (1, 5));
    assert!(letters[0].error.contains("as told"));
}

#[test]
fn a_call_that_overruns_its_deadline_has_failed() {
    static SLOW: Stream<()> = Stream::new("slow");
    #[derive(Clone)]
    struct Slow;
    impl Computation for Slow {
        type Input = ();
        fn declare(&self, _: &mut Declaration) {}
        async fn process(&mut self, _: &mut Context<'_>, _: Input<()>) -> Result<(), Failure> {
            std::future::pending().await
        }
    }
    let step = Step::new("slow", Slow).reads(&SLOW).deadline(Duration::from_millis(1));
    let mut harness = Harness::new(step).unwrap();
    harness.push(&SLOW, "k", at(1), &()).unwrap();
    assert!(harness.failure("k").unwrap().unwrap().reason.contains("did not return within 1ms"));
}

#[test]
fn a_failure_that_stops_the_pipeline_stops_the_harness_until_it_is_mended_and_started_again() {
    let mended = Arc::new(AtomicBool::new(false));
    let step = Step::new("obedient", Obedient { mended: mended.clone() }).reads(&ORDERS);
    let mut harness = Harness::new(step).unwrap();
    let error = harness.push(&ORDERS, "k", at(5), &Do::Stop).unwrap_err();
    assert!(error.to_string().contains("mend me") && error.to_string().contains("crash()"), "{error}");
    let again = harness.value(&SEEN, "k").unwrap_err();
    assert!(matches!(again, HarnessError::Stopped { .. }), "{again}");
    mended.store(true, Ordering::SeqCst);
    harness.crash().unwrap();
    assert_eq!(counts(&mut harness), [1], "I5: it was not acknowledged, so it came again");
}
