//! What each file must say, from the records alone.

use super::pipeline::Entry;
use serde::Serialize;
use std::collections::BTreeMap;

/// The lines of each file, in no order.
pub(crate) fn all(a: &[Entry], b: &[Entry]) -> Vec<(&'static str, Vec<String>)> {
    let mut files = joins(a, b);
    files.extend(panes(a, b));
    files.extend(others(a, b));
    files
}

fn line(of: &impl Serialize) -> String {
    serde_json::to_string(of).unwrap()
}

fn lines<T: Serialize>(of: impl IntoIterator<Item = T>) -> Vec<String> {
    of.into_iter().map(|of| line(&of)).collect()
}

fn window(entry: &Entry) -> i64 {
    entry.second / 20 * 20
}

/// Every two that meet, and what meets none.
fn pairs(
    a: &[Entry],
    b: &[Entry],
    meets: impl Fn(&Entry, &Entry) -> bool,
) -> (Vec<(u32, u32)>, Vec<u32>, Vec<u32>) {
    let meets = |a: &Entry, b: &Entry| a.key == b.key && meets(a, b);
    let both = a.iter().flat_map(|a| b.iter().filter(move |b| meets(a, b)).map(|b| (a.value, b.value)));
    let left = a.iter().filter(|a| !b.iter().any(|b| meets(a, b))).map(|a| a.value);
    let right = b.iter().filter(|b| !a.iter().any(|a| meets(a, b))).map(|b| b.value);
    (both.collect(), left.collect(), right.collect())
}

fn joins(a: &[Entry], b: &[Entry]) -> Vec<(&'static str, Vec<String>)> {
    let full = |(both, left, right): (Vec<(u32, u32)>, Vec<u32>, Vec<u32>)| {
        let both = both.into_iter().map(|(a, b)| (Some(a), Some(b)));
        let left = left.into_iter().map(|a| (Some(a), None));
        lines(both.chain(left).chain(right.into_iter().map(|b| (None, Some(b)))))
    };
    let same = |a: &Entry, b: &Entry| window(a) == window(b);
    let (both, left, right) = pairs(a, b, same);
    let outer = both.iter().map(|(a, b)| (*a, Some(*b))).chain(left.iter().map(|a| (*a, None)));
    let between = |a: &Entry, b: &Entry| (-5..=10).contains(&(b.second - a.second));
    let mut groups = BTreeMap::<(u64, i64), (Vec<u32>, Vec<u32>)>::new();
    for entry in a {
        groups.entry((entry.key, window(entry))).or_default().0.push(entry.value);
    }
    for entry in b {
        groups.entry((entry.key, window(entry))).or_default().1.push(entry.value);
    }
    groups.values_mut().for_each(|(left, right)| {
        left.sort_unstable();
        right.sort_unstable();
    });
    let row = |key: u64, second: i64| {
        let rows = b.iter().filter(|b| b.key == key && b.second <= second);
        rows.max_by_key(|b| b.second).map(|b| b.value)
    };
    vec![
        ("left", lines(outer)),
        ("inner", lines(both.clone())),
        ("full", full((both, left, right))),
        ("groups", lines(groups.into_iter().map(|((key, start), (left, right))| (key, start, left, right)))),
        ("between", full(pairs(a, b, between))),
        ("table", lines(a.iter().map(|a| (a.value, row(a.key, a.second))))),
        ("side", lines(a.iter().map(|a| (a.key, a.value, row((a.key + 1) % 7, a.second))))),
    ]
}

fn panes(a: &[Entry], b: &[Entry]) -> Vec<(&'static str, Vec<String>)> {
    let mut most = BTreeMap::<(u64, i64), u32>::new();
    for entry in a.iter().chain(b) {
        let most = most.entry((entry.key, window(entry))).or_default();
        *most = entry.value.max(*most);
    }
    let mut counts = BTreeMap::<(u64, i64), u64>::new();
    a.iter().for_each(|entry| *counts.entry((entry.key, window(entry))).or_default() += 1);
    vec![
        ("most", lines(most.into_iter().map(|((key, start), most)| (key, start, most)))),
        ("final", lines(counts.into_iter().map(|((key, start), count)| (key, start, count)))),
    ]
}

fn others(a: &[Entry], b: &[Entry]) -> Vec<(&'static str, Vec<String>)> {
    let mut counts = BTreeMap::<u64, u64>::new();
    b.iter().for_each(|entry| *counts.entry(entry.key).or_default() += 1);
    let numbered = || counts.iter().flat_map(|(key, count)| (1..=*count).map(move |number| (*key, number)));
    let (even, odd): (Vec<Entry>, Vec<Entry>) = a.iter().partition(|a| a.value % 2 == 0);
    let (thirds, wrong): (Vec<u32>, Vec<u32>) = a.iter().map(|a| a.value).partition(|value| value % 3 == 0);
    vec![
        ("running", lines(numbered())),
        ("by-hand", lines(numbered().map(|(key, number)| (number, key)))),
        ("pairs", lines(pairs_in_order(b))),
        ("even", lines(even)),
        ("odd", lines(odd)),
        ("thirds", lines(thirds.into_iter().map(|value| value / 3))),
        ("wrong", lines(wrong.into_iter().map(|value| (value, "not a multiple of three")))),
        ("once", lines(a)),
        ("limited", lines(a.iter().map(|a| a.value))),
        ("asked", lines(b.iter().map(|b| (b.value, b.value * 2)))),
    ]
}

/// Of each key each two records that come one after the other.
fn pairs_in_order(entries: &[Entry]) -> Vec<(u64, u32, u32)> {
    let mut last = BTreeMap::new();
    let pair = |entry: &Entry| Some((entry.key, last.insert(entry.key, entry.value)?, entry.value));
    entries.iter().filter_map(pair).collect()
}
