//! The event timer of something that is due later: set no later than needed, and holding the output watermark (I7).

use crate::context::Context;
use crate::failure::Failure;
use crate::timer::{TimeDomain, Timer};
use pelton_domain::EventTime;

/// Sees to it that the timer `tag` fires at `due` at the latest, and holds the output watermark at `hold` until
/// then. Of two things the one that is due earlier must hold earlier.
pub(crate) async fn ensure_alarm(
    cx: &mut Context<'_>,
    tag: &'static str,
    due: EventTime,
    hold: EventTime,
) -> Result<(), Failure> {
    match cx.timer(tag, TimeDomain::Event).await? {
        Some(set) if set <= due.as_micros() => Ok(()),
        _ => cx.set_timer(Timer::event(tag, due).output_at(hold)),
    }
}

/// `at`, moved by so many microseconds; the infinities stay where they are.
pub(crate) fn moved(at: EventTime, by_us: i64) -> EventTime {
    match at {
        EventTime::MIN | EventTime::MAX => at,
        _ => EventTime::from_micros(at.as_micros().saturating_add(by_us)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinities_do_not_move_and_nothing_overflows() {
        assert_eq!(moved(EventTime::MAX, -1), EventTime::MAX);
        assert_eq!(moved(EventTime::MIN, 1), EventTime::MIN);
        assert_eq!(moved(EventTime::from_secs(1), i64::MAX), EventTime::MAX);
    }
}
