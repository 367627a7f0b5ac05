//! A key whose code fails: parked with its ids, in order, under a watermark of its own, and bounded (I9, I10, I11).

use super::*;
use crate::pipeline::RetryPolicy;
use crate::timer::Timer;

/// The time from which on the code works again.
const RECOVERED: ProcessingTime = ProcessingTime::from_secs(1_090);

fn policy(step: Step<Scripted>) -> Step<Scripted> {
    let policy = RetryPolicy {
        delay_max: Duration::from_millis(10),
        grace: Duration::from_secs(1),
        parked_age_max: Duration::from_secs(100),
        timer_age_max: Duration::from_secs(60),
        ..RetryPolicy::default()
    };
    step.retry(policy)
}

/// Fails for key `bad` until it has recovered, for key `lost` always, and logs every call that succeeds.
async fn hand(log: &Log) -> Hand {
    let log = log.clone();
    Hand::with(policy, move |cx, event| {
        let bad = *cx.key() == Key::from("bad") && cx.now() < RECOVERED;
        if bad || *cx.key() == Key::from("lost") {
            return Err(Failure::retry("the outside is down"));
        }
        match event {
            Event::Record(input) if input.value >= 100 => {
                cx.set_timer(Timer::event("t", input.event_time))?;
            }
            _ => {}
        }
        log.add(match event {
            Event::Record(input) => format!("{} at {}", input.value, cx.input_watermark().as_micros()),
            Event::Timer(fired) => format!("timer {}", fired.fire_at_us),
        });
        Ok(())
    })
    .await
}

#[tokio::test]
async fn parked_records_are_committed_with_their_ids_before_they_are_acknowledged() {
    let log = Log::default();
    let mut hand = hand(&log).await;
    hand.deliver(vec![record(1, "bad", 1, 10), record(2, "good", 2, 10)]);
    hand.run().await;
    assert_eq!((log.take().len(), hand.acknowledged()), (1, vec![]), "only that key waits");
    hand.wait(Duration::from_secs(1));
    hand.bundle().await;
    hand.seal();
    assert_eq!(hand.acknowledged(), [0; 0], "I4: not before they are durable");
    assert!(hand.commit().await);
    assert_eq!(hand.acknowledged(), [0], "the senders do not wait");
    assert_eq!(hand.stored(hand.keys.parked_of_interval(KeyInterval::FULL)), 1);
    hand.crash().await;
    hand.deliver(vec![record(1, "bad", 1, 10)]);
    hand.run().await;
    assert_eq!(hand.acknowledged(), [0], "I6: a duplicate of what is parked");
    hand.clock.set(RECOVERED);
    hand.run().await;
    assert_eq!(log.take().len(), 1, "I10: it is processed, once");
    assert_eq!(hand.stored(hand.keys.parked_of_interval(KeyInterval::FULL)), 0);
}

#[tokio::test]
async fn later_records_of_a_parked_key_go_behind_the_parked_ones() {
    let log = Log::default();
    let mut hand = hand(&log).await;
    // More than one bundle takes up.
    let parked = |from: u64| (from..from + 40).map(|id| record(id, "bad", id - 1, 10)).collect::<Vec<_>>();
    hand.deliver(parked(1));
    hand.deliver(parked(41));
    hand.run().await;
    hand.wait(Duration::from_secs(1));
    hand.run().await;
    hand.deliver(parked(81));
    hand.run().await;
    hand.clock.set(RECOVERED);
    hand.core.scope.now = RECOVERED;
    hand.deliver(parked(121));
    hand.run().await;
    let order: Vec<u64> =
        log.take().iter().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    assert_eq!(order.len(), 160);
    assert!(order.iter().all(|value| *value < 160) && order.is_sorted(), "I9: {order:?}");
}

#[tokio::test]
async fn for_a_parked_key_lateness_and_timers_follow_its_oldest_parked_record() {
    let log = Log::default();
    let mut hand = hand(&log).await;
    hand.deliver(vec![record(1, "bad", 100, 20), record(2, "bad", 1, 30), record(3, "good", 2, 30)]);
    hand.run().await;
    hand.wait(Duration::from_secs(1));
    hand.run().await;
    hand.announce(at(90), 0);
    hand.run().await;
    assert_eq!(hand.low_watermark(), at(20), "I7: it holds the output");
    log.take();
    hand.deliver(vec![record(4, "good", 3, 95)]);
    hand.clock.set(RECOVERED);
    hand.run().await;
    let lines = log.take();
    let of = |text: &str| {
        lines.iter().position(|line| line == text).unwrap_or_else(|| panic!("{text}: {lines:?}"))
    };
    of("3 at 90");
    assert!(of("100 at 20") < of("1 at 30"), "I7: neither is late for having waited: {lines:?}");
    of("timer 20");
    assert_eq!(hand.low_watermark(), at(90));
}

#[tokio::test]
async fn what_a_parked_record_releases_holds_until_that_is_committed() {
    let log = Log::default();
    let mut hand = hand(&log).await;
    hand.deliver(vec![record(1, "bad", 1, 20)]);
    hand.run().await;
    hand.wait(Duration::from_secs(1));
    hand.run().await;
    hand.announce(at(90), 0);
    hand.clock.set(RECOVERED);
    hand.bundle().await;
    assert_eq!((log.take().len(), hand.low_watermark()), (1, at(20)), "I7: the batch is open");
    hand.seal();
    assert_eq!(hand.low_watermark(), at(20), "I7: its commit is on its way");
    assert!(hand.commit().await);
    assert_eq!(hand.low_watermark(), at(90));
}

