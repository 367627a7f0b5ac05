//! Ids: what a promise covers, and what a horizon allows to forget (I6).

use super::*;

#[tokio::test]
async fn the_promise_covers_every_production_until_it_has_left_the_store() {
    let mut hand = Hand::with(as_is, pass_on).await;
    let first = crate::engine::clock::system_time(START);
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.bundle().await;
    hand.wait(Duration::from_secs(5));
    assert_eq!(hand.core.promise(), first, "I6: it is in a batch that is open");
    hand.seal();
    assert_eq!(hand.core.promise(), first, "I6: it is in a batch whose commit is on its way");
    assert!(hand.commit().await);
    assert_eq!(hand.core.promise(), first, "I6: it is in the outbox");
    let sent = hand.deliveries();
    hand.acknowledge(&sent);
    assert_eq!(hand.core.promise(), first, "I6: a successor would send it again");
    hand.wait(Duration::from_secs(5));
    hand.seal();
    assert_eq!(hand.core.promise(), first, "I6: its removal is on its way");
    assert!(hand.commit().await);
    assert_eq!(hand.core.promise(), crate::engine::clock::system_time(hand.core.scope.now));
}

#[tokio::test]
async fn a_promise_is_kept_when_the_clock_goes_back_idle_or_not() {
    let mut hand = Hand::with(as_is, pass_on).await;
    let promised = hand.core.promise();
    hand.clock.set(START.minus(Duration::from_secs(3600)));
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.run().await;
    let oldest = hand.deliveries().first().unwrap().2.items[0].record.id.system_time();
    assert!(oldest >= promised, "I6: {oldest} after a promise of {promised}");
}

#[tokio::test]
async fn a_new_owner_assigns_no_id_below_what_was_announced_whatever_its_clock_says() {
    let mut hand = Hand::with(as_is, pass_on).await;
    // An idle interval has promised this, and no commit of it says so.
    hand.id_floor = hand.core.promise();
    hand.clock.set(START.minus(Duration::from_secs(3600)));
    hand.crash().await;
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.run().await;
    let oldest = hand.deliveries().first().unwrap().2.items[0].record.id.system_time();
    assert!(oldest >= hand.id_floor, "I6: {oldest}");
}

#[tokio::test]
async fn a_new_owner_assigns_no_id_below_those_of_its_predecessor() {
    let mut hand = Hand::with(as_is, pass_on).await;
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.run().await;
    let before = hand.deliveries().first().unwrap().2.items[0].record.id;
    hand.clock.set(START.minus(Duration::from_secs(3600)));
    hand.crash().await;
    hand.deliver(vec![record(2, "a", 1, 10)]);
    hand.run().await;
    let after = hand.deliveries().last().unwrap().2.items[0].record.id;
    assert!(after > before, "I6: {after} after {before}");
}

#[tokio::test]
async fn what_the_owner_has_forgotten_its_successor_knows() {
    let options = IntervalOptions { dedup_bucket_ms: 10, ..IntervalOptions::default() };
    let mut hand = Hand::with_options(options, as_is, pass_on).await;
    hand.deliver(vec![record(5, "a", 1, 10), record(15, "a", 2, 10)]);
    hand.run().await;
    let ids = hand.keys.dedup_buckets(KeyPosition(0), 0, u64::MAX);
    assert_eq!(hand.stored(ids.clone()), 2);
    hand.announce(EventTime::MIN, 12);
    hand.deliver(vec![record(16, "a", 3, 10)]);
    hand.run().await;
    assert_eq!(hand.stored(ids), 2, "a bucket was forgotten, and one came");
    assert_eq!(hand.reign.fence().dedup_horizon, ms(12));
    hand.crash().await;
    for id in [5, 15, 16] {
        hand.deliver(vec![record(id, "a", 9, 10)]);
    }
    hand.bundle().await;
    assert_eq!(hand.acknowledged(), [0, 1, 2]);
    assert!(hand.core.scope.batch.is_empty(), "I6: a known duplicate ran again");
}

#[tokio::test]
async fn a_packed_entry_that_a_sibling_has_collected_is_of_known_duplicates() {
    let mut hand = Hand::with(as_is, pass_on).await;
    hand.deliver(vec![record(5, "a", 1, 10), record(6, "a", 2, 10)]);
    hand.run().await;
    hand.acknowledged();
    // A sibling, whose horizon is further, removes it from the store.
    let ids = hand.keys.dedup_buckets(KeyPosition(0), 0, u64::MAX);
    let update = hand.reign.fence().unchanged();
    let removal = pelton_statestore::Write::DeleteRange { range: ids };
    hand.reign.commit(vec![removal], &update).await.unwrap();
    hand.core.scope.batch.number = hand.core.scope.batch.number.next();
    for (number, id) in [5, 6, 5].into_iter().enumerate() {
        hand.deliver(vec![record(id, "a", 9, 10)]);
        hand.bundle().await;
        assert_eq!(hand.acknowledged(), [2 + number as u64 - 1], "I6: a known duplicate ran again");
    }
}

