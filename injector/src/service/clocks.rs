//! Whether a worker's clock may be in ids (I6). Pure: both times are handed in.
//!
//! An id carries the system time of its sender, and it is forgotten when the horizon has passed that. A clock that is
//! hours ahead would lift ids and promises by hours, and what was lifted stays: a successor starts no lower. So there
//! are three guards:
//!
//! * a worker whose clock is ahead by more than the bound may not join, and one that is already there loses its
//!   intervals until its clock is right again;
//! * every message tells workers how late an id may be, and they assign none later, whatever their clocks do;
//! * a promise counts at most up to that time.
//!
//! A message that was long on its way makes a clock look slow, never fast. So a clock that is ahead is certainly
//! ahead, and one that seems behind may be right: it is shown, and nothing is done about it. Slow clocks harm no
//! promise, since ids do not fall below what was announced.

use pelton_domain::{ProcessingTime, SystemTime};
use std::time::Duration;

/// A clock that is too far ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "its clock says {said} and the injector's {here}: it is ahead by {}.{:03} s, and {} s is the most, since record ids carry it; set both machines' clocks by NTP, the injector's too if that one is wrong",
    ahead_ms / 1000, ahead_ms % 1000, ahead_max.as_secs_f64()
)]
pub(super) struct ClockAhead {
    pub(super) said: ProcessingTime,
    pub(super) here: ProcessingTime,
    pub(super) ahead_ms: u64,
    pub(super) ahead_max: Duration,
}

/// How far `said` is ahead of `here`; behind where it is negative.
pub(super) fn ahead_ms(said: ProcessingTime, here: ProcessingTime) -> i64 {
    said.as_micros().saturating_sub(here.as_micros()) / 1000
}

/// Judges a clock that was refused before, or was not. Within half the bound it is taken again, so that one at the
/// bound does not have intervals go to and fro.
pub(super) fn judge(
    said: ProcessingTime,
    here: ProcessingTime,
    ahead_max: Duration,
    refused_before: bool,
) -> Result<(), ClockAhead> {
    let bound = if refused_before { ahead_max / 2 } else { ahead_max };
    let ahead = u64::try_from(said.as_micros().saturating_sub(here.as_micros())).unwrap_or(0);
    if Duration::from_micros(ahead) <= bound {
        return Ok(());
    }
    Err(ClockAhead { said, here, ahead_ms: ahead / 1000, ahead_max })
}

/// The latest system time that an id may carry.
pub(super) fn id_time_max(here: ProcessingTime, ahead_max: Duration) -> SystemTime {
    SystemTime::from_millis(u64::try_from(here.plus(ahead_max).as_micros() / 1000).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(micros: i64) -> ProcessingTime {
        ProcessingTime::from_micros(micros)
    }

    proptest! {
        #[test]
        fn i6_a_clock_is_refused_exactly_where_it_is_ahead_by_more_than_the_bound(
            said: i64, here: i64, ahead_max_ms in 0u64..10_000_000,
        ) {
            let bound = Duration::from_millis(ahead_max_ms);
            let over = i128::from(said) - i128::from(here) > i128::from(ahead_max_ms) * 1000;
            prop_assert_eq!(judge(at(said), at(here), bound, false).is_err(), over);
        }

        #[test]
        fn i6_what_is_accepted_carries_no_later_time_than_ids_may(
            here in 0i64..4_000_000_000_000_000, ahead_us in -10_000_000i64..10_000_000, ahead_max_ms in 0u64..5_000,
        ) {
            let (said, bound) = (here + ahead_us, Duration::from_millis(ahead_max_ms));
            if judge(at(said), at(here), bound, false).is_ok() {
                let most = id_time_max(at(here), bound).as_millis();
                prop_assert!(u64::try_from(said / 1000).unwrap_or(0) <= most);
            }
        }

        #[test]
        fn a_clock_at_the_bound_does_not_change_its_verdict_by_a_little(
            ahead_ms in 0u64..4_000, jitter_ms in 0u64..900,
        ) {
            let bound = Duration::from_millis(2_000);
            let refused = |ahead: u64, before| judge(at(ahead as i64 * 1000), at(0), bound, before).is_err();
            let first = refused(ahead_ms, false);
            if first {
                prop_assert!(refused(ahead_ms.saturating_sub(jitter_ms), true));
            }
        }

        #[test]
        fn a_clock_that_is_right_again_is_taken_again(behind_ms in 0i64..1_000_000, bound_ms in 0u64..1_000_000) {
            let bound = Duration::from_millis(bound_ms);
            prop_assert!(judge(at(-behind_ms * 1000), at(0), bound, true).is_ok());
        }
    }

    #[test]
    fn the_refusal_says_both_times_and_what_to_do() {
        let error = judge(at(7_200_000_000), at(0), Duration::from_secs(60), false).unwrap_err().to_string();
        assert!(error.contains("1970-01-01T02:00:00Z") && error.contains("1970-01-01T00:00:00Z"), "{error}");
        assert!(error.contains("ahead by 7200.000 s") && error.contains("60 s") && error.contains("NTP"));
    }
}
