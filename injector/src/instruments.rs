//! What the injector counts and shows, through the `metrics` facade.
//!
//! | name | kind | what |
//! |---|---|---|
//! | `pelton_injector_reports_total` | counter | reports accepted |
//! | `pelton_injector_reports_refused_total{reason}` | counter | reports refused |
//! | `pelton_injector_journal_commits_total` | counter | journal commits that happened |
//! | `pelton_low_watermark_seconds{computation}` | gauge | announced low watermark, seconds since the Unix epoch; ±infinity as such |
//! | `pelton_dedup_horizon_seconds{computation}` | gauge | announced oldest unacknowledged system time, seconds since the Unix epoch |
//! | `pelton_injector_store_unavailable_total`, `pelton_injector_commits_unknown_total` | counter | what the journal met |
//!
//! The handles are made when the injector starts: install a recorder before that.

use crate::announced::Announced;
use crate::graph::Graph;
use crate::report::{Accepted, ReportRefused};
use metrics::{Counter, Gauge};
use pelton_domain::EventTime;
use std::collections::BTreeMap;

/// Handles on the metrics, made once, so that a report costs no look-up by name.
pub(crate) struct Instruments {
    reports: Counter,
    commits: Counter,
    gauges: BTreeMap<u32, (Gauge, Gauge)>,
}

impl std::fmt::Debug for Instruments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Instruments")
    }
}

impl Instruments {
    pub(crate) fn new(graph: &Graph) -> Self {
        let gauges = |computation: u32| {
            let name = graph.node(computation).map(|node| node.name.to_string()).unwrap_or_default();
            let watermark = metrics::gauge!("pelton_low_watermark_seconds", "computation" => name.clone());
            (computation, (watermark, metrics::gauge!("pelton_dedup_horizon_seconds", "computation" => name)))
        };
        Self {
            reports: metrics::counter!("pelton_injector_reports_total"),
            commits: metrics::counter!("pelton_injector_journal_commits_total"),
            gauges: graph.computations().map(gauges).collect(),
        }
    }

    pub(crate) fn reported(&self, result: &Result<Accepted, ReportRefused>) {
        match result {
            Ok(_) => self.reports.increment(1),
            Err(refused) => {
                tracing::debug!(%refused, "a report was refused");
                metrics::counter!("pelton_injector_reports_refused_total", "reason" => refused.reason())
                    .increment(1);
            }
        }
    }

    pub(crate) fn journaled(&self) {
        self.commits.increment(1);
    }

    pub(crate) fn announced(&self, announced: impl Iterator<Item = (u32, Announced)>) {
        for (computation, value) in announced {
            if let Some((watermark, horizon)) = self.gauges.get(&computation) {
                watermark.set(seconds(value.low_watermark));
                horizon.set(value.oldest_unacknowledged.as_millis() as f64 / 1e3);
            }
        }
    }
}

fn seconds(time: EventTime) -> f64 {
    match time {
        EventTime::MIN => f64::NEG_INFINITY,
        EventTime::MAX => f64::INFINITY,
        time => time.as_micros() as f64 / 1e6,
    }
}
