//! The properties of spreading, numbered as in the module's header.

use super::*;
use proptest::prelude::*;

fn worker(number: usize) -> Worker {
    format!("w{number}").into()
}

fn workers(numbers: &BTreeSet<usize>) -> Vec<Worker> {
    numbers.iter().map(|number| worker(*number)).collect()
}

fn apply(intervals: &[Owned<u32>], moves: &[Move<u32>]) -> Vec<Owned<u32>> {
    let mut after = intervals.to_vec();
    for Move { computation, interval, to } in moves {
        let moved = after.iter_mut().find(|o| o.computation == *computation && o.interval == *interval);
        moved.expect("only what is there moves").owner = Some(to.clone());
    }
    after
}

/// How many intervals each worker owns, of one computation or in total.
fn counts(workers: &[Worker], intervals: &[Owned<u32>], computation: Option<u32>) -> Vec<usize> {
    let counted = |o: &&Owned<u32>| computation.is_none_or(|computation| o.computation == computation);
    let of = |w: &Worker| intervals.iter().filter(counted).filter(|o| o.owner.as_ref() == Some(w)).count();
    workers.iter().map(of).collect()
}

fn is_even(counts: &[usize]) -> bool {
    counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1
}

/// Up to `computations` computations with intervals owned by workers below 8, gone ones, or nobody.
fn owned(computations: u32) -> impl Strategy<Value = Vec<Owned<u32>>> {
    let owners = prop::collection::vec(prop::option::weighted(0.9, 0usize..8), 0..24);
    prop::collection::vec(owners, 1..=computations as usize).prop_map(|computations| {
        let of = |(computation, owners): (u32, Vec<Option<usize>>)| {
            let interval = move |(interval, owner): (u32, Option<usize>)| Owned {
                computation,
                interval,
                owner: owner.map(worker),
            };
            (0..).zip(owners).map(interval)
        };
        (1..).zip(computations).flat_map(of).collect()
    })
}

fn some_workers() -> impl Strategy<Value = BTreeSet<usize>> {
    prop::collection::btree_set(0usize..8, 1..8)
}

proptest! {
    #[test]
    fn every_interval_has_a_living_owner_and_all_is_even(numbers in some_workers(), intervals in owned(6)) {
        let workers = workers(&numbers);
        let moves = spread(&workers, &intervals);
        let after = apply(&intervals, &moves);
        prop_assert!(after.iter().all(|o| o.owner.as_ref().is_some_and(|owner| workers.contains(owner))));
        prop_assert!(is_even(&counts(&workers, &after, None)), "2: in total");
        for computation in after.iter().map(|o| o.computation) {
            prop_assert!(is_even(&counts(&workers, &after, Some(computation))), "1: of computation {}", computation);
        }
        prop_assert_eq!(spread(&workers, &after), vec![], "4: what is spread stays");
    }

    #[test]
    fn one_computation_moves_as_little_as_evenness_allows(numbers in some_workers(), intervals in owned(1)) {
        let workers = workers(&numbers);
        let moves = spread(&workers, &intervals);
        let mut held = counts(&workers, &intervals, None);
        held.sort_unstable_by(|a, b| b.cmp(a));
        let (share, larger) = (intervals.len() / workers.len(), intervals.len() % workers.len());
        // Evenness lets `larger` workers keep `share + 1`; most stay where the largest holders are those.
        let stay: usize = held.iter().enumerate().map(|(i, n)| (*n).min(share + usize::from(i < larger))).sum();
        prop_assert_eq!(moves.len(), intervals.len() - stay, "3");
    }

    #[test]
    fn the_order_of_what_is_given_does_not_matter(
        numbers in some_workers(),
        (intervals, shuffled) in owned(4).prop_flat_map(|o| (Just(o.clone()), Just(o).prop_shuffle())),
    ) {
        let mut workers = workers(&numbers);
        let moves = spread(&workers, &intervals);
        workers.reverse();
        prop_assert_eq!(spread(&workers, &shuffled), moves);
    }

    #[test]
    fn a_worker_that_comes_takes_its_share_and_few_others_move(numbers in some_workers(), intervals in owned(6)) {
        let before = workers(&numbers);
        let even = apply(&intervals, &spread(&before, &intervals));
        let mut after = before.clone();
        after.push("newcomer".into());
        let moves = spread(&after, &even);
        let share = even.len().div_ceil(after.len());
        let among_others = moves.iter().filter(|m| m.to != "newcomer".into()).count();
        prop_assert!(moves.len() - among_others <= share);
        prop_assert!(among_others <= before.len(), "3: {} moves among the others", among_others);
    }

    #[test]
    fn when_a_worker_goes_its_intervals_move_and_few_others(numbers in some_workers(), intervals in owned(6)) {
        let before = workers(&numbers);
        let even = apply(&intervals, &spread(&before, &intervals));
        let Some((gone, rest)) = before.split_last().filter(|(_, rest)| !rest.is_empty()) else { return Ok(()) };
        let moves = spread(rest, &even);
        let orphans = even.iter().filter(|o| o.owner.as_ref() == Some(gone)).count();
        prop_assert!(moves.len() >= orphans && moves.len() - orphans <= before.len(), "3");
    }
}

#[test]
fn without_workers_nothing_moves() {
    assert_eq!(spread(&[], &[Owned { computation: 1, interval: 1u32, owner: None }]), vec![]);
}

#[test]
fn computations_with_one_interval_each_are_spread_too() {
    let intervals: Vec<_> =
        (1..=8).map(|computation| Owned { computation, interval: 0, owner: None }).collect();
    let two = [worker(1), worker(2)];
    let even = apply(&intervals, &spread(&two, &intervals));
    assert_eq!(counts(&two, &even, None), [4, 4]);
    let four = [worker(1), worker(2), worker(3), worker(4)];
    let moves = spread(&four, &even);
    assert_eq!(moves.len(), 4);
    assert_eq!(counts(&four, &apply(&even, &moves), None), [2, 2, 2, 2]);
}
