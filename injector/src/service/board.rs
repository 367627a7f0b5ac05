//! The last report of each interval, and their sums by computation and by worker: what people, autoscalers and the split of
//! hot intervals go by. No watermark depends on it.
//!
//! A report changes the sums by its difference to the one before, so nothing is ever added up anew.

use crate::assign::Worker;
use crate::membership::{Id, IntervalReign};
use crate::report::Load;
use foldhash::fast::FixedState;
use pelton_proto::injector as proto;
use std::collections::{BTreeMap, HashMap};

/// The last report of one interval.
#[derive(Clone, Debug)]
pub(super) struct Last {
    pub(super) reign: IntervalReign,
    pub(super) worker: Worker,
    pub(super) report: proto::Report,
    /// Whether the reign still stands.
    pub(super) current: bool,
}

/// Sums over intervals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) totals: proto::Totals,
    pub(super) held: proto::Held,
    pub(super) busy_permille: u64,
    pub(super) memory_bytes: u64,
    /// Intervals that have reported in their present reign.
    pub(super) reported: usize,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// Its order decides nothing: where it is iterated, the same is done to each.
    last: HashMap<Id, Box<Last>, FixedState>,
    computations: BTreeMap<u32, Sums>,
    workers: HashMap<Worker, Sums, FixedState>,
}

impl Board {
    /// A report was accepted.
    pub(super) fn report(&mut self, reign: IntervalReign, worker: &Worker, report: proto::Report) {
        let id = (reign.computation, reign.interval.last());
        self.forget(id);
        self.count(reign.computation, Some(worker), &report, 1);
        let last = Last { reign, worker: worker.clone(), report, current: true };
        self.last.insert(id, Box::new(last));
    }

    /// An interval has another owner, or none: what it did stays counted, what it has and takes is nobody's until the next
    /// report.
    pub(super) fn vacate(&mut self, id: Id) {
        let Some(last) = self.last.get_mut(&id).filter(|last| last.current) else { return };
        last.current = false;
        let (computation, worker, report) =
            (last.reign.computation, last.worker.clone(), last.report.clone());
        let totals_only = proto::Report { totals: report.totals, ..Default::default() };
        self.count(computation, Some(&worker), &report, -1);
        let sums = self.computations.entry(computation).or_default();
        add_report(sums, &totals_only, 1);
    }

    /// A worker is gone: what it had and took is nobody's.
    pub(super) fn vacate_worker(&mut self, worker: &Worker) {
        let of_worker = |last: &Last| last.current && last.worker == *worker;
        let ids: Vec<Id> = (self.last.values().map(|last| &**last).filter(|last| of_worker(last)))
            .map(|last| (last.reign.computation, last.reign.interval.last()))
            .collect();
        for id in ids {
            self.vacate(id);
        }
    }

    /// An interval is no more, or its report is replaced.
    pub(super) fn forget(&mut self, id: Id) {
        let Some(last) = self.last.remove(&id) else { return };
        if last.current {
            self.count(last.reign.computation, Some(&last.worker), &last.report, -1);
        } else {
            let totals_only = proto::Report { totals: last.report.totals, ..Default::default() };
            add_report(self.computations.entry(last.reign.computation).or_default(), &totals_only, -1);
        }
    }

    fn count(&mut self, computation: u32, worker: Option<&Worker>, report: &proto::Report, sign: i64) {
        let of_computation = self.computations.entry(computation).or_default();
        add_report(of_computation, report, sign);
        of_computation.reported = shifted(of_computation.reported as u64, 1, sign) as usize;
        if let Some(worker) = worker {
            let of_worker = match self.workers.get_mut(worker) {
                Some(sums) => sums,
                None => self.workers.entry(worker.clone()).or_default(),
            };
            of_worker.busy_permille = shifted(of_worker.busy_permille, report.busy_permille.into(), sign);
            of_worker.memory_bytes = shifted(of_worker.memory_bytes, report.memory_bytes, sign);
            of_worker.reported = shifted(of_worker.reported as u64, 1, sign) as usize;
            if of_worker.reported == 0 {
                self.workers.remove(worker);
            }
        }
    }

    /// The last report of exactly this reign.
    pub(super) fn of(&self, reign: &IntervalReign) -> Option<&Last> {
        let last = self.last.get(&(reign.computation, reign.interval.last()))?;
        (last.current && last.reign == *reign).then_some(last)
    }

    pub(super) fn load(&self, reign: &IntervalReign) -> Option<Load> {
        let report = &self.of(reign)?.report;
        Some(Load { busy_permille: report.busy_permille, memory_bytes: report.memory_bytes })
    }

    pub(super) fn computation(&self, computation: u32) -> Sums {
        self.computations.get(&computation).copied().unwrap_or_default()
    }

    pub(super) fn worker(&self, worker: &Worker) -> Sums {
        self.workers.get(worker).copied().unwrap_or_default()
    }
}

fn shifted(sum: u64, by: u64, sign: i64) -> u64 {
    if sign < 0 { sum.saturating_sub(by) } else { sum.saturating_add(by) }
}

fn add_report(sums: &mut Sums, report: &proto::Report, sign: i64) {
    let shift = |sum: &mut u64, by: u64| *sum = shifted(*sum, by, sign);
    shift(&mut sums.busy_permille, report.busy_permille.into());
    shift(&mut sums.memory_bytes, report.memory_bytes);
    if let Some(totals) = &report.totals {
        shift(&mut sums.totals.records, totals.records);
        shift(&mut sums.totals.duplicates, totals.duplicates);
        shift(&mut sums.totals.late_dropped, totals.late_dropped);
        shift(&mut sums.totals.dead_lettered, totals.dead_lettered);
        shift(&mut sums.totals.timers_fired, totals.timers_fired);
        shift(&mut sums.totals.productions, totals.productions);
    }
    if let Some(held) = &report.held {
        shift(&mut sums.held.waiting, held.waiting);
        shift(&mut sums.held.timers, held.timers);
        shift(&mut sums.held.failing_keys, held.failing_keys);
        shift(&mut sums.held.parked, held.parked);
        shift(&mut sums.held.outbox_bytes, held.outbox_bytes);
    }
}
