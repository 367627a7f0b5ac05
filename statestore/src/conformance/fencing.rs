//! One writer per interval, through late commits and lost answers (I1, I2, I3).

use super::Fixture;
use super::support::{dice, pick};
use super::wire::Fate;
use super::world::{Cloned, World, assert_refused, commit, number};
use crate::fence::{FencedError, TakeOverError, create_fences, read_fences};
use crate::keys::PipelineKeys;
use crate::store::StoreHandle;
use pelton_domain::{KeyInterval, Name};
use rand::RngExt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A commit that was sent before the take-over, and arrives after it.
pub async fn a_zombies_late_commit_changes_nothing<F: Fixture>() {
    let world = World::<F>::open().await;
    let wire = world.wire();
    let mut zombie = world.take(wire.clone(), KeyInterval::FULL, 1).await;
    assert_eq!(commit(&mut zombie, world.put("a", "before")).await, Ok(()));
    wire.next_commit(Fate::LateThenCut);
    let doomed = commit(&mut zombie, world.put("a", "late"));
    let story = async {
        wire.until_late().await;
        let mut successor = world.take(world.store(), KeyInterval::FULL, 2).await;
        assert_refused(wire.land().await);
        assert_eq!(world.state("a").await, Some("before".into()));
        assert_eq!(commit(&mut successor, world.put("b", "after")).await, Ok(()));
        wire.heal();
    };
    let (outcome, ()) = futures_util::future::join(doomed, story).await;
    assert_eq!(outcome, Err(FencedError::Fenced { held: number(1), current: Some(number(2)) }));
    assert_eq!(world.state("a").await, Some("before".into()));
    assert_eq!(world.state("b").await, Some("after".into()));
}

/// It learns who owns the interval now.
pub async fn a_zombie_that_wakes_is_told_that_it_is_fenced<F: Fixture>() {
    let world = World::<F>::open().await;
    let mut zombie = world.take(world.store(), KeyInterval::FULL, 1).await;
    let _successor = world.take(world.store(), KeyInterval::FULL, 7).await;
    let fenced = FencedError::Fenced { held: number(1), current: Some(number(7)) };
    for _ in 0..3 {
        assert_eq!(commit(&mut zombie, world.put("a", "late")).await, Err(fenced.clone()));
    }
    assert_eq!(world.state("a").await, None);
}

/// Everything that was acknowledged, and what landed without being so.
pub async fn a_new_owners_first_scan_sees_everything_committed_before<F: Fixture>() {
    let world = World::<F>::open().await;
    let wire = world.wire();
    let mut old = world.take(wire.clone(), KeyInterval::FULL, 1).await;
    for round in 0..50 {
        assert_eq!(commit(&mut old, world.put(&format!("key {round}"), "1")).await, Ok(()));
    }
    wire.next_commit(Fate::LateThenCut);
    let doomed = commit(&mut old, world.put("landed", "1"));
    let story = async {
        wire.until_late().await;
        assert_eq!(wire.land().await, Some(Ok(())));
    };
    // Its answer never comes: the caller dies waiting.
    tokio::select! { _ = doomed => panic!("it was answered"), () = story => {} }
    let _new = world.take(world.store(), KeyInterval::FULL, 2).await;
    let found =
        super::support::scan(&world.store(), world.keys.state_of_interval(KeyInterval::FULL), 10).await;
    assert_eq!(found.len(), 51);
}

/// Being fenced says that the reign is over, not that its last commit did not happen: where that was in doubt,
/// it may have landed before the take-over. Then the new owner's scan has it.
pub async fn a_fenced_commit_that_was_in_doubt_may_have_landed_before<F: Fixture>() {
    let world = World::<F>::open().await;
    let wire = world.wire();
    let mut old = world.take(wire.clone(), KeyInterval::FULL, 1).await;
    wire.next_commit(Fate::LateThenCut);
    let doubtful = commit(&mut old, world.put("a", "landed"));
    let story = async {
        wire.until_late().await;
        assert_eq!(wire.land().await, Some(Ok(())));
        let _new = world.take(world.store(), KeyInterval::FULL, 2).await;
        assert_eq!(world.state("a").await, Some("landed".into()));
        wire.heal();
    };
    let (outcome, ()) = futures_util::future::join(doubtful, story).await;
    assert_eq!(outcome, Err(FencedError::Fenced { held: number(1), current: Some(number(2)) }));
}

/// It happened, so it is not made again.
pub async fn an_unknown_outcome_is_settled_by_the_token<F: Fixture>() {
    let world = World::<F>::open().await;
    let wire = world.wire();
    let mut reign = world.take(wire.clone(), KeyInterval::FULL, 1).await;
    let before = reign.fence().commit_number;
    wire.next_commit(Fate::AnswerLost);
    assert_eq!(commit(&mut reign, world.put("a", "1")).await, Ok(()));
    assert_eq!(reign.fence().commit_number, before.next(), "it was made twice");
    let standing = read_fences(&world.store(), &world.keys).await.unwrap_or_default();
    assert_eq!(standing.first(), Some(reign.fence()));
    assert_eq!(world.state("a").await, Some("1".into()));
    assert_eq!(commit(&mut reign, world.put("a", "2")).await, Ok(()));
}