/// A timer that fails from the first on, beside the timer of a key that does not.
async fn with_timers(log: &Log) -> Hand {
    let log = log.clone();
    let mut hand = Hand::with(policy, move |cx, event| match event {
        Event::Record(input) => cx.set_timer(Timer::event("t", input.event_time).payload("what was due")),
        Event::Timer(_) if *cx.key() == Key::from("bad") && cx.now() < RECOVERED => {
            Err(Failure::retry("the outside is down"))
        }
        Event::Timer(fired) => {
            log.add(format!("{} {}", cx.key(), fired.fire_at_us));
            Ok(())
        }
    })
    .await;
    hand.deliver(vec![record(1, "bad", 1, 20), record(2, "good", 2, 20)]);
    hand.run().await;
    hand.announce(at(90), 0);
    hand.run().await;
    hand
}

#[tokio::test]
async fn a_timer_whose_call_fails_holds_and_is_tried_again() {
    let log = Log::default();
    let mut hand = with_timers(&log).await;
    assert_eq!(
        (log.take(), hand.low_watermark()),
        (vec!["good 20".to_owned()], at(20)),
        "only that key waits"
    );
    hand.wait(Duration::from_secs(59));
    hand.run().await;
    assert_eq!(hand.low_watermark(), at(20), "it is not given up yet");
    hand.clock.set(RECOVERED);
    hand.run().await;
    assert_eq!((log.take(), hand.low_watermark()), (vec!["bad 20".to_owned()], at(90)));
    assert!(hand.core.failing.is_empty());
}

#[tokio::test]
async fn a_timer_that_fails_for_too_long_becomes_a_dead_letter_in_the_commit_that_releases_its_key() {
    let log = Log::default();
    let mut hand = with_timers(&log).await;
    let letters = hand.keys.dead_letters(KeyInterval::FULL);
    let timers = hand.keys.timers(KeyInterval::FULL);
    for _ in 0..6 {
        hand.wait(Duration::from_secs(10));
        assert_eq!((hand.stored(letters.clone()), hand.stored(timers.clone())), (0, 1));
        hand.bundle().await;
    }
    assert_eq!(hand.low_watermark(), at(20), "I7: it holds until that is committed");
    assert!(hand.core.failing.is_empty(), "I11: the key goes on");
    hand.seal();
    assert!(hand.commit().await);
    assert_eq!((hand.stored(letters.clone()), hand.stored(timers)), (1, 0), "I2, I10");
    assert_eq!(hand.low_watermark(), at(90));
    let stored = hand.store.dump().into_iter().find(|(key, _)| letters.start <= *key && *key < letters.end);
    let letter: pelton_proto::store::DeadLetter =
        pelton_proto::convert::decode("dead letter", &stored.unwrap().1).unwrap();
    assert_eq!(letter.error, "timer \"t\": the outside is down; tried for 60 s");
    assert_eq!((letter.value, letter.stream), (Bytes::from("what was due"), 0));
    assert!(letter.attempts > 3);
    // The key is as every other.
    log.take();
    hand.clock.set(RECOVERED);
    hand.deliver(vec![record(3, "bad", 3, 95)]);
    hand.announce(at(100), 0);
    hand.run().await;
    assert_eq!(log.take(), ["bad 95"]);
}

#[tokio::test]
async fn a_queue_past_its_age_becomes_dead_letters_in_the_commit_that_releases_its_key() {
    let log = Log::default();
    let mut hand = hand(&log).await;
    hand.deliver(vec![record(1, "lost", 1, 20), record(2, "lost", 2, 30)]);
    hand.run().await;
    hand.wait(Duration::from_secs(1));
    hand.run().await;
    hand.announce(at(90), 0);
    let letters = hand.keys.dead_letters(KeyInterval::FULL);
    let parked = hand.keys.parked_of_interval(KeyInterval::FULL);
    // The age is in the store, and goes on through a crash.
    hand.wait(Duration::from_secs(50));
    hand.crash().await;
    hand.announce(at(90), 0);
    hand.wait(Duration::from_secs(49));
    hand.run().await;
    assert_eq!((hand.stored(letters.clone()), hand.stored(parked.clone())), (0, 2));
    hand.wait(Duration::from_secs(1));
    hand.bundle().await;
    assert_eq!(hand.low_watermark(), at(20), "I7: they hold until that is committed");
    hand.seal();
    assert!(hand.commit().await);
    assert_eq!((hand.stored(letters), hand.stored(parked)), (2, 0), "I2, I10");
    assert_eq!(hand.low_watermark(), at(90));
    hand.run().await;
    assert!(hand.core.failing.is_empty(), "I11: the key goes on");
}

#[tokio::test]
async fn the_timers_of_a_parked_key_wait_for_its_older_parked_records() {
    let log = Log::default();
    let seen = log.clone();
    let mut hand = Hand::with(policy, move |cx, event| {
        let waits = matches!(event, Event::Record(input) if input.value != 7);
        if waits && cx.now() < RECOVERED {
            return Err(Failure::retry("the outside is down"));
        }
        seen.add(match event {
            Event::Record(input) => format!("{}", input.value),
            Event::Timer(fired) => format!("timer {}", fired.fire_at_us),
        });
        match event {
            Event::Record(input) if input.value == 7 => cx.set_timer(Timer::event("t", at(50))),
            _ => Ok(()),
        }
    })
    .await;
    hand.deliver(vec![record(1, "a", 7, 10), record(2, "a", 8, 20)]);
    hand.run().await;
    hand.wait(Duration::from_secs(1));
    hand.run().await;
    hand.announce(at(90), 0);
    hand.run().await;
    hand.clock.set(RECOVERED);
    hand.run().await;
    assert_eq!(log.take(), ["7", "8", "timer 50"], "I8: its watermark stood at 20");
}
