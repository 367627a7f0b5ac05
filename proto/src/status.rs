//! What follows from an injector's status, for everybody who asks for it.

use crate::injector::{ComputationStatus, StatusResponse};
use pelton_domain::EventTime;

impl StatusResponse {
    /// Whether all is done: every watermark at plus infinity, every interval running, and no timer or parked record
    /// left.
    #[must_use]
    pub fn is_done(&self) -> bool {
        !self.computations.is_empty() && self.computations.iter().all(ComputationStatus::is_done)
    }
}

impl ComputationStatus {
    fn is_done(&self) -> bool {
        let left = self.held.unwrap_or_default();
        self.low_watermark_us == EventTime::MAX.as_micros()
            && self.running == self.intervals
            && left.timers == 0
            && left.parked == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::injector::Held;

    #[test]
    fn a_pipeline_is_done_when_nothing_comes_and_nothing_is_left() {
        let done = ComputationStatus {
            low_watermark_us: i64::MAX,
            intervals: 2,
            running: 2,
            ..ComputationStatus::default()
        };
        let is_done = |computations: Vec<ComputationStatus>| {
            StatusResponse { computations, ..StatusResponse::default() }.is_done()
        };
        assert!(is_done(vec![done.clone(), done.clone()]));
        assert!(!is_done(Vec::new()), "nothing is known of it");
        let held = |held| ComputationStatus { held: Some(held), ..done.clone() };
        for open in [
            ComputationStatus { low_watermark_us: i64::MAX - 1, ..done.clone() },
            ComputationStatus { running: 1, ..done.clone() },
            held(Held { timers: 1, ..Held::default() }),
            held(Held { parked: 1, ..Held::default() }),
        ] {
            assert!(!is_done(vec![done.clone(), open]));
        }
    }
}