/// It did not happen, and does now.
pub async fn a_commit_that_was_lost_is_made_again_once<F: Fixture>() {
    let world = World::<F>::open().await;
    let wire = world.wire();
    let mut reign = world.take(wire.clone(), KeyInterval::FULL, 1).await;
    let before = reign.fence().commit_number;
    for _ in 0..3 {
        wire.next_commit(Fate::RequestLost);
    }
    assert_eq!(commit(&mut reign, world.put("a", "1")).await, Ok(()));
    assert_eq!(reign.fence().commit_number, before.next());
    assert_eq!(world.state("a").await, Some("1".into()));
}

/// Whether it happened is open, so the reign is over: a new one reads what there is.
pub async fn after_a_cancelled_commit_a_reign_says_nothing_more<F: Fixture>() {
    for lands in [false, true] {
        let world = World::<F>::open().await;
        let wire = world.wire();
        let mut reign = world.take(wire.clone(), KeyInterval::FULL, 1).await;
        wire.next_commit(Fate::LateThenCut);
        tokio::select! {
            _ = commit(&mut reign, world.put("a", "1")) => panic!("it was answered"),
            () = wire.until_cut() => {}
        }
        wire.heal();
        if lands {
            assert_eq!(wire.land().await, Some(Ok(())));
        }
        assert_eq!(commit(&mut reign, world.put("a", "2")).await, Err(FencedError::Interrupted));
        let mut next = world.take(world.store(), KeyInterval::FULL, 2).await;
        assert_eq!(world.state("a").await, lands.then(|| "1".into()));
        if !lands {
            assert_refused(wire.land().await);
        }
        assert_eq!(commit(&mut next, world.put("a", "3")).await, Ok(()));
    }
}

/// The zombie's attempt and the successor's take-over carry the same number; only the token tells them apart.
pub async fn equal_commit_numbers_do_not_mean_the_same_attempt<F: Fixture>() {
    let world = World::<F>::open().await;
    let wire = world.wire();
    let mut zombie = world.take(wire.clone(), KeyInterval::FULL, 1).await;
    let attempted = zombie.fence().commit_number.next();
    wire.next_commit(Fate::LateThenCut);
    let doomed = commit(&mut zombie, world.put("a", "late"));
    let story = async {
        wire.until_late().await;
        let successor = world.take(world.store(), KeyInterval::FULL, 2).await;
        assert_eq!(successor.fence().commit_number, attempted, "this case needs equal numbers");
        // Now the zombie reads a fence of its attempt's very number.
        wire.heal();
        successor
    };
    let (outcome, successor) = futures_util::future::join(doomed, story).await;
    assert_eq!(outcome, Err(FencedError::Fenced { held: number(1), current: Some(number(2)) }));
    assert_refused(wire.land().await);
    assert_eq!(world.state("a").await, None);
    assert_eq!(
        read_fences(&world.store(), &world.keys).await.unwrap_or_default(),
        [successor.fence().clone()]
    );
}

/// The second attempt succeeded; from then on the first cannot.
pub async fn a_late_attempt_of_a_commit_made_again_changes_nothing<F: Fixture>() {
    let world = World::<F>::open().await;
    let wire = world.wire();
    let mut reign = world.take(wire.clone(), KeyInterval::FULL, 1).await;
    wire.next_commit(Fate::Late);
    assert_eq!(commit(&mut reign, world.put("a", "1")).await, Ok(()));
    assert_eq!(commit(&mut reign, world.put("a", "2")).await, Ok(()));
    assert_refused(wire.land().await);
    assert_eq!(world.state("a").await, Some("2".into()));
    assert_eq!(commit(&mut reign, world.put("a", "3")).await, Ok(()));
}

/// The first attempt lands between: the second is refused, and the token says that all is well.
pub async fn a_late_attempt_that_lands_before_the_next_counts_once<F: Fixture>() {
    let world = World::<F>::open().await;
    let wire = world.wire();
    let mut reign = world.take(wire.clone(), KeyInterval::FULL, 1).await;
    let before = reign.fence().commit_number;
    wire.next_commit(Fate::LateThenCut);
    let work = commit(&mut reign, world.put("a", "1"));
    let story = async {
        wire.until_late().await;
        assert_eq!(wire.land().await, Some(Ok(())));
        wire.heal();
    };
    let (outcome, ()) = futures_util::future::join(work, story).await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(reign.fence().commit_number, before.next());
    assert_eq!(commit(&mut reign, world.put("a", "2")).await, Ok(()));
    assert_eq!(world.state("a").await, Some("2".into()));
}

