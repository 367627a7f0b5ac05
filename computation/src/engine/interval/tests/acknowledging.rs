//! When a sender hears that its record is done (I4), and what removes productions (I5).

use super::*;

#[tokio::test]
async fn a_sender_is_acknowledged_only_once_its_record_is_durable() {
    let mut hand = Hand::with(as_is, pass_on).await;
    let number = hand.deliver(vec![record(1, "a", 1, 10), record(2, "b", 2, 10)]);
    hand.bundle().await;
    assert_eq!(hand.acknowledged(), [0; 0], "it has run, and nothing is durable");
    hand.seal();
    assert_eq!(hand.acknowledged(), [0; 0], "its commit is on its way");
    assert!(hand.commit().await);
    assert_eq!(hand.acknowledged(), [number]);
}

#[tokio::test]
async fn a_delivery_is_acknowledged_with_the_last_of_its_records() {
    let mut hand = Hand::with(as_is, |cx, event| match event {
        Event::Record(input) if input.value == 2 && cx.now() == START => Err(Failure::retry("not yet")),
        _ => Ok(()),
    })
    .await;
    let number = hand.deliver(vec![record(1, "a", 1, 10), record(2, "b", 2, 10)]);
    hand.run().await;
    assert_eq!(hand.acknowledged(), [0; 0], "one of its records waits");
    hand.wait(Duration::from_millis(20));
    hand.run().await;
    assert_eq!(hand.acknowledged(), [number]);
}

#[tokio::test]
async fn a_duplicate_of_an_uncommitted_record_is_acknowledged_only_with_the_original() {
    let log = Log::default();
    let seen = log.clone();
    let mut hand = Hand::with(as_is, move |_, event| {
        seen.add(format!("{event:?}").split('(').next().unwrap_or_default());
        Ok(())
    })
    .await;
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.bundle().await;
    hand.seal();
    // Its commit is on its way, and its sender starts again.
    hand.new_epoch();
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.bundle().await;
    assert_eq!(hand.acknowledged(), [0; 0], "I4: the original may still be lost");
    assert_eq!(log.take().len(), 1, "I6: it has run already");
    assert!(hand.commit().await);
    hand.run().await;
    assert_eq!(hand.acknowledged(), [0]);
}

#[tokio::test]
async fn a_duplicate_in_the_same_bundle_is_acknowledged_only_with_the_original() {
    let mut hand = Hand::with(as_is, |cx, event| match event {
        Event::Record(_) if cx.now() == START => Err(Failure::retry("not yet")),
        _ => Ok(()),
    })
    .await;
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.run().await;
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.run().await;
    assert_eq!(hand.acknowledged(), [0; 0], "I4: the original waits to be tried again");
    hand.wait(Duration::from_millis(20));
    hand.bundle().await;
    assert_eq!(hand.acknowledged(), [0; 0]);
    hand.run().await;
    let mut acknowledged = hand.acknowledged();
    acknowledged.sort_unstable();
    assert_eq!(acknowledged, [0, 1, 2]);
}

#[tokio::test]
async fn a_duplicate_of_a_committed_record_is_acknowledged_at_once_also_after_a_crash() {
    let mut hand = Hand::with(as_is, pass_on).await;
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.run().await;
    assert_eq!(hand.acknowledged(), [0]);
    for crash in [false, true, true] {
        if crash {
            hand.crash().await;
        } else {
            hand.new_epoch();
        }
        hand.deliver(vec![record(1, "a", 1, 10), record(1, "a", 1, 10)]);
        hand.bundle().await;
        assert_eq!(hand.acknowledged(), [0]);
        assert!(hand.core.scope.batch.productions.is_empty(), "I6: it ran again");
    }
}

#[tokio::test]
async fn productions_leave_the_store_once_acknowledged_by_a_commit_of_their_own_if_need_be() {
    let mut hand = Hand::with(as_is, pass_on).await;
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.run().await;
    let outbox = hand.keys.outbox_of(KeyPosition(0));
    assert_eq!(hand.stored(outbox.clone()), 1);
    let sent = hand.deliveries();
    assert_eq!(sent.len(), 1);
    hand.crash().await;
    let again = hand.deliveries();
    assert_eq!(again.len(), 1, "I5: it is sent again until it is acknowledged");
    hand.acknowledge(&again);
    assert!(!hand.core.should_seal(), "there may be another commit to do it");
    hand.wait(hand.options.removal_delay);
    assert!(hand.core.should_seal(), "a commit that only removes always runs");
    hand.run().await;
    assert_eq!(hand.stored(outbox), 0);
}

#[tokio::test]
async fn at_the_bound_of_the_outbox_no_work_runs_and_acknowledgements_still_count() {
    let options = IntervalOptions { outbox_bytes_max: 8, batch_calls_max: 1, ..IntervalOptions::default() };
    let mut hand = Hand::with_options(options, as_is, pass_on).await;
    for id in 1..=3 {
        hand.deliver(vec![record(id, "a", id, 10)]);
        hand.run().await;
    }
    let mut done = 0;
    while done < 3 {
        let sent = hand.deliveries();
        assert_eq!(sent.len(), 1, "I11: no more than the bound");
        assert_eq!(values(&sent.first().unwrap().2)[0], done + 1, "I9");
        hand.acknowledge(&sent);
        hand.run().await;
        done += 1;
    }
    assert_eq!(hand.acknowledged(), [0, 1, 2]);
}
