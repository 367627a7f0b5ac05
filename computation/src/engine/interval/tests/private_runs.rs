//! A batch that runs before the one before it has committed: it sees that one's effects, and nobody else does.

use super::*;

#[tokio::test]
async fn a_private_run_sees_what_is_not_committed_and_nothing_of_it_leaves() {
    let log = Log::default();
    let seen = log.clone();
    let mut hand = Hand::with(as_is, move |cx, event| {
        if let Event::Record(input) = event {
            let last = futures_util::FutureExt::now_or_never(LAST.get(cx)).unwrap()?;
            seen.add(format!("{last:?}"));
            LAST.set(cx, &input.value)?;
        }
        pass_on(cx, event)
    })
    .await;
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.bundle().await;
    hand.seal();
    hand.deliver(vec![record(2, "a", 2, 20)]);
    hand.bundle().await;
    assert_eq!(log.take(), ["None", "Some(1)"]);
    assert_eq!(hand.sent(), []);
    assert!(hand.commit().await);
    assert_eq!(hand.acknowledged(), [0]);
    assert_eq!(hand.sent(), [(0, vec![1])], "what the second made is not committed");
    hand.deliver(vec![record(3, "a", 3, 30)]);
    hand.bundle().await;
    assert_eq!(log.take(), ["Some(2)"], "still pinned, though the first has committed");
    // The commit of the second and third fails: a new owner begins where the store is.
    hand.crash().await;
    hand.deliver(vec![record(2, "a", 2, 20), record(3, "a", 3, 30)]);
    hand.run().await;
    assert_eq!(log.take(), ["Some(1)", "Some(2)"], "their admission went with them");
}

#[tokio::test]
async fn what_is_not_committed_is_never_evicted() {
    let log = Log::default();
    let seen = log.clone();
    let options = IntervalOptions { cache_bytes_max: 0, ..IntervalOptions::default() };
    let mut hand = Hand::with_options(options, as_is, move |cx, event| {
        if let Event::Record(input) = event {
            let last = futures_util::FutureExt::now_or_never(LAST.get(cx)).unwrap()?;
            seen.add(format!("{last:?}"));
            LAST.set(cx, &input.value)?;
        }
        Ok(())
    })
    .await;
    hand.deliver(vec![record(1, "b", 1, 10)]);
    hand.bundle().await;
    hand.seal();
    hand.deliver(vec![record(2, "a", 2, 20)]);
    hand.bundle().await;
    // The commit of the first makes room in the cache; what the second wrote stays.
    assert!(hand.commit().await);
    hand.deliver(vec![record(3, "a", 3, 20)]);
    hand.bundle().await;
    assert_eq!(log.take(), ["None", "None", "Some(2)"]);
}

#[tokio::test]
async fn a_page_of_a_private_run_merges_what_is_not_committed() {
    let log = Log::default();
    let seen = log.clone();
    let mut hand = Hand::with(as_is, move |cx, event| {
        let Event::Record(input) = event else { return Ok(()) };
        match input.value {
            0 => SEEN.clear(cx)?,
            value if value > 100 => SEEN.remove(cx, &(value - 100))?,
            value => SEEN.insert(cx, &value, &value)?,
        }
        let page = futures_util::FutureExt::now_or_never(SEEN.all(cx)).unwrap()?;
        seen.add(format!("{:?}", page.into_iter().map(|(key, _)| key).collect::<Vec<_>>()));
        Ok(())
    })
    .await;
    hand.deliver(vec![record(1, "a", 1, 10), record(2, "a", 2, 10), record(3, "a", 3, 10)]);
    hand.run().await;
    assert_eq!(log.take(), ["[1]", "[1, 2]", "[1, 2, 3]"]);
    // One after the other, each on top of one that is not committed.
    let mut id = 10;
    for (value, expected) in
        [(102, "[1, 3]"), (4, "[1, 3, 4]"), (0, "[]"), (5, "[5]"), (105, "[]"), (6, "[6]"), (7, "[6, 7]")]
    {
        if hand.core.sealed.is_some() {
            assert!(hand.commit().await);
        }
        if !hand.core.scope.batch.is_empty() {
            hand.seal();
        }
        id += 1;
        hand.deliver(vec![record(id, "a", value, 10)]);
        hand.bundle().await;
        assert_eq!(log.take(), [expected], "after {value}");
    }
}

#[tokio::test]
async fn dead_letters_are_replayed_once_though_their_removal_is_not_committed() {
    let log = Log::default();
    let seen = log.clone();
    let mut hand = Hand::with(as_is, move |cx, event| match event {
        Event::Record(_) if cx.now() == START => Err(Failure::permanent("never")),
        Event::Record(input) => {
            seen.add(format!("{}", input.value));
            Ok(())
        }
        Event::Timer(_) => Ok(()),
    })
    .await;
    hand.deliver(vec![record(1, "a", 1, 10)]);
    hand.run().await;
    hand.wait(Duration::from_secs(1));
    assert_eq!(hand.core.replay_dead_letters().await.unwrap(), 1);
    assert_eq!(hand.core.replay_dead_letters().await.unwrap(), 0, "it is in the open batch");
    hand.seal();
    assert_eq!(hand.core.replay_dead_letters().await.unwrap(), 0, "its commit is on its way");
    hand.run().await;
    hand.wait(Duration::from_secs(1));
    hand.run().await;
    assert_eq!(log.take(), ["1"], "I2: replayed once");
}