/// A zombie of the producer sends again what its successor has long had acknowledged. The part of the split that it
/// comes to is taken over by a worker that has heard nothing of the horizon, which a sibling has acted on.
#[tokio::test]
async fn what_a_sibling_has_collected_a_new_owner_knows_though_nobody_has_told_it_the_horizon() {
    let mut hand = Hand::with(as_is, pass_on).await;
    hand.deliver(vec![record(5, "a", 1, 10)]);
    hand.run().await;
    hand.acknowledged();
    let (low, high) = KeyInterval::FULL.halves().unwrap();
    let (mine, other) = if low.contains(Key::from("a").position()) { (low, high) } else { (high, low) };
    let parts = [(mine, Sequencer::new(2)), (other, Sequencer::new(3))];
    let end = hand.core.dedup.newest_bucket_end();
    let children = Reign::reshape(&[hand.reign.clone()], &parts, end, vec![], vec![]).await.unwrap();
    let (mine, mut sibling) = match children.as_slice() {
        [first, second] if first.interval() == mine => (first.clone(), second.clone()),
        [first, second] => (second.clone(), first.clone()),
        _ => panic!("two parts"),
    };
    hand.journal_announced(*hand.spec.producers.first().unwrap(), end.as_millis()).await;
    let mut update = sibling.fence().unchanged();
    update.dedup_horizon = end;
    let range = hand.keys.dedup_buckets(KeyPosition(0), 0, u64::MAX);
    sibling.commit(vec![pelton_statestore::Write::DeleteRange { range }], &update).await.unwrap();
    hand.reign = mine;
    hand.recover().await;
    hand.deliver(vec![record(5, "a", 9, 10)]);
    hand.bundle().await;
    assert!(hand.core.scope.batch.is_empty(), "I6: a duplicate ran again");
    assert_eq!(hand.acknowledged(), [0]);
}

#[tokio::test]
async fn a_new_owner_assigns_no_id_below_what_is_journaled_though_it_has_not_heard_it() {
    let mut hand = Hand::with(as_is, pass_on).await;
    let announced = crate::engine::clock::system_time(START).as_millis() + 60_000;
    hand.journal_announced(99, announced).await;
    hand.crash().await;
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.run().await;
    let oldest = hand.deliveries().first().unwrap().2.items[0].record.id.system_time();
    assert!(oldest >= ms(announced), "I6: {oldest}");
}

#[tokio::test]
async fn packed_ids_stay_where_they_are_and_both_parts_of_a_split_consult_them() {
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let (low, high) = KeyInterval::FULL.halves().unwrap();
    for (part, other) in [(low, high), (high, low)] {
        let mut hand = Hand::with(as_is, pass_on).await;
        hand.deliver((0u64..).zip(keys).map(|(at, key)| record(5 + at, key, 1, 10)).collect());
        hand.run().await;
        let parts = [(part, Sequencer::new(2)), (other, None)];
        let end = hand.core.dedup.newest_bucket_end();
        let children = Reign::reshape(&[hand.reign.clone()], &parts, end, vec![], vec![]).await.unwrap();
        hand.reign = children.into_iter().next().unwrap();
        hand.recover().await;
        let mine: Vec<Item> = (0u64..)
            .zip(keys)
            .filter(|(_, key)| part.contains(Key::from(*key).position()))
            .map(|(at, key)| record(5 + at, key, 9, 10))
            .collect();
        assert!(!mine.is_empty(), "this case needs a key in each part");
        hand.deliver(mine);
        hand.bundle().await;
        assert_eq!(hand.acknowledged(), [0]);
        assert!(hand.core.scope.batch.is_empty(), "I6: a duplicate ran again in {part}");
        // Once nobody can send them any more, nothing of the whole is consulted.
        hand.announce(EventTime::MIN, end.as_millis());
        hand.deliver(vec![record(end.as_millis() + 1, keys[0], 1, 10)]);
        hand.run().await;
        assert_eq!(hand.reign.fence().ancestors, []);
    }
}

#[tokio::test]
async fn what_an_interval_that_was_merged_had_not_collected_the_whole_collects() {
    let options = IntervalOptions { dedup_bucket_ms: 10, ..IntervalOptions::default() };
    let mut hand = Hand::with_options(options, as_is, pass_on).await;
    hand.deliver(vec![record(5, "a", 1, 10), record(25, "a", 2, 10)]);
    hand.run().await;
    let ids = hand.keys.dedup_buckets(KeyPosition(0), 0, u64::MAX);
    assert_eq!(hand.stored(ids.clone()), 2);
    // The horizon of a whole is the highest of its parts: this part was behind.
    let mut update = hand.reign.fence().unchanged();
    update.dedup_horizon = ms(20);
    hand.reign.commit(vec![], &update).await.unwrap();
    hand.crash().await;
    hand.deliver(vec![record(25, "a", 2, 10), record(26, "a", 3, 10)]);
    hand.run().await;
    assert_eq!(hand.stored(ids), 2, "I6, I11: the first is forgotten, the second remembered, the third came");
    assert_eq!(hand.acknowledged(), [0]);
}
