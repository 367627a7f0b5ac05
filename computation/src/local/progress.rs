//! Progress on standard error: a bar on a terminal, lines elsewhere.

use super::Progress;
use crate::engine::worker::{ComputationStatus, PipelineStatus};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pelton_domain::{Name, ProcessingTime};
use std::time::Duration;

/// Shows how far a pipeline is.
pub(super) struct Reporter {
    shown: Progress,
    bar: Option<ProgressBar>,
    last: Option<(ProcessingTime, PipelineStatus)>,
    began: PipelineStatus,
}

impl Reporter {
    pub(super) fn new(shown: Progress, pipeline: &Name, began: PipelineStatus) -> Self {
        let bar = (shown == Progress::Bar).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed_precise}\n{msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(pipeline.to_string());
            bar
        });
        Self { shown, bar, last: None, began }
    }

    /// How often to show it.
    pub(super) fn interval(&self) -> Duration {
        match self.shown {
            Progress::Bar => Duration::from_millis(200),
            _ => Duration::from_secs(2),
        }
    }

    /// Says something once.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            _ if self.shown == Progress::Off => {}
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    pub(super) fn show(&mut self, status: &PipelineStatus, now: ProcessingTime) {
        if self.shown == Progress::Off {
            return;
        }
        let (since, before) = self.last.get_or_insert_with(|| (now, self.began.clone()));
        #[expect(clippy::cast_precision_loss, reason = "a rate to be shown")]
        let seconds = (now.as_micros().saturating_sub(since.as_micros()) as f64 / 1e6).max(0.2);
        let lines: Vec<String> = status
            .computations
            .iter()
            .map(|c| line(c, before.computation(c.name.as_str()), seconds))
            .collect();
        match &self.bar {
            Some(bar) => {
                bar.set_message(lines.join("\n"));
                bar.tick();
            }
            None => lines.iter().for_each(|line| eprintln!("{}", line.trim_end())),
        }
        self.last = Some((now, status.clone()));
    }

    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(now: &ComputationStatus, before: Option<&ComputationStatus>, seconds: f64) -> String {
    let calls = |c: &ComputationStatus| c.totals.records + c.totals.timers_fired;
    #[expect(clippy::cast_precision_loss, reason = "a rate to be shown")]
    let rate = (calls(now).saturating_sub(before.map_or(0, calls))) as f64 / seconds;
    let mut line = format!(
        "  {:<24} {:>9} records {rate:>9.0}/s  watermark {}",
        now.name.as_str(),
        now.totals.records,
        now.low_watermark,
    );
    for (count, what) in [
        (now.totals.late_dropped, "late"),
        (now.totals.dead_lettered, "dead letters"),
        (now.failing_keys, "failing keys"),
        (now.parked, "parked"),
    ] {
        if count > 0 {
            line.push_str(&format!("  {count} {what}"));
        }
    }
    line
}
