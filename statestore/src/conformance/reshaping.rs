//! Splits and merges against late commits (I1): old bounds are as dead as an old sequencer.

use super::Fixture;
use super::wire::Fate;
use super::world::{World, assert_refused, commit, number};
use crate::fence::{FencedError, Reign, TakeOverError, read_fences};
use pelton_domain::{KeyInterval, Sequencer, SystemTime};

fn halves() -> (KeyInterval, KeyInterval) {
    KeyInterval::FULL.halves().unwrap_or_else(|| panic!("it has halves"))
}

async fn reshape(
    reigns: &[Reign],
    parts: &[(KeyInterval, Option<Sequencer>)],
) -> Result<Vec<Reign>, FencedError> {
    Reign::reshape(reigns, parts, SystemTime::ZERO, vec![], vec![]).await
}

/// The old owner is asked to split while a commit of its own is still on the way: it does so through another
/// connection, and the commit arrives afterwards.
pub async fn a_late_commit_under_old_bounds_changes_nothing_after_a_split<F: Fixture>() {
    let world = World::<F>::open().await;
    let wire = world.wire();
    let mut old = world.take(wire.clone(), KeyInterval::FULL, 1).await;
    wire.next_commit(Fate::LateThenCut);
    let doomed = commit(&mut old, world.put("a", "late"));
    let story = async {
        wire.until_late().await;
        let owner = world.take(world.store(), KeyInterval::FULL, 2).await;
        let (low, high) = halves();
        let parts = reshape(&[owner], &[(low, Some(number(3))), (high, Some(number(4)))]).await;
        assert_refused(wire.land().await);
        wire.heal();
        parts
    };
    let (outcome, parts) = futures_util::future::join(doomed, story).await;
    assert!(matches!(outcome, Err(FencedError::Fenced { .. })), "{outcome:?}");
    for mut part in parts.unwrap_or_else(|error| panic!("no split: {error}")) {
        assert_eq!(commit(&mut part, world.put("b", "after")).await, Ok(()));
    }
    assert_eq!(world.state("a").await, None);
}

/// The fence under the old bounds is gone, or has others.
pub async fn a_late_commit_under_old_bounds_changes_nothing_after_a_merge<F: Fixture>() {
    let world = World::<F>::open().await;
    let (low, high) = halves();
    let first = world.take(world.store(), KeyInterval::FULL, 1).await;
    let split = reshape(&[first], &[(low, None), (high, None)]).await;
    assert_eq!(split.map(|reigns| reigns.len()), Ok(0));
    let (low_wire, high_wire) = (world.wire(), world.wire());
    let mut old_low = world.take(low_wire.clone(), low, 2).await;
    let mut old_high = world.take(high_wire.clone(), high, 3).await;
    low_wire.next_commit(Fate::LateThenCut);
    high_wire.next_commit(Fate::LateThenCut);
    let doomed_low = commit(&mut old_low, world.put("a", "late"));
    let doomed_high = commit(&mut old_high, world.put("b", "late"));
    let story = async {
        low_wire.until_late().await;
        high_wire.until_late().await;
        let low = world.take(world.store(), low, 4).await;
        let high = world.take(world.store(), high, 5).await;
        let merged = reshape(&[low, high], &[(KeyInterval::FULL, Some(number(6)))]).await;
        assert_refused(low_wire.land().await);
        assert_refused(high_wire.land().await);
        low_wire.heal();
        high_wire.heal();
        merged
    };
    let (low_outcome, high_outcome, merged) =
        futures_util::future::join3(doomed_low, doomed_high, story).await;
    assert_eq!(low_outcome, Err(FencedError::Fenced { held: number(2), current: None }));
    assert_eq!(high_outcome, Err(FencedError::Fenced { held: number(3), current: Some(number(6)) }));
    let mut merged = merged.unwrap_or_else(|error| panic!("no merge: {error}"));
    assert_eq!(merged.iter().map(Reign::interval).collect::<Vec<_>>(), [KeyInterval::FULL]);
    if let Some(reign) = merged.first_mut() {
        assert_eq!(commit(reign, world.put("c", "after")).await, Ok(()));
    }
    assert_eq!((world.state("a").await, world.state("b").await), (None, None));
}

/// What was committed first is in the fence that the split would have replaced.
pub async fn a_commit_that_lands_before_a_split_refuses_it<F: Fixture>() {
    let world = World::<F>::open().await;
    let mut owner = world.take(world.store(), KeyInterval::FULL, 1).await;
    let stale = owner.clone();
    assert_eq!(commit(&mut owner, world.put("a", "1")).await, Ok(()));
    let (low, high) = halves();
    let split = reshape(&[stale], &[(low, None), (high, None)]).await;
    assert!(matches!(split, Err(FencedError::Fenced { .. })), "{split:?}");
    let standing = read_fences(&world.store(), &world.keys).await.unwrap_or_default();
    assert_eq!(standing, [owner.fence().clone()]);
    assert_eq!(commit(&mut owner, world.put("a", "2")).await, Ok(()));
}

