//! What outlives an unclean stop. Where a store cannot be stopped these cases prove nothing, and say so.

use super::Fixture;
use super::support::{all, delete, dice, is, names, page, put, range, read, refuse, write};
use crate::store::{Commit, Scan, Write};
use futures_util::FutureExt;
use rand::RngExt;

async fn reopened<F: Fixture>(fixture: F) -> Option<F> {
    let reopened = fixture.reopen().await;
    if reopened.is_none() {
        println!("this store cannot be stopped uncleanly: nothing is proved here");
    }
    reopened
}

/// Through many stops.
pub async fn reopening_after_an_unclean_stop_keeps_every_acknowledged_commit<F: Fixture>() {
    let mut dice = dice("reopening_after_an_unclean_stop_keeps_every_acknowledged_commit");
    let mut fixture = F::open().await;
    let mut acknowledged = Vec::new();
    for life in 0..6 {
        for number in 0..dice.random_range(0..60) {
            let name = format!("{life}/{number:02}");
            let value = "v".repeat(dice.random_range(0..200));
            write(&fixture.store(), vec![put(&name, value), put("newest", name.clone())]).await;
            acknowledged.push(name);
        }
        let Some(next) = reopened(fixture).await else { return };
        fixture = next;
        let mut expected = acknowledged.clone();
        expected.extend(acknowledged.last().map(|_| "newest".to_owned()));
        assert_eq!(names(&fixture.store(), all()).await, expected);
        let newest = acknowledged.last().map(|name| name.clone().into());
        assert_eq!(read(&fixture.store(), &["newest"]).await, [newest]);
    }
}

/// A delete is a change like any other.
pub async fn reopening_keeps_deletes<F: Fixture>() {
    let mut fixture = F::open().await;
    write(&fixture.store(), (0..100).map(|at| put(format!("{at:02}"), "1")).collect()).await;
    for round in 0..3 {
        let Some(next) = reopened(fixture).await else { return };
        fixture = next;
        let from = round * 10;
        write(&fixture.store(), vec![delete(format!("{from:02}"))]).await;
        let gone = range(&format!("{:02}", from + 1), &format!("{:02}", from + 10));
        write(&fixture.store(), vec![Write::DeleteRange { range: gone }]).await;
    }
    let Some(fixture) = reopened(fixture).await else { return };
    let left: Vec<String> = (30..100).map(|at| format!("{at:02}")).collect();
    assert_eq!(names(&fixture.store(), all()).await, left);
}

/// The life of the store goes on.
pub async fn reopening_keeps_the_incarnation<F: Fixture>() {
    let fixture = F::open().await;
    let before = fixture.store().incarnation();
    let Some(fixture) = reopened(fixture).await else { return };
    assert_eq!(fixture.store().incarnation(), before);
}

/// Nobody was told of it, so both are right; half of it is not (I2).
pub async fn a_commit_under_way_at_an_unclean_stop_is_whole_or_absent<F: Fixture>() {
    let mut fixture = F::open().await;
    for round in 0..10 {
        let value = format!("{round}");
        let names: Vec<String> = (0..30).map(|at| format!("{at:02}")).collect();
        let writes = names.iter().map(|name| put(name, value.clone())).collect();
        let _ = fixture.store().commit(Commit { preconditions: vec![], writes }).now_or_never();
        let Some(next) = reopened(fixture).await else { return };
        fixture = next;
        let found =
            page(&fixture.store(), Scan { range: all(), entries_max: 100, bytes_max: usize::MAX }).await;
        let first = found.entries.first().map(|(_, value)| value.clone());
        assert!(found.entries.iter().all(|(_, value)| Some(value) == first.as_ref()), "half a commit");
        assert!(found.entries.is_empty() || found.entries.len() == names.len() || found.next.is_some());
    }
}

/// Preconditions see what was there before.
pub async fn a_reopened_store_goes_on<F: Fixture>() {
    let mut fixture = F::open().await;
    for life in 0..4_u32 {
        let store = fixture.store();
        if let Some(before) = life.checked_sub(1) {
            refuse(&store, vec![is("life", "another")], vec![put("life", "wrong")]).await;
            let took = super::support::commit(&store, vec![is("life", format!("{before}"))], vec![]).await;
            assert_eq!(took, Ok(()));
        }
        write(&store, vec![put("life", format!("{life}"))]).await;
        drop(store);
        let Some(next) = reopened(fixture).await else { return };
        fixture = next;
    }
}
