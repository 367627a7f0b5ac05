use super::super::Aggregator;
use super::*;
use crate::codec::{Codec, Postcard};
use crate::state::Combiner;
use proptest::prelude::*;

/// What comes out where the records are in one accumulator, and where they are in two that are merged; each
/// accumulator goes through its encoding, as it does in state.
fn both_ways<A: Aggregator>(by: &A, records: &[A::Input], cut: usize) -> (A::Output, A::Output) {
    let stored = |records: &[A::Input]| {
        let mut accumulator = by.create();
        records.iter().for_each(|record| by.add(&mut accumulator, record));
        let bytes = <Postcard as Codec<A::Accumulator>>::encode(&accumulator).unwrap();
        assert!(bytes.len() < 100_000, "{} bytes do not fit into an entry", bytes.len());
        <Postcard as Codec<A::Accumulator>>::decode(&bytes).unwrap()
    };
    let (head, tail) = records.split_at(cut.min(records.len()));
    let mut merged = stored(head);
    by.merge(&mut merged, stored(tail));
    (by.output(&stored(records)), by.output(&merged))
}

struct Longest;

impl Combiner for Longest {
    type Input = i32;
    type Accumulator = u32;

    fn add(longest: &mut u32, input: i32) {
        *longest = (*longest).max(input.unsigned_abs());
    }

    fn merge(longest: &mut u32, other: u32) {
        *longest = (*longest).max(other);
    }
}

proptest! {
    #[test]
    fn exact_aggregators_give_what_a_list_gives_also_when_merged(
        records in prop::collection::vec(-50i32..50, 0..60),
        cut in 0usize..60,
    ) {
        let same = |(whole, merged)| { assert_eq!(whole, merged); whole };
        prop_assert_eq!(same(both_ways(&Count::new(), &records, cut)), records.len() as u64);
        let sums = both_ways(&Sum::new(), &records, cut);
        prop_assert_eq!(sums, (records.iter().map(|n| i128::from(*n)).sum(), sums.0));
        let least = both_ways(&Min::new(), &records, cut);
        prop_assert_eq!(least, (records.iter().min().copied(), least.0));
        let greatest = both_ways(&Max::new(), &records, cut);
        prop_assert_eq!(greatest, (records.iter().max().copied(), greatest.0));
        let mean = both_ways(&Mean::new(), &records, cut);
        let exact = records.iter().map(|n| f64::from(*n)).sum::<f64>() / records.len() as f64;
        prop_assert_eq!(mean, ((!records.is_empty()).then_some(exact), mean.0));
        let mut sorted = records.clone();
        sorted.sort_by(|a, b| b.cmp(a));
        sorted.truncate(5);
        prop_assert_eq!(both_ways(&TopN::new(5), &records, cut), (sorted.clone(), sorted));
        let different = records.iter().collect::<std::collections::BTreeSet<_>>().len() as u64;
        prop_assert_eq!(both_ways(&Distinct::new(), &records, cut), (different, different));
        prop_assert_eq!(both_ways(&Collect::new(), &records, cut), (records.clone(), records.clone()));
        let longest = records.iter().map(|n| n.unsigned_abs()).max().unwrap_or(0);
        prop_assert_eq!(both_ways(&Combined::<Longest>::new(), &records, cut), (longest, longest));
        let pair = (Count::new(), Max::new().of(|n: &i32| -n));
        let (whole, merged) = both_ways(&pair, &records, cut);
        prop_assert_eq!(whole, (records.len() as u64, records.iter().map(|n| -n).max()));
        prop_assert_eq!(whole, merged);
    }
}

#[test]
fn sketches_are_as_close_as_they_promise() {
    let records: Vec<u32> = (0..60_000u32).map(|n| n % 20_000).collect();
    for about in <[u64; 2]>::from(both_ways(&ApproximateDistinct::new(), &records, 17_000)) {
        let error = (about as f64 - 20_000.0).abs() / 20_000.0;
        assert!(error < 4.0 * DISTINCT_ERROR, "{about} is far from 20000");
    }
    for exact in [0u16, 1, 7, 100, 1_000, 3_000] {
        let (whole, merged) = both_ways(&ApproximateDistinct::new(), &(0..exact).collect::<Vec<_>>(), 40);
        let error = (whole as f64 - f64::from(exact)).abs();
        assert!(error <= 4.0 * DISTINCT_ERROR * f64::from(exact), "{whole} is far from {exact}");
        assert_eq!(whole, merged, "the order of adding does not matter");
    }
    let numbers: Vec<f64> = (1..=10_000).map(f64::from).chain([f64::NAN]).collect();
    let (whole, merged) = both_ways(&Quantiles::new([0.0, 0.5, 0.99, 7.0]), &numbers, 3_000);
    assert_eq!(whole, merged);
    for (found, exact) in whole.iter().zip([1.0, 5_000.0, 9_900.0]) {
        let found = found.unwrap();
        assert!((found - exact).abs() <= exact * QUANTILE_ERROR * 1.01, "{found} is far from {exact}");
    }
    assert_eq!(whole.get(3), Some(&None), "7 is no quantile");
    assert_eq!(both_ways(&Quantiles::new([0.5]), &[], 0).0, [None]);
    let _ = both_ways(&Quantiles::new([0.5]), &[f64::MAX, f64::INFINITY, f64::MIN, 0.0, -1e-12], 2);
}

#[test]
fn sums_of_the_greatest_numbers_do_not_overflow() {
    assert_eq!(both_ways(&Sum::new(), &[u64::MAX, u64::MAX], 1).0, 2 * u128::from(u64::MAX));
    assert_eq!(both_ways(&Sum::new(), &[i64::MIN, i64::MIN], 1).1, 2 * i128::from(i64::MIN));
}
