//! I7 in the running injector: journaled first, announced second, together where they come together.

#![expect(clippy::disallowed_methods, reason = "time is simulated")]

mod common;

use common::*;
use pelton_domain::{EventTime, KeyInterval};
use pelton_injector::{Accepted, End, InjectorOptions, ReportRefused};
use pelton_statestore::StateStore;
use pelton_statestore::memory::{FaultPlan, Memory};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn i7_nothing_is_announced_before_it_is_journaled() {
    let store = Memory::new();
    let (injector, _driver) = start(&store).await;
    let assigned = assign_whole(&injector, 1).await;
    let gate = store.hold_next_commit();
    assert_eq!(injector.report(report(1, &assigned, 10)), Ok(Accepted::Advances));
    gate.caught().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(injector.announced().of(1).low_watermark, EventTime::MIN);
    assert_eq!(store.read(vec![keys().announced(1)]).await.unwrap(), [None]);
    gate.land().unwrap().unwrap();
    until(&injector, 1, 10).await;
    assert!(store.read(vec![keys().announced(1)]).await.unwrap()[0].is_some());
}

#[tokio::test(start_paused = true)]
async fn an_idle_injector_announces_without_any_delay_and_never_wakes() {
    let store = Memory::new();
    let (injector, _driver) = start(&store).await;
    let assigned = assign_whole(&injector, 1).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let commits = store.counts().commits;
    let before = Instant::now();
    injector.report(report(1, &assigned, 10)).unwrap();
    until(&injector, 1, 10).await;
    assert_eq!(before.elapsed(), Duration::ZERO, "no tick stands in the way");
    assert_eq!(store.counts().commits, commits + 1);
    injector.report(report(1, &assigned, 10)).unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(store.counts().commits, commits + 1, "nothing changed, so nothing was journaled");
}

#[tokio::test(start_paused = true)]
async fn advances_gather_in_the_gap_after_a_commit() {
    let store = Memory::new();
    let (injector, _driver) = start(&store).await;
    let one = assign_whole(&injector, 1).await;
    let two = assign_whole(&injector, 2).await;
    injector.report(report(1, &one, 1)).unwrap();
    until(&injector, 1, 1).await;
    let (commits, before) = (store.counts().commits, Instant::now());
    for secs in 2..10 {
        injector.report(report(1, &one, secs)).unwrap();
        injector.report(report(2, &two, secs)).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(injector.announced().of(1), announced(1), "the gap is not over");
    until(&injector, 1, 9).await;
    until(&injector, 2, 9).await;
    assert_eq!(store.counts().commits, commits + 1, "eight reports of each, one journal commit for all");
    assert!((10..12).contains(&before.elapsed().as_millis()), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_everything_waits_and_then_goes_on() {
    let store = Memory::new();
    let (injector, _driver) = start(&store).await;
    let assigned = assign_whole(&injector, 1).await;
    store.set_faults(FaultPlan { unavailable: 1.0, ..FaultPlan::none() });
    for secs in 1..=50 {
        injector.report(report(1, &assigned, secs)).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(injector.announced().of(1).low_watermark, EventTime::MIN);
    store.set_faults(FaultPlan::none());
    until(&injector, 1, 50).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_too_large_for_the_store_is_cut() {
    let limits = pelton_statestore::Limits { commit_bytes_max: 240, ..Default::default() };
    let store = Memory::new().with_limits(limits);
    let (injector, _driver) = start(&store).await;
    let mut assigned = Vec::new();
    for computation in 1..=3 {
        assigned.push(assign_whole(&injector, computation).await);
    }
    for (computation, assigned) in (1..=3).zip(&assigned) {
        injector.report(report(computation, assigned, 10)).unwrap();
    }
    for computation in 1..=3 {
        until(&injector, computation, 10).await;
    }
}

#[tokio::test(start_paused = true)]
async fn at_most_the_given_number_of_advances_is_in_one_commit() {
    let store = Memory::new();
    let one_by_one = InjectorOptions { journal_records_max: 1, ..options() };
    let (injector, _driver) = start_with(&store, one_by_one).await;
    let mut assigned = Vec::new();
    for computation in 1..=3 {
        assigned.push(assign_whole(&injector, computation).await);
    }
    let commits = store.counts().commits;
    for (computation, assigned) in (1..=3).zip(&assigned) {
        injector.report(report(computation, assigned, 10)).unwrap();
    }
    for computation in 1..=3 {
        until(&injector, computation, 10).await;
    }
    assert_eq!(store.counts().commits, commits + 3);
}

#[tokio::test(start_paused = true)]
async fn when_stopped_the_last_table_says_why_and_the_channel_closes() {
    let store = Memory::new();
    let (injector, driver) = start(&store).await;
    let mut tables = injector.subscribe();
    let assigned = assign_whole(&injector, 1).await;
    injector.stop();
    assert_eq!(driver.await.unwrap(), End::Stopped);
    tables.changed().await.unwrap();
    assert_eq!(tables.borrow_and_update().end(), Some(&End::Stopped));
    assert!(tables.changed().await.is_err());
    assert_eq!(injector.end(), Some(End::Stopped));
    assert_eq!(injector.report(report(1, &assigned, 1)), Err(ReportRefused::Ended));
    let error = injector.assign(1, vec![(KeyInterval::FULL, "w".into())]).await.unwrap_err();
    assert_eq!(error, End::Stopped.into());
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_stops_it_even_while_the_store_is_away() {
    let store = Memory::new();
    let (injector, driver) = start(&store).await;
    let assigned = assign_whole(&injector, 1).await;
    let other = injector.clone();
    store.set_faults(FaultPlan { unavailable: 1.0, ..FaultPlan::none() });
    injector.report(report(1, &assigned, 1)).unwrap();
    drop(injector);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!driver.is_finished());
    drop(other);
    assert_eq!(driver.await.unwrap(), End::Stopped);
}

#[tokio::test(start_paused = true)]
async fn an_injector_that_nobody_drives_says_so() {
    let store = Memory::new();
    let (injector, driver) = start(&store).await;
    driver.abort();
    assert!(driver.await.is_err());
    assert_eq!(injector.end(), Some(End::Abandoned));
    assert!(injector.assign(1, vec![(KeyInterval::FULL, "w".into())]).await.is_err());
}
