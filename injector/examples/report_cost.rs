//! What a report costs the authority, and what it holds in memory: 1,000 to 500,000 intervals.
//!
//! `cargo run --release -p pelton-injector --example report_cost`
//!
//! Two loads. *Steady*: intervals report in turn, each a second further, as an even pipeline does. *Random*: any interval
//! reports next, somewhat ahead of the last of all. Both through [`Aggregate`], as every report goes; the handle
//! adds a lock and a counter. Times are of the processor. A proposal is taken and journaled (in memory) every 1,000 reports.

mod measuring;

use measuring::{resident_kb, timed};
use pelton_domain::{EventTime, Key, KeyInterval, Name, ProcessingTime, Sequencer, SystemTime};
use pelton_injector::{Aggregate, Assignment, Graph, Holder, HolderKind, IntervalReport, Load, Node};
use std::sync::Arc;
use std::time::Duration;

/// Reports per measurement.
const REPORTS: u64 = 2_000_000;

fn main() {
    println!("{:>9} {:>12} {:>12} {:>12} {:>14}", "intervals", "assign", "steady", "random", "memory");
    for intervals in [1_000, 10_000, 100_000, 500_000] {
        let before_kb = resident_kb();
        let (mut aggregate, assign) = timed(|| assigned(intervals));
        let bounds: Vec<Assignment> = aggregate.intervals(1).map(|view| view.assignment).collect();
        let steady = measure(&mut aggregate, &bounds, |i| i);
        let random = measure(&mut aggregate, &bounds, scatter);
        let memory_kb = resident_kb().saturating_sub(before_kb);
        println!(
            "{intervals:>9} {:>9} us {:>9} ns {:>9} ns {:>11} KiB",
            assign.as_micros(),
            steady.as_nanos() / u128::from(REPORTS),
            random.as_nanos() / u128::from(REPORTS),
            memory_kb,
        );
    }
}

/// An aggregate of one computation in so many intervals.
fn assigned(intervals: u32) -> Aggregate {
    let name = Name::new("measured").unwrap_or_else(|error| unreachable!("{error}"));
    let nodes = [Node { computation: 1, name, producers: Vec::new() }];
    let graph = Graph::new(nodes).unwrap_or_else(|error| unreachable!("{error}"));
    let mut aggregate = Aggregate::new(Arc::new(graph), []);
    let assignment = |(number, interval)| {
        let sequencer = Sequencer::new(number)?;
        Some(Assignment { interval, sequencer, worker: "worker-1".into() })
    };
    let new = (1..).zip(KeyInterval::partition(intervals)).filter_map(assignment).collect();
    aggregate.reassign(1, new).unwrap_or_else(|error| unreachable!("{error}"));
    aggregate
}

/// Sends [`REPORTS`] reports, of the interval that `which` chooses for each.
fn measure(aggregate: &mut Aggregate, bounds: &[Assignment], which: impl Fn(u64) -> u64) -> Duration {
    let count = bounds.len() as u64;
    let holder = Some(Holder { what: HolderKind::Timer, key: Some(Key::from("a key of some length")) });
    let ((), time) = timed(|| {
        for i in 0..REPORTS {
            let index = usize::try_from(which(i) % count).unwrap_or(0);
            let Some(assignment) = bounds.get(index) else { continue };
            let round = i / count + 1;
            let report = IntervalReport {
                computation: 1,
                interval: assignment.interval,
                sequencer: assignment.sequencer,
                low_watermark: EventTime::from_secs(i64::try_from(round).unwrap_or(0)),
                oldest_unacknowledged: SystemTime::from_millis(round * 1000 + scatter(i) % 1000),
                holder: holder.clone(),
                load: Load::default(),
            };
            if let Err(refused) = aggregate.report(report, ProcessingTime::from_secs(0)) {
                unreachable!("{refused}");
            }
            if let Some(proposal) = (i % 1000 == 0).then(|| aggregate.proposal(1000)).flatten() {
                aggregate.journaled(proposal);
            }
        }
    });
    time
}

/// A number that looks random, the same in every run (SplitMix64).
fn scatter(i: u64) -> u64 {
    let mut z = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
