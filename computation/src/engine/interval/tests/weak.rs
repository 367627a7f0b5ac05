//! Weak productions: sent before the commit, acknowledged upstream after downstream (I4, I6).

use super::*;
use crate::pipeline::RetryPolicy;
use crate::timer::Timer;

fn weak(step: Step<Scripted>) -> Step<Scripted> {
    step.weak()
}

fn ids(deliveries: &[(u64, u64, Delivery)]) -> Vec<RecordId> {
    deliveries.iter().flat_map(|(.., delivery)| delivery.items.iter().map(|item| item.record.id)).collect()
}

#[tokio::test]
async fn a_weak_production_is_sent_first_and_its_cause_acknowledged_after_it_and_the_commit() {
    let mut hand = Hand::with(weak, pass_on).await;
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.bundle().await;
    hand.seal();
    let sent = hand.deliveries();
    assert_eq!(sent.len(), 1, "before anything is stored");
    assert!(!hand.commit().await, "I4: it waits for the acknowledgement");
    hand.acknowledge(&sent);
    assert_eq!(hand.acknowledged(), [0; 0], "I4: and for its own commit");
    assert!(hand.commit().await);
    assert_eq!(hand.acknowledged(), [0]);
    assert_eq!(hand.stored(hand.keys.outbox_of(KeyPosition(0))), 0, "nothing was journaled");
}

#[tokio::test]
async fn a_weak_production_made_again_has_the_same_id() {
    let mut hand = Hand::with(weak, |cx, event| {
        pass_on(cx, event)?;
        pass_on(cx, event)
    })
    .await;
    let mut made = Vec::new();
    for _ in 0..3 {
        hand.deliver(vec![record(1, "a", 1, 10), record(2, "b", 2, 10)]);
        hand.bundle().await;
        hand.seal();
        made.push(ids(&hand.deliveries()));
        hand.wait(Duration::from_secs(60));
        hand.crash().await;
    }
    assert_eq!(made[0].len(), 4);
    assert!(made.iter().all(|ids| *ids == made[0]), "I6: {made:?}");
    let mut distinct = made[0].clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 4);
}

#[tokio::test]
async fn stragglers_are_journaled_in_the_commit_that_releases_upstream() {
    let mut hand = Hand::with(weak, pass_on).await;
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.bundle().await;
    hand.seal();
    let first = ids(&hand.deliveries());
    hand.wait(Duration::from_secs(2));
    assert!(hand.commit().await);
    assert_eq!(hand.acknowledged(), [0]);
    hand.crash().await;
    let again = hand.deliveries();
    assert_eq!(ids(&again), first, "I5: it is sent again, under its id");
    hand.announce(EventTime::MIN, 500);
    assert_eq!(hand.core.promise(), ms(1), "I6: and counts for the promise");
    hand.acknowledge(&again);
    hand.wait(Duration::from_secs(1));
    hand.run().await;
    assert_eq!(hand.stored(hand.keys.outbox_of(KeyPosition(0))), 0);
}

#[tokio::test]
async fn a_weak_computation_promises_no_more_than_its_inputs() {
    let mut hand = Hand::with(weak, pass_on).await;
    hand.announce(EventTime::MIN, 300);
    assert_eq!(hand.core.promise(), ms(300), "I6: what it makes of a record is as old as the record");
    hand.announce(EventTime::MIN, 500);
    assert_eq!(hand.core.promise(), ms(500));
}

#[tokio::test]
async fn productions_of_timers_are_always_strong() {
    let mut hand = Hand::with(weak, |cx, event| match event {
        Event::Record(_) => cx.set_timer(Timer::event("t", at(20))),
        Event::Timer(_) => cx.emit(&OUT, "k", at(20), &7),
    })
    .await;
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.run().await;
    hand.announce(at(20), 0);
    hand.bundle().await;
    hand.seal();
    assert_eq!(hand.sent(), [], "I5: no upstream would repeat it");
    assert!(hand.commit().await);
    hand.crash().await;
    assert_eq!(hand.sent(), [(0, vec![7])]);
}

/// A reign may have sent them before it ended; so they keep their ids, and what they are to be told from by their ids
/// must not be forgotten while the record is parked.
#[tokio::test]
async fn productions_of_parked_records_are_strong_and_keep_their_ids_and_the_promise_waits_for_them() {
    let policy = RetryPolicy { grace: Duration::ZERO, ..RetryPolicy::default() };
    let mut hand = Hand::with(
        move |step| step.weak().retry(policy),
        |cx, event| {
            let since_us = cx.now().as_micros() - START.as_micros();
            if (10_000_000..100_000_000).contains(&since_us) {
                return Err(Failure::retry("the outside is down"));
            }
            pass_on(cx, event)
        },
    )
    .await;
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.bundle().await;
    hand.seal();
    let first = ids(&hand.deliveries());
    assert_eq!(first.len(), 1);
    hand.crash().await;
    hand.wait(Duration::from_secs(20));
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.run().await;
    hand.wait(Duration::from_millis(1));
    hand.run().await;
    assert_eq!(hand.acknowledged(), [0], "it is parked");
    // So its senders promise that nothing so old comes any more.
    hand.announce(EventTime::MIN, 900_000);
    assert_eq!(hand.core.promise(), ms(1), "I6: what is parked has an old id");
    hand.crash().await;
    hand.announce(EventTime::MIN, 900_000);
    assert_eq!(hand.core.promise(), ms(1), "I6: for a new owner too");
    hand.wait(Duration::from_secs(100));
    hand.bundle().await;
    hand.seal();
    assert_eq!(hand.sent(), [], "I5: no upstream would repeat it");
    assert!(hand.commit().await);
    let again = hand.deliveries();
    assert_eq!(ids(&again), first, "I6: it may have been sent before");
    hand.acknowledge(&again);
    hand.wait(Duration::from_secs(1));
    hand.run().await;
    assert!(hand.core.promise() > ms(1), "nothing so old comes any more");
}
