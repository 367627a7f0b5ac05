//! Splits and merges: only what lasts, only within bounds, and never one chasing the other.

use super::*;
use proptest::prelude::*;

fn limits(rounds_min: u32, intervals_max: usize) -> HeatLimits {
    HeatLimits::new(busy(800), 400, rounds_min, 1, intervals_max).unwrap()
}

fn busy(busy_permille: u32) -> Load {
    Load { busy_permille, memory_bytes: 1_000_000 * u64::from(busy_permille) }
}

fn eighths() -> Vec<KeyInterval> {
    KeyInterval::partition(8)
}

/// The intervals after `reshapes`, each with the share of the load that positions give it.
fn reshaped(loads: &[(KeyInterval, Load)], reshapes: &[Reshape]) -> Vec<(KeyInterval, Load)> {
    let load_of =
        |interval| loads.iter().find(|(i, _)| *i == interval).expect("only what is there changes").1;
    let mut after = loads.to_vec();
    for reshape in reshapes {
        match *reshape {
            Reshape::Split { whole, parts } => {
                let half = busy(load_of(whole).busy_permille / 2);
                after.retain(|(interval, _)| *interval != whole);
                after.extend([(parts.0, half), (parts.1, half)]);
            }
            Reshape::Merge { parts, whole } => {
                after.retain(|(interval, _)| *interval != parts.0 && *interval != parts.1);
                after.push((whole, load_of(parts.0).plus(load_of(parts.1))));
            }
        }
    }
    after
}

#[test]
fn a_hot_interval_is_split_once_it_has_been_hot_long_enough() {
    let mut heat = Heat::new(limits(3, 16));
    let mut loads: Vec<_> = eighths().into_iter().map(|interval| (interval, busy(300))).collect();
    loads[2].1 = busy(900);
    assert_eq!(heat.observe(&loads), []);
    assert_eq!(heat.observe(&loads), []);
    let whole = loads[2].0;
    assert_eq!(heat.observe(&loads), [Reshape::Split { whole, parts: whole.halves().unwrap() }]);
    loads[2].1 = busy(700);
    assert_eq!(heat.observe(&loads), []);
    loads[2].1 = busy(900);
    assert_eq!(heat.observe(&loads), [], "a pause begins the count anew");
}

#[test]
fn cold_neighbours_become_one_and_no_interval_is_taken_twice() {
    let mut heat = Heat::new(limits(1, 16));
    let loads: Vec<_> = eighths().into_iter().map(|interval| (interval, busy(10))).collect();
    let merges = heat.observe(&loads);
    assert_eq!(merges.len(), 4);
    let after = reshaped(&loads, &merges);
    assert!(KeyInterval::is_partition_of(
        &after.iter().map(|(i, _)| *i).collect::<Vec<_>>(),
        &[KeyInterval::FULL]
    ));
}

#[test]
fn memory_makes_hot_as_work_does() {
    let mut heat = Heat::new(limits(1, 16));
    let full = Load { busy_permille: 1, memory_bytes: 800_000_000 };
    assert_eq!(heat.observe(&[(KeyInterval::FULL, full)]).len(), 1);
}

#[test]
fn a_single_position_is_not_split_and_counts_have_bounds() {
    let one = KeyInterval::new(KeyPosition(7), KeyPosition(7)).unwrap();
    assert_eq!(Heat::new(limits(1, 16)).observe(&[(one, busy(5000))]), []);
    let loads: Vec<_> = eighths().into_iter().map(|interval| (interval, busy(900))).collect();
    assert_eq!(Heat::new(limits(1, 8)).observe(&loads), []);
    assert_eq!(Heat::new(limits(1, 10)).observe(&loads).len(), 2);
}

#[test]
fn limits_that_would_chase_are_refused() {
    assert_eq!(HeatLimits::new(busy(800), 501, 1, 1, 8), Err(HeatLimitsError::MergesTooHot(501)));
    assert_eq!(HeatLimits::new(Load::default(), 400, 1, 1, 8), Err(HeatLimitsError::HotAtNothing));
    assert!(HeatLimits::new(busy(800), 400, 1, 9, 8).is_err());
    assert!(HeatLimits::new(busy(800), 400, 1, 0, 8).is_err());
}

proptest! {
    #[test]
    fn under_a_steady_load_changes_come_to_an_end(loads in prop::collection::vec(0u32..4000, 8), max in 8usize..40) {
        let mut heat = Heat::new(limits(2, max));
        let mut now: Vec<_> = eighths().into_iter().zip(loads.into_iter().map(busy)).collect();
        let mut quiet_rounds = 0;
        for _ in 0..200 {
            let changes = heat.observe(&now);
            quiet_rounds = if changes.is_empty() { quiet_rounds + 1 } else { 0 };
            now = reshaped(&now, &changes);
            let intervals: Vec<_> = now.iter().map(|(interval, _)| *interval).collect();
            prop_assert!(KeyInterval::is_partition_of(&intervals, &[KeyInterval::FULL]), "cover kept");
            prop_assert!(intervals.len() <= max.max(8) && !intervals.is_empty());
        }
        prop_assert!(quiet_rounds > 10, "it goes on changing");
    }

    #[test]
    fn the_order_of_intervals_does_not_matter(
        (loads, shuffled) in prop::collection::vec(0u32..2000, 8)
            .prop_map(|loads| eighths().into_iter().zip(loads.into_iter().map(busy)).collect::<Vec<_>>())
            .prop_flat_map(|loads| (Just(loads.clone()), Just(loads).prop_shuffle())),
    ) {
        prop_assert_eq!(Heat::new(limits(1, 12)).observe(&loads), Heat::new(limits(1, 12)).observe(&shuffled));
    }
}
