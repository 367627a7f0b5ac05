//! How fast a split may be read: a pure schedule of chunks.
//!
//! A slow rate is many small chunks, not a large one now and then. The schedule hangs on the time that the
//! last read was due, not on the time it ran, so small delays are made up for; a long pause, such as a
//! restart, is not: at most [`CATCH_UP`] of it.

use pelton_domain::ProcessingTime;
use std::time::Duration;

/// How much time one chunk of a rate-limited split covers, where the rate is not below one row in that time.
const CHUNK: Duration = Duration::from_millis(20);
/// How much lost time is made up for.
const CATCH_UP: Duration = Duration::from_millis(200);

/// The rate of one split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pace {
    rows_per_s: f64,
}

impl Pace {
    /// `rows_per_s`, shared evenly by `splits` splits. The rate must be finite and above zero.
    pub(crate) fn shared(rows_per_s: f64, splits: u32) -> Self {
        debug_assert!(rows_per_s.is_finite() && rows_per_s > 0.0, "checked by validate()");
        Self { rows_per_s: rows_per_s / f64::from(splits.max(1)) }
    }

    /// How many rows the next chunk may have.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before the cast")]
    pub(crate) fn chunk_rows(self, rows_max: usize) -> usize {
        let rows = (self.rows_per_s * CHUNK.as_secs_f64()).clamp(1.0, 1e9) as usize;
        rows.min(rows_max.max(1))
    }

    /// When the next chunk is due, after one of `rows` rows that was due at `due` and was read at `now`.
    pub(crate) fn next_due(self, due: ProcessingTime, now: ProcessingTime, rows: usize) -> ProcessingTime {
        let from = due.max(now.minus(CATCH_UP)).min(now);
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        let wait = Duration::try_from_secs_f64(f64::from(rows) / self.rows_per_s);
        from.plus(wait.unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(pace: Pace, chunks: usize, late: Duration) -> (ProcessingTime, usize) {
        let mut due = ProcessingTime::from_secs(1000);
        let mut rows = 0;
        for _ in 0..chunks {
            let now = due.plus(late);
            let chunk = pace.chunk_rows(4096);
            due = pace.next_due(due, now, chunk);
            rows += chunk;
        }
        (due, rows)
    }

    proptest! {
        #[test]
        fn the_rate_is_kept_however_late_each_read_is(rate in 0.5f64..200_000.0, late_us in 0u64..100_000) {
            let (end, rows) = run(Pace::shared(rate, 1), 500, Duration::from_micros(late_us));
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let (took, rows) = ((end.as_micros() - 1_000_000_000) as f64 / 1e6, rows as f64);
            prop_assert!((rows / took - rate).abs() / rate < 0.01, "{rows} rows in {took} s at {rate}/s");
        }
    }

    #[test]
    fn a_slow_rate_is_one_row_at_a_time_and_a_fast_one_whole_chunks() {
        assert_eq!(Pace::shared(3.0, 1).chunk_rows(4096), 1);
        assert_eq!(Pace::shared(10_000.0, 1).chunk_rows(4096), 200);
        assert_eq!(Pace::shared(10_000.0, 4).chunk_rows(4096), 50);
        assert_eq!(Pace::shared(1e12, 1).chunk_rows(4096), 4096);
    }

    #[test]
    fn a_restart_does_not_burst() {
        let pace = Pace::shared(1000.0, 1);
        let (mut due, now) = (ProcessingTime::from_secs(10), ProcessingTime::from_secs(3600));
        let mut rows = 0;
        while due <= now {
            rows += pace.chunk_rows(4096);
            due = pace.next_due(due, now, pace.chunk_rows(4096));
        }
        assert!(rows <= 240, "an hour away, and then {rows} rows at once");
    }
}
