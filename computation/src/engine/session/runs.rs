//! What runs here, and the last word on each: the only place where reports wait for the injector (I11).

use super::wire;
use crate::engine::channel::Party;
use crate::engine::worker::{Figures, IntervalStatus};
use pelton_domain::KeyInterval;
use pelton_injector::IntervalReport;
use pelton_proto::injector;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug)]
struct Run {
    interval: KeyInterval,
    status: Arc<IntervalStatus>,
    report: Option<IntervalReport>,
    /// The figures that went with the last report.
    sent: Option<Figures>,
}

/// The reigns that run here.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    runs: BTreeMap<Party, Run>,
    /// Those with a report that the injector has not been sent.
    unsent: BTreeSet<Party>,
}

/// Reports in one message.
const REPORTS_MAX: usize = 1000;

impl Runs {
    pub(super) fn add(&mut self, interval: KeyInterval, party: Party, status: Arc<IntervalStatus>) {
        self.runs.insert(party, Run { interval, status, report: None, sent: None });
    }

    pub(super) fn remove(&mut self, party: Party) {
        self.runs.remove(&party);
        self.unsent.remove(&party);
    }

    /// Takes the place of the last report of the same reign.
    pub(super) fn report(&mut self, report: IntervalReport) {
        let party = Party::of(report.computation, report.interval, report.sequencer);
        if let Some(run) = self.runs.get_mut(&party) {
            run.report = Some(report);
            self.unsent.insert(party);
        }
    }

    /// Everything is to be sent again: another injector listens.
    pub(super) fn unsent_all(&mut self) {
        let reported = self.runs.iter().filter(|(_, run)| run.report.is_some());
        self.unsent = reported.map(|(party, _)| *party).collect();
    }

    /// Those whose figures have changed since they were sent are to be sent too.
    pub(super) fn look_at_figures(&mut self) {
        for (party, run) in &self.runs {
            if run.report.is_some() && run.sent.as_ref() != Some(&run.status.figures()) {
                self.unsent.insert(*party);
            }
        }
    }

    /// What is to be sent next; `None` where nothing is.
    pub(super) fn take(&mut self) -> Option<injector::Reports> {
        let mut reports = Vec::new();
        while reports.len() < REPORTS_MAX
            && let Some(party) = self.unsent.pop_first()
        {
            let Some(run) = self.runs.get_mut(&party) else { continue };
            let Some(report) = &run.report else { continue };
            let figures = run.status.figures();
            reports.push(wire::report(run.interval, party, report, &figures));
            run.sent = Some(figures);
        }
        (!reports.is_empty()).then_some(injector::Reports { reports })
    }

    pub(super) fn ids(&self) -> Vec<injector::IntervalId> {
        self.runs.iter().map(|(party, run)| wire::interval_id(run.interval, *party)).collect()
    }
}
