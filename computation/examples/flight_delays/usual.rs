//! What is usual: a running mean and variance that forgets slowly and is not misled by the unusual.
//!
//! Only `+ - * /` and `sqrt` are used, in an order that the buckets fix: every machine gets the same numbers.

use serde::{Deserialize, Serialize};

/// How many observations it takes before anything can be called unusual.
const WARM_UP: u32 = 3;
/// The weight of the newest observation once there are many: about the last eight weeks count.
const WEIGHT: f64 = 1.0 / 8.0;
/// How many standard deviations off the mean is unusual.
const DEVIATIONS: f64 = 2.5;

/// Which way something is unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    /// More than usual.
    Spike,
    /// Less than usual.
    Dip,
}

/// The least spread assumed, so that a few equal observations do not make everything else unusual.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    /// In the unit of what is observed.
    pub(crate) least: f64,
    /// As a share of the mean.
    pub(crate) least_share: f64,
}

/// What an observation is to what came before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// The mean before it.
    pub(crate) usual: f64,
    /// Whether, and which way, it deviates.
    pub(crate) deviation: Option<Direction>,
}

/// The observations so far, as count, mean and variance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Usual {
    count: u32,
    mean: f64,
    variance: f64,
}

impl Usual {
    /// Judges `observed` by what came before, then learns from it.
    ///
    /// While there are few observations the mean is the plain one; later it moves by a fixed share, so that
    /// it follows the seasons. A deviation is learned from only up to the bound of what is usual: a storm
    /// moves the mean a little, not to the storm's height.
    pub(crate) fn observe(&mut self, observed: f64, spread: Spread) -> Verdict {
        let usual = self.mean;
        let mut step = observed - usual;
        let mut deviation = None;
        if self.count >= WARM_UP {
            let bound = DEVIATIONS * self.deviation(spread);
            if step > bound {
                deviation = Some(Direction::Spike);
            } else if step < -bound {
                deviation = Some(Direction::Dip);
            }
            step = step.clamp(-bound, bound);
        }
        self.count = self.count.saturating_add(1);
        let weight = (1.0 / f64::from(self.count)).max(WEIGHT);
        self.mean += weight * step;
        self.variance = (1.0 - weight) * (self.variance + weight * step * step);
        Verdict { usual, deviation }
    }

    fn deviation(&self, spread: Spread) -> f64 {
        let share = spread.least_share * self.mean;
        (self.variance + spread.least * spread.least + share * share).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPREAD: Spread = Spread { least: 2.0, least_share: 0.0 };

    fn after(observations: &[f64]) -> Usual {
        let mut usual = Usual::default();
        for observed in observations {
            usual.observe(*observed, SPREAD);
        }
        usual
    }

    #[test]
    fn few_observations_have_the_plain_mean_and_variance() {
        let usual = after(&[1.0, 2.0, 6.0]);
        assert_eq!(usual.count, 3);
        assert!((usual.mean - 3.0).abs() < 1e-12);
        assert!((usual.variance - 14.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_is_unusual_before_the_warm_up_and_extremes_are_after() {
        let mut young = after(&[10.0, 10.0]);
        assert_eq!(young.observe(1000.0, SPREAD).deviation, None);
        for (observed, deviation) in
            [(14.9, None), (15.1, Some(Direction::Spike)), (5.1, None), (4.9, Some(Direction::Dip))]
        {
            let verdict = after(&[10.0, 10.0, 10.0]).observe(observed, SPREAD);
            assert_eq!(verdict, Verdict { usual: 10.0, deviation }, "{observed}");
        }
    }

    #[test]
    fn a_storm_moves_the_mean_a_little_and_a_new_season_moves_it_all_the_way() {
        let mut usual = after(&[10.0; 20]);
        usual.observe(1000.0, SPREAD);
        assert!(usual.mean < 11.0, "{usual:?}");
        for _ in 0..60 {
            usual.observe(20.0, SPREAD);
        }
        assert!((usual.mean - 20.0).abs() < 0.1, "{usual:?}");
    }
}
