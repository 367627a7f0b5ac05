//! What holds the low watermark of an interval (I7).

use super::*;
use crate::timer::Timer;

#[tokio::test]
async fn the_watermark_waits_for_a_production_from_the_call_to_its_acknowledgement() {
    let mut hand = Hand::with(as_is, pass_on).await;
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.bundle().await;
    hand.announce(EventTime::MAX, 0);
    assert_eq!(hand.low_watermark(), at(10), "I7: it is in a batch that is open");
    hand.seal();
    assert_eq!(hand.low_watermark(), at(10), "I7: it is in a batch whose commit is on its way");
    assert!(hand.commit().await);
    assert_eq!(hand.low_watermark(), at(10), "I7: it is in the outbox");
    hand.crash().await;
    hand.announce(EventTime::MAX, 0);
    assert_eq!(hand.low_watermark(), at(10), "I7: a successor finds it there");
    let sent = hand.deliveries();
    hand.acknowledge(&sent);
    assert_eq!(hand.low_watermark(), EventTime::MAX);
}

#[tokio::test]
async fn the_watermark_waits_for_a_timer_until_its_firing_is_committed() {
    let mut hand = Hand::with(as_is, |cx, event| match event {
        Event::Record(_) => cx.set_timer(Timer::event("t", at(50)).output_at(at(20))),
        Event::Timer(_) => Ok(()),
    })
    .await;
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.run().await;
    hand.announce(at(49), 0);
    hand.run().await;
    assert_eq!(hand.low_watermark(), at(20), "I7: it is set");
    hand.crash().await;
    hand.announce(EventTime::MAX, 0);
    assert_eq!(hand.low_watermark(), at(20), "I7: a successor finds it set");
    hand.bundle().await;
    assert_eq!(hand.low_watermark(), at(20), "I7: it has fired in a batch that is open");
    hand.seal();
    assert_eq!(hand.low_watermark(), at(20), "I7: it has fired in a batch whose commit is on its way");
    assert!(hand.commit().await);
    assert_eq!(hand.low_watermark(), EventTime::MAX);
}

#[tokio::test]
async fn the_watermark_is_that_of_the_input_that_was_applied_and_never_goes_back() {
    let mut hand = Hand::with(as_is, pass_on).await;
    assert_eq!(hand.low_watermark(), EventTime::MIN, "no value yet is minus infinity");
    hand.announce(at(30), 0);
    hand.announce(at(20), 0);
    assert_eq!(hand.low_watermark(), at(30));
    hand.deliver(vec![record(1, "a", 1, 40)]);
    hand.run().await;
    hand.crash().await;
    assert_eq!(hand.low_watermark(), at(30), "I7: an expired window stays expired");
}

#[tokio::test]
async fn a_processing_timer_that_says_nothing_holds_where_the_one_that_sets_it_held() {
    let mut hand = Hand::with(as_is, |cx, event| match event {
        Event::Record(_) => cx.set_timer(Timer::after("t", Duration::ZERO).output_at(at(10))),
        Event::Timer(_) => cx.set_timer(Timer::after("t", Duration::from_secs(1))),
    })
    .await;
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.announce(EventTime::MAX, 0);
    hand.run().await;
    for _ in 0..3 {
        hand.wait(Duration::from_secs(1));
        hand.run().await;
        assert_eq!(hand.low_watermark(), at(10), "I7: what it emits would be late downstream");
    }
}
