//! Timers: once, in order, and only the current one (I8).

use super::*;
use crate::timer::{TimeDomain, Timer};

/// Sets timers as a record says, and does `then` when they fire.
async fn hand(
    log: &Log,
    set: &'static [(&'static str, i64)],
    then: impl Fn(&mut Context<'_>, &Fired) -> Result<(), Failure> + Send + Sync + 'static,
) -> Hand {
    let log = log.clone();
    let mut hand = Hand::with(as_is, move |cx, event| match event {
        Event::Record(_) => set.iter().try_for_each(|(tag, fire)| cx.set_timer(Timer::event(tag, at(*fire)))),
        Event::Timer(fired) => {
            log.add(format!("{} {}", fired.tag, fired.fire_at_us));
            then(cx, fired)
        }
    })
    .await;
    hand.deliver(vec![record(1, "a", 1, 5)]);
    hand.run().await;
    hand
}

#[tokio::test]
async fn a_timer_fires_once_and_not_before_the_watermark_through_crashes() {
    let log = Log::default();
    let mut hand = hand(&log, &[("t", 20)], |_, _| Ok(())).await;
    for (watermark, expected) in [(19, 0), (20, 1), (30, 0)] {
        hand.crash().await;
        hand.announce(at(watermark), 0);
        hand.bundle().await;
        assert_eq!(log.take().len(), expected, "I8: at {watermark}");
        hand.run().await;
    }
    assert_eq!(log.take(), [""; 0]);
}

#[tokio::test]
async fn a_timer_that_fired_in_a_batch_that_was_lost_fires_again() {
    let log = Log::default();
    let mut hand = hand(&log, &[("t", 20)], |_, _| Ok(())).await;
    hand.announce(at(20), 0);
    hand.bundle().await;
    hand.seal();
    hand.crash().await;
    hand.announce(at(20), 0);
    hand.run().await;
    assert_eq!(log.take(), ["t 20", "t 20"], "I8: exactly once is by commit");
}

#[tokio::test]
async fn a_timer_replaced_or_cleared_while_it_is_being_read_does_not_fire() {
    let log = Log::default();
    let mut hand = hand(&log, &[("a", 10), ("b", 20), ("c", 20)], |cx, fired| {
        if fired.tag == "a" {
            // Both have come due with it, and are in the same bundle.
            cx.set_timer(Timer::event("b", at(90)))?;
            cx.clear_timer("c", TimeDomain::Event)?;
        }
        Ok(())
    })
    .await;
    hand.announce(at(30), 0);
    hand.run().await;
    assert_eq!(log.take(), ["a 10"], "I8");
    hand.announce(at(90), 0);
    hand.run().await;
    assert_eq!(log.take(), ["b 90"]);
}

#[tokio::test]
async fn a_timer_that_a_timer_sets_takes_its_place_in_the_order_of_times() {
    for jump in [&[60][..], &[10, 60], &[10, 15, 20, 30, 60], &[25, 40, 60]] {
        let log = Log::default();
        let mut hand = hand(&log, &[("a", 10), ("b", 20), ("c", 30)], |cx, fired| match fired.fire_at_us {
            10 => cx.set_timer(Timer::event("between", at(15))),
            20 => cx.set_timer(Timer::event("a", at(25))),
            _ => Ok(()),
        })
        .await;
        for watermark in jump {
            hand.announce(at(*watermark), 0);
            hand.run().await;
        }
        let expected = ["a 10", "between 15", "b 20", "a 25", "c 30"];
        assert_eq!(
            log.take(),
            expected,
            "I8, I12: whether the watermark goes in steps of {jump:?} or at once"
        );
    }
}

#[tokio::test]
async fn the_effects_of_a_call_that_fails_include_its_timers() {
    let log = Log::default();
    let mut hand = hand(&log, &[("a", 10), ("b", 50)], |cx, _| {
        if cx.now() == START {
            cx.set_timer(Timer::event("b", at(11)))?;
            cx.set_timer(Timer::event("c", at(11)))?;
            return Err(Failure::retry("not yet"));
        }
        Ok(())
    })
    .await;
    hand.announce(at(40), 0);
    hand.run().await;
    hand.wait(Duration::from_secs(1));
    hand.run().await;
    assert_eq!(log.take(), ["a 10", "a 10"]);
}
