//! One injector leads: restarts go on from the journal, and a deposed one says nothing new (I3, I7).

mod common;

use common::*;
use pelton_domain::{EventTime, KeyInterval};
use pelton_injector::{Accepted, End, StartError};
use pelton_statestore::memory::{FaultPlan, Memory};
use pelton_statestore::{Commit, StateStore, Write};
use proptest::prelude::*;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn i7_a_restart_goes_on_from_the_journal_and_nothing_goes_back() {
    let store = Memory::new();
    let (before, driver) = start(&store).await;
    let assigned = assign_whole(&before, 1).await;
    before.report(report(1, &assigned, 10)).unwrap();
    until(&before, 1, 10).await;
    let epoch = before.announced().epoch();
    drop(before);
    driver.await.unwrap();

    let (after, _driver) = start(&store).await;
    assert!(after.announced().epoch() > epoch);
    assert_eq!(after.announced().of(1), announced(10), "at once, before any report");
    assert_eq!(after.intervals(1)[0].assignment, assigned.assignment);
    assert_eq!(
        after.report(report(1, &assigned, 5)),
        Ok(Accepted::Holds),
        "the same reign goes on reporting"
    );
    assert_eq!(after.announced().of(1), announced(10));
    assert_eq!(after.report(report(1, &assigned, 12)), Ok(Accepted::Advances));
    until(&after, 1, 12).await;
}

#[tokio::test(start_paused = true)]
async fn i7_after_a_restart_a_computation_holds_until_every_interval_has_reported() {
    let store = Memory::new();
    let (before, driver) = start(&store).await;
    let halves = KeyInterval::partition(2).into_iter().map(|interval| (interval, "w".into())).collect();
    let assigned = before.assign(1, halves).await.unwrap();
    for assigned in &assigned {
        before.report(report(1, assigned, 10)).unwrap();
    }
    until(&before, 1, 10).await;
    drop(before);
    driver.await.unwrap();
    let (after, _driver) = start(&store).await;
    assert_eq!(after.report(report(1, &assigned[0], 90)), Ok(Accepted::Holds));
    assert_eq!(after.report(report(1, &assigned[1], 20)), Ok(Accepted::Advances));
    until(&after, 1, 20).await;
}

#[tokio::test(start_paused = true)]
async fn i7_a_deposed_leader_says_nothing_new() {
    let store = Memory::new();
    let (first, first_driver) = start(&store).await;
    let assigned = assign_whole(&first, 1).await;
    first.report(report(1, &assigned, 10)).unwrap();
    until(&first, 1, 10).await;
    let mut tables = first.subscribe();
    tables.borrow_and_update();

    let (second, _driver) = start(&store).await;
    first.report(report(1, &assigned, 90)).unwrap();
    let end = first_driver.await.unwrap();
    let (held, current) = (first.announced().epoch(), Some(second.announced().epoch()));
    assert_eq!(end, End::Deposed { held, current });
    tables.changed().await.unwrap();
    let last = tables.borrow_and_update().clone();
    assert_eq!((last.of(1), last.end()), (announced(10), Some(&end)));
    assert!(tables.changed().await.is_err());

    second.report(report(1, &assigned, 11)).unwrap();
    until(&second, 1, 11).await;
}

#[tokio::test(start_paused = true)]
async fn i7_a_deposed_leader_assigns_nothing() {
    let store = Memory::new();
    let (first, _first_driver) = start(&store).await;
    let (second, _driver) = start(&store).await;
    let error = first.assign(1, vec![(KeyInterval::FULL, "w".into())]).await.unwrap_err();
    assert!(error.to_string().contains("deposed"), "{error}");
    assert_eq!(second.intervals(1), []);
    drop(second);
    let (third, _driver) = start(&store).await;
    assert_eq!(third.intervals(1), []);
}

