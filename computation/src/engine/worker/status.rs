//! What a running pipeline says of itself: counts and watermarks, for progress and summaries.

use super::Engine;
use crate::engine::interval::core::Core;
use pelton_domain::{EventTime, Name};
use pelton_statestore::fence::Counters;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{OnceLock, PoisonError};

/// Figures of one interval, written by its task and read by anybody.
#[derive(Debug, Default)]
pub(crate) struct IntervalStatus {
    records: AtomicU64,
    duplicates: AtomicU64,
    late_dropped: AtomicU64,
    dead_lettered: AtomicU64,
    timers_fired: AtomicU64,
    productions: AtomicU64,
    timers: AtomicU64,
    waiting: AtomicU64,
    failing: AtomicU64,
    parked: AtomicU64,
    outbox_bytes: AtomicU64,
    observed: AtomicBool,
    recovered: OnceLock<Counters>,
}

/// The figures of one interval at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) totals: Counters,
    pub(crate) waiting: u64,
    pub(crate) timers: u64,
    pub(crate) failing_keys: u64,
    pub(crate) parked: u64,
    pub(crate) outbox_bytes: u64,
}

fn store(place: &AtomicU64, value: usize) {
    place.store(value as u64, Ordering::Relaxed);
}

impl IntervalStatus {
    /// Takes up the totals that the first take-over of this process found.
    pub(crate) fn recovered(&self, totals: &Counters) {
        let _ = self.recovered.set(*totals);
        self.update(totals);
    }

    /// Takes up the totals of a commit.
    pub(crate) fn update(&self, totals: &Counters) {
        self.records.store(totals.records, Ordering::Relaxed);
        self.duplicates.store(totals.duplicates, Ordering::Relaxed);
        self.late_dropped.store(totals.late_dropped, Ordering::Relaxed);
        self.dead_lettered.store(totals.dead_lettered, Ordering::Relaxed);
        self.timers_fired.store(totals.timers_fired, Ordering::Relaxed);
        self.productions.store(totals.productions, Ordering::Relaxed);
    }

    /// Takes up what the interval holds now.
    pub(crate) fn observe(&self, core: &Core) {
        let (failing, parked) = core.failing.counts();
        store(&self.timers, core.scope.timers.left());
        store(&self.waiting, core.intake_len());
        store(&self.failing, failing);
        store(&self.parked, parked);
        store(&self.outbox_bytes, core.outbox.bytes());
        self.observed.store(true, Ordering::Release);
    }

    /// What it says now. Each figure is of some moment, not all of the same.
    pub(crate) fn figures(&self) -> Figures {
        let load = |place: &AtomicU64| place.load(Ordering::Relaxed);
        Figures {
            totals: Counters {
                records: load(&self.records),
                duplicates: load(&self.duplicates),
                late_dropped: load(&self.late_dropped),
                dead_lettered: load(&self.dead_lettered),
                timers_fired: load(&self.timers_fired),
                productions: load(&self.productions),
            },
            waiting: load(&self.waiting),
            timers: load(&self.timers),
            failing_keys: load(&self.failing),
            parked: load(&self.parked),
            outbox_bytes: load(&self.outbox_bytes),
        }
    }

    /// Whether it is running, so that its figures are known.
    pub(crate) fn is_observed(&self) -> bool {
        self.observed.load(Ordering::Acquire)
    }

    /// The interval is not running: what it holds is unknown until it is observed again.
    pub(crate) fn unobserved(&self) {
        self.observed.store(false, Ordering::Release);
    }
}

/// One computation of a running pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputationStatus {
    /// Its name.
    pub name: Name,
    /// Its low watermark, as announced.
    pub low_watermark: EventTime,
    /// Intervals of it.
    pub intervals: usize,
    /// Those of them that are running now. The figures below are of these.
    pub running: usize,
    /// Totals over all runs on this store, each committed with the work it counts.
    pub totals: Counters,
    /// Timers that are set.
    pub timers: u64,
    /// Records that have arrived and not run.
    pub waiting: u64,
    /// Keys whose code fails.
    pub failing_keys: u64,
    /// Their parked records.
    pub parked: u64,
    /// Bytes of unacknowledged productions.
    pub outbox_bytes: u64,
}

/// A running pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineStatus {
    /// Its computations, producers first.
    pub computations: Vec<ComputationStatus>,
}

impl PipelineStatus {
    /// Whether all is done: every watermark at plus infinity, and no timer or parked record left.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let done = |c: &ComputationStatus| {
            c.low_watermark == EventTime::MAX && c.running == c.intervals && c.timers == 0 && c.parked == 0
        };
        self.computations.iter().all(done)
    }

    /// The computation `name`.
    #[must_use]
    pub fn computation(&self, name: &str) -> Option<&ComputationStatus> {
        self.computations.iter().find(|computation| computation.name.as_str() == name)
    }
}

impl Engine {
    /// The totals that earlier runs on the store had reached when this one took over.
    #[must_use]
    pub fn recovered(&self) -> PipelineStatus {
        let mut status = self.status();
        for (computation, hosted) in status.computations.iter_mut().zip(self.shared.computations.values()) {
            let running = hosted.running.lock().unwrap_or_else(PoisonError::into_inner);
            computation.totals = Counters::default();
            let found = running.values().filter_map(|running| running.status.recovered.get());
            found.for_each(|totals| computation.totals.add(totals));
        }
        status
    }

    /// How far everything is.
    #[must_use]
    pub fn status(&self) -> PipelineStatus {
        let announced = self.shared.authority.announced();
        let computations = self.shared.computations.iter().map(|(number, hosted)| {
            let running = hosted.running.lock().unwrap_or_else(PoisonError::into_inner);
            let mut all = Figures::default();
            for figures in running.values().map(|running| running.status.figures()) {
                all.totals.add(&figures.totals);
                all.waiting += figures.waiting;
                all.timers += figures.timers;
                all.failing_keys += figures.failing_keys;
                all.parked += figures.parked;
                all.outbox_bytes += figures.outbox_bytes;
            }
            ComputationStatus {
                name: hosted.spec.name.clone(),
                low_watermark: announced.of(*number).low_watermark,
                intervals: running.len(),
                running: running.values().filter(|r| r.status.is_observed()).count(),
                totals: all.totals,
                timers: all.timers,
                waiting: all.waiting,
                failing_keys: all.failing_keys,
                parked: all.parked,
                outbox_bytes: all.outbox_bytes,
            }
        });
        PipelineStatus { computations: computations.collect() }
    }
}
