//! What a run did.

use crate::engine::worker::PipelineStatus;
use std::fmt;
use std::time::Duration;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The input is at its end, and everything is done.
    Finished,
    /// It was asked to stop; another run goes on from here.
    Stopped,
}

/// What a run did, and what all runs on its store did together.
#[derive(Clone, Debug)]
pub struct Summary {
    /// How it ended.
    pub outcome: Outcome,
    /// What was done when it began: by earlier runs on the store.
    pub before: PipelineStatus,
    /// What was done when it ended: by all runs together.
    pub after: PipelineStatus,
    /// How long it took, from the take-over of every interval to the end.
    pub elapsed: Duration,
}

impl Summary {
    /// Whether an earlier run on the store had begun the work.
    #[must_use]
    pub fn continued(&self) -> bool {
        work(&self.before) > 0
    }

    /// Records and timers handled by this run alone, in all computations.
    #[must_use]
    pub fn handled(&self) -> u64 {
        work(&self.after).saturating_sub(work(&self.before))
    }

    /// Those per second.
    #[must_use]
    pub fn handled_per_s(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate to be shown")]
        let handled = self.handled() as f64;
        handled / self.elapsed.as_secs_f64().max(0.001)
    }
}

/// Calls that succeeded.
fn work(status: &PipelineStatus) -> u64 {
    status.computations.iter().map(|c| c.totals.records + c.totals.timers_fired).sum()
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome {
            Outcome::Finished => {
                writeln!(f, "Done: the input is at its end, and every record is committed.")?
            }
            Outcome::Stopped => writeln!(f, "Stopped. Run it again on the same store to go on.")?,
        }
        if self.continued() {
            writeln!(f, "Continued an earlier run: {} calls were already committed.", work(&self.before))?;
        }
        writeln!(
            f,
            "{:<24} {:>10} {:>10} {:>10} {:>10} {:>6} {:>12}  watermark",
            "computation", "records", "timers", "produced", "duplicates", "late", "dead letters",
        )?;
        for c in &self.after.computations {
            let t = c.totals;
            writeln!(
                f,
                "{:<24} {:>10} {:>10} {:>10} {:>10} {:>6} {:>12}  {}",
                c.name.as_str(),
                t.records,
                t.timers_fired,
                t.productions,
                t.duplicates,
                t.late_dropped,
                t.dead_lettered,
                c.low_watermark,
            )?;
        }
        let (seconds, rate) = (self.elapsed.as_secs_f64(), self.handled_per_s());
        write!(f, "{} calls in {seconds:.2} s: {rate:.0} a second", self.handled())
    }
}