#[tokio::test(start_paused = true)]
async fn i7_an_announcement_whose_commit_arrives_late_is_refused() {
    let store = Memory::new();
    let (first, first_driver) = start(&store).await;
    let assigned = assign_whole(&first, 1).await;
    let gate = store.hold_next_commit();
    first.report(report(1, &assigned, 90)).unwrap();
    gate.caught().await;
    let (second, _driver) = start(&store).await;
    assert!(gate.land().unwrap().is_err());
    assert!(matches!(first_driver.await.unwrap(), End::Deposed { .. }));
    assert_eq!(first.announced().of(1).low_watermark, EventTime::MIN);
    assert_eq!(second.announced().of(1).low_watermark, EventTime::MIN);
}

#[tokio::test(start_paused = true)]
async fn what_this_program_cannot_read_is_refused_by_name() {
    let store = Memory::new();
    for key in [keys().leader(), keys().announced(1), keys().assignment(1, KeyInterval::FULL.last())] {
        let write = |value: &'static [u8]| Commit {
            preconditions: vec![],
            writes: vec![Write::Put { key: key.clone(), value: value.into() }],
        };
        store.commit(write(b"\xff\xff\xff")).await.unwrap();
        let handle = std::sync::Arc::new(store.clone());
        let result = pelton_injector::Injector::start(handle, keys(), graph(), tokens(), options()).await;
        let Err(error) = result else { panic!("it started") };
        assert!(matches!(error, StartError::Malformed(_) | StartError::Leader(_)), "{error}");
        let delete = Commit { preconditions: vec![], writes: vec![Write::Delete { key: key.clone() }] };
        store.commit(delete).await.unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// In a storm of conflicts, outages and unknown outcomes, with restarts and moves, what is announced never goes
    /// back, never passes the last report of any interval, and arrives in the end.
    #[test]
    fn i3_i7_in_any_storm_announcements_only_ever_grow(
        seed: u64,
        steps in prop::collection::vec((0u64..2, 1u64..8, 0u8..12), 1..40),
    ) {
        let plan = FaultPlan::stormy().delayed(Duration::from_millis(3));
        let store = Memory::with_faults(seed, plan);
        run(async {
            let (mut injector, mut driver) = start(&store).await;
            let halves = KeyInterval::partition(2);
            let owned = |interval: &KeyInterval| (*interval, "w".into());
            let mut assigned = injector.assign(1, halves.iter().map(owned).collect()).await.unwrap();
            let (mut reached, mut highest) = ([0u64; 2], 0);
            for (half, by, what) in steps {
                let index = usize::try_from(half).unwrap();
                match what {
                    0 => {
                        injector.stop();
                        driver.await.unwrap();
                        (injector, driver) = start(&store).await;
                        prop_assert!(injector.announced().of(1).is_at_least(announced(highest)) || highest == 0);
                        for (assigned, reached) in assigned.iter().zip(reached).filter(|(_, reached)| *reached > 0) {
                            injector.report(report(1, assigned, reached)).unwrap();
                        }
                    }
                    1 => {
                        let mut moved = injector.assign(1, vec![owned(&halves[index])]).await.unwrap();
                        assigned[index] = moved.pop().unwrap();
                        if reached[index] > 0 {
                            injector.report(report(1, &assigned[index], reached[index])).unwrap();
                        }
                    }
                    _ => {
                        reached[index] += by;
                        injector.report(report(1, &assigned[index], reached[index])).unwrap();
                        tokio::time::sleep(Duration::from_millis(by)).await;
                    }
                }
                let low_watermark = injector.announced().of(1).low_watermark;
                if low_watermark != EventTime::MIN {
                    let now = u64::try_from(low_watermark.as_micros() / 1_000_000).unwrap();
                    prop_assert!(now >= highest, "I7: it went back");
                    prop_assert!(now <= reached[0].min(reached[1]), "I7: it passed a report");
                    highest = now;
                }
            }
            if reached[0].min(reached[1]) > 0 {
                until(&injector, 1, reached[0].min(reached[1])).await;
            }
            Ok(())
        })?;
    }
}