/// Also where it is one of several that it landed on, and whichever.
pub async fn a_commit_that_lands_before_a_merge_refuses_it<F: Fixture>() {
    for moved in [0, 1] {
        let world = World::<F>::open().await;
        let (low, high) = halves();
        let first = world.take(world.store(), KeyInterval::FULL, 1).await;
        let split = reshape(&[first], &[(low, Some(number(2))), (high, Some(number(3)))]).await;
        let mut parts = split.unwrap_or_else(|error| panic!("no split: {error}"));
        let stale = parts.clone();
        let Some(owner) = parts.get_mut(moved) else { panic!("no such part") };
        assert_eq!(commit(owner, world.put("a", "1")).await, Ok(()));
        let merged = reshape(&stale, &[(KeyInterval::FULL, Some(number(4)))]).await;
        assert!(matches!(merged, Err(FencedError::Fenced { .. })), "part {moved}: {merged:?}");
        for part in &mut parts {
            assert_eq!(commit(part, world.put("a", "2")).await, Ok(()));
        }
    }
}

/// It happened once.
pub async fn a_split_with_a_lost_answer_is_settled_by_the_token<F: Fixture>() {
    let (low, high) = halves();
    for fate in [Fate::AnswerLost, Fate::RequestLost, Fate::Late] {
        let world = World::<F>::open().await;
        let wire = world.wire();
        let owner = world.take(wire.clone(), KeyInterval::FULL, 1).await;
        wire.next_commit(fate);
        let parts = reshape(&[owner], &[(low, Some(number(2))), (high, Some(number(3)))]).await;
        let parts = parts.unwrap_or_else(|error| panic!("no split: {error}"));
        if fate == Fate::Late {
            assert_refused(wire.land().await);
        }
        let standing = read_fences(&world.store(), &world.keys).await.unwrap_or_default();
        assert_eq!(standing, parts.iter().map(|part| part.fence().clone()).collect::<Vec<_>>());
        for mut part in parts {
            assert_eq!(commit(&mut part, world.put("a", "1")).await, Ok(()));
        }
    }
}

/// The new owner of the whole stays that.
pub async fn a_late_split_changes_nothing_after_a_take_over<F: Fixture>() {
    let world = World::<F>::open().await;
    let wire = world.wire();
    let old = world.take(wire.clone(), KeyInterval::FULL, 1).await;
    wire.next_commit(Fate::LateThenCut);
    let (low, high) = halves();
    let reigns = [old];
    let parts = [(low, Some(number(2))), (high, Some(number(3)))];
    let doomed = reshape(&reigns, &parts);
    let story = async {
        wire.until_late().await;
        let owner = world.take(world.store(), KeyInterval::FULL, 4).await;
        assert_refused(wire.land().await);
        wire.heal();
        owner
    };
    let (outcome, mut owner) = futures_util::future::join(doomed, story).await;
    assert!(matches!(outcome, Err(FencedError::Fenced { .. })), "{outcome:?}");
    assert_eq!(commit(&mut owner, world.put("a", "1")).await, Ok(()));
    let standing = read_fences(&world.store(), &world.keys).await.unwrap_or_default();
    assert_eq!(standing, [owner.fence().clone()]);
}

/// Whether a fence stands at the same place or not.
pub async fn old_bounds_cannot_be_taken_over_after_a_split<F: Fixture>() {
    let world = World::<F>::open().await;
    let owner = world.take(world.store(), KeyInterval::FULL, 1).await;
    let (low, high) = halves();
    let parts = reshape(&[owner], &[(low, None), (high, None)]).await;
    assert!(parts.is_ok(), "{parts:?}");
    let refused = world.try_take(world.store(), KeyInterval::FULL, 9).await;
    assert!(matches!(refused, Err(TakeOverError::NoSuchInterval { .. })), "{refused:?}");
}

/// By anyone with a newer sequencer.
pub async fn parts_without_an_owner_can_be_taken_over<F: Fixture>() {
    let world = World::<F>::open().await;
    let owner = world.take(world.store(), KeyInterval::FULL, 1).await;
    let (low, high) = halves();
    let parts = reshape(&[owner], &[(low, None), (high, Some(number(2)))]).await;
    assert_eq!(parts.map(|reigns| reigns.len()), Ok(1));
    let mut taken = world.take(world.store(), low, 3).await;
    assert_eq!(commit(&mut taken, world.put("a", "1")).await, Ok(()));
    let late = world.try_take(world.store(), high, 2).await;
    assert!(matches!(late, Err(TakeOverError::Superseded { .. })), "{late:?}");
}
