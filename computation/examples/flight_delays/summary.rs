//! What is printed at the end.

use crate::outputs::{Earlier, Outputs};
use pelton::PipelineStatus;
use pelton::local::{Outcome, Summary};
use std::fmt;
use std::time::Duration;

/// The end of a run, for people.
pub(crate) struct Report<'a> {
    /// What the runner says.
    pub(crate) done: &'a Summary,
    /// Where everything is.
    pub(crate) outputs: &'a Outputs,
    /// What came before it.
    pub(crate) earlier: Earlier,
    /// From opening the store to the end.
    pub(crate) took: Duration,
}

/// The counts of all runs on a store together, each committed with the work it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    read: u64,
    late: u64,
    dead_lettered: u64,
    hours: u64,
    alerts: u64,
}

impl Counts {
    fn of(status: &PipelineStatus) -> Self {
        let totals = |name: &str| status.computation(name).map(|c| c.totals).unwrap_or_default();
        let source = totals("departures.read");
        Self {
            read: source.productions + source.dead_lettered,
            late: totals("hourly").late_dropped,
            dead_lettered: status.computations.iter().map(|c| c.totals.dead_lettered).sum(),
            hours: totals("buckets.write").records,
            alerts: totals("alerts.write").records,
        }
    }

    fn lines(&self) -> u64 {
        self.hours + self.alerts + self.dead_lettered
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = (Counts::of(&self.done.before), Counts::of(&self.done.after));
        self.headline(f, before, after)?;
        let seconds = self.took.as_secs_f64();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate to be shown"
        )]
        let rate = (after.read.saturating_sub(before.read) as f64 / seconds.max(0.001)) as u64;
        writeln!(f)?;
        writeln!(f, "  records read   {:>9}", grouped(after.read))?;
        writeln!(f, "  late           {:>9}", grouped(after.late))?;
        writeln!(f, "  dead-lettered  {:>9}", grouped(after.dead_lettered))?;
        let (hours, alerts) = (grouped(after.hours), grouped(after.alerts));
        writeln!(f, "  lines written  {:>9}   {hours} of hours, {alerts} of alerts", grouped(after.lines()))?;
        writeln!(f, "  records/s      {:>9}   in {seconds:.2} s", grouped(rate))?;
        writeln!(f)?;
        writeln!(f, "  hours          {}", self.outputs.hourly().display())?;
        writeln!(f, "  alerts         {}", self.outputs.alerts().display())?;
        write!(f, "  dead letters   {}", self.outputs.dead_letters().display())?;
        if self.done.outcome == Outcome::Finished {
            write!(f, "\n  report         {}", self.outputs.report().display())?;
        }
        Ok(())
    }
}

impl Report<'_> {
    fn headline(&self, f: &mut fmt::Formatter<'_>, before: Counts, after: Counts) -> fmt::Result {
        let stop = match self.earlier {
            Earlier::Nothing => None,
            Earlier::Ended => Some("a clean stop"),
            Earlier::CutOff => Some("an unclean stop"),
        };
        if let Some(stop) = stop.filter(|_| self.done.continued() && self.done.handled() > 0) {
            writeln!(f, "Continued after {stop}: {} records were already read.", grouped(before.read))?;
        }
        match self.done.outcome {
            Outcome::Finished if self.done.handled() == 0 => {
                writeln!(f, "Everything was already done; nothing changed.")
            }
            Outcome::Finished => writeln!(f, "Done: every flight is counted, and every hour is told."),
            Outcome::Stopped => writeln!(
                f,
                "Stopped after {} records: run it again with the same arguments to go on.",
                grouped(after.read)
            ),
        }
    }
}

/// A number with commas between the thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(
            ["0", "999", "1,000", "336,776"],
            [0, 999, 1000, 336_776].map(grouped).each_ref().map(String::as_str)
        );
    }
}