/// A take-over is a commit like any other.
pub async fn a_late_take_over_changes_nothing<F: Fixture>() {
    let world = World::<F>::open().await;
    let wire = world.wire();
    wire.next_commit(Fate::LateThenCut);
    let slow = world.try_take(wire.clone(), KeyInterval::FULL, 1);
    let story = async {
        wire.until_late().await;
        let reign = world.take(world.store(), KeyInterval::FULL, 2).await;
        assert_refused(wire.land().await);
        wire.heal();
        reign
    };
    let (outcome, mut reign) = futures_util::future::join(slow, story).await;
    assert!(matches!(outcome, Err(TakeOverError::Superseded { .. })), "{outcome:?}");
    assert_eq!(commit(&mut reign, world.put("a", "1")).await, Ok(()));
}

/// The one with the higher sequencer, whoever comes first.
pub async fn two_take_overs_leave_one_owner<F: Fixture>() {
    let world = World::<F>::open().await;
    for round in 0..10 {
        let (low, high) = (round * 2 + 1, round * 2 + 2);
        let first = world.try_take(world.store(), KeyInterval::FULL, low);
        let second = world.try_take(world.store(), KeyInterval::FULL, high);
        let (first, second) = futures_util::future::join(first, second).await;
        let mut owner = second.unwrap_or_else(|error| panic!("the newer was refused: {error}"));
        if let Ok(mut loser) = first {
            let fenced = FencedError::Fenced { held: number(low), current: Some(number(high)) };
            assert_eq!(commit(&mut loser, world.put("a", "loser")).await, Err(fenced));
        }
        assert_eq!(commit(&mut owner, world.put("a", "owner")).await, Ok(()));
        assert_eq!(world.state("a").await, Some("owner".into()));
    }
}

/// However often, and whatever is lost.
pub async fn fences_are_created_once<F: Fixture>() {
    let world = World::<F>::open().await;
    let wire = world.wire();
    let handle: StoreHandle = wire.clone();
    let before = read_fences(&handle, &world.keys).await;
    wire.next_commit(Fate::AnswerLost);
    let again = create_fences(&handle, &world.keys, &KeyInterval::partition(4), vec![], &world.tokens).await;
    assert_eq!(again, before);
    let keys =
        PipelineKeys::new(&Name::new("another").unwrap_or_else(|error| panic!("{error}"))).computation(1);
    wire.next_commit(Fate::Late);
    let created = create_fences(&handle, &keys, &KeyInterval::partition(4), vec![], &world.tokens).await;
    assert_refused(wire.land().await);
    assert_eq!(read_fences(&handle, &keys).await, created);
    assert_eq!(created.unwrap_or_default().len(), 4);
}

/// The same data under another incarnation (a backup, a copy) is started only on purpose.
pub async fn a_cloned_store_is_refused<F: Fixture>() {
    let world = World::<F>::open().await;
    let clone: StoreHandle = Arc::new(Cloned(world.store()));
    let refused = world.try_take(clone, KeyInterval::FULL, 1).await;
    assert!(matches!(refused, Err(TakeOverError::OtherIncarnation { .. })), "{refused:?}");
}

/// Two owners, each behind a network that does everything networks do, drawn from a seed.
///
/// Each commit puts a new entry behind the last that its owner knows of. If the fence held, no entry was ever
/// written twice, and every commit that was acknowledged is there.
pub async fn no_interleaving_of_two_owners_loses_or_doubles_a_commit<F: Fixture>() {
    let mut dice = dice("no_interleaving_of_two_owners_loses_or_doubles_a_commit");
    let world = World::<F>::open().await;
    let wires = [world.wire(), world.wire()];
    let mut acknowledged: BTreeMap<u64, String> = BTreeMap::new();
    for sequencer in 1..=30 {
        let wire = pick(&wires, &mut dice).clone();
        wire.heal();
        wire.next_commit(*pick(&[Fate::Through, Fate::AnswerLost, Fate::RequestLost, Fate::Late], &mut dice));
        let mut reign = world.take(wire.clone(), KeyInterval::FULL, sequencer).await;
        let found =
            super::support::scan(&world.store(), world.keys.state_of_interval(KeyInterval::FULL), 100).await;
        let start = u64::try_from(found.len()).unwrap_or(0);
        for turn in 0..dice.random_range(0..8) {
            let every = [Fate::Through, Fate::AnswerLost, Fate::RequestLost, Fate::Late, Fate::LateThenCut];
            let fate = *pick(&every, &mut dice);
            wire.next_commit(fate);
            let value = format!("{sequencer}/{turn}");
            let entry = start + turn;
            let writes = world.put(&format!("{entry:05}"), &value);
            if fate == Fate::LateThenCut {
                // The owner dies with its commit on the way.
                tokio::select! { _ = commit(&mut reign, writes) => panic!("it was answered"), () = wire.until_cut() => {} }
                break;
            }
            assert_eq!(commit(&mut reign, writes).await, Ok(()), "nobody else owns it");
            acknowledged.insert(entry, value);
            if dice.random_bool(0.3) {
                let _ = pick(&wires, &mut dice).land().await;
            }
        }
    }
    for wire in &wires {
        while wire.land().await.is_some() {}
    }
    for (number, value) in acknowledged {
        assert_eq!(world.state(&format!("{number:05}")).await, Some(value.into()), "entry {number}");
    }
}
