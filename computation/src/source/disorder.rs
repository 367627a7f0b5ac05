//! The watermark of an input whose disorder is bounded.

use pelton_domain::EventTime;
use std::time::Duration;

/// Event times are at most `disorder` behind the greatest one before them; so the watermark follows the
/// greatest event time at that distance.
///
/// Rows that are further behind are late records: the watermark does not go back for them (I7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundedDisorder {
    disorder: Duration,
    latest: EventTime,
}

impl BoundedDisorder {
    /// Nothing seen, so minus infinity.
    #[must_use]
    pub fn new(disorder: Duration) -> Self {
        Self { disorder, latest: EventTime::MIN }
    }

    /// Takes note of a row's event time.
    pub fn see(&mut self, event_time: EventTime) {
        self.latest = self.latest.max(event_time);
    }

    /// The greatest event time seen, or minus infinity.
    #[must_use]
    pub fn latest(&self) -> EventTime {
        self.latest
    }

    /// The watermark estimate.
    #[must_use]
    pub fn watermark(&self) -> EventTime {
        self.latest.minus(self.disorder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_watermark_never_goes_back_and_never_passes_a_row_in_bounds(
            times in prop::collection::vec(-1000i64..1000, 1..50), disorder in 0i64..500,
        ) {
            let mut estimate = BoundedDisorder::new(Duration::from_micros(disorder.unsigned_abs()));
            let (mut before, mut latest) = (EventTime::MIN, i64::MIN);
            for at in times {
                let bound = latest.saturating_sub(disorder);
                if at >= bound {
                    prop_assert!(estimate.watermark() <= EventTime::from_micros(at), "I7");
                }
                estimate.see(EventTime::from_micros(at));
                latest = latest.max(at);
                prop_assert!(estimate.watermark() >= before, "I7");
                before = estimate.watermark();
            }
        }
    }

    #[test]
    fn before_the_first_row_it_is_minus_infinity() {
        assert_eq!(BoundedDisorder::new(Duration::from_secs(1)).watermark(), EventTime::MIN);
    }
}
