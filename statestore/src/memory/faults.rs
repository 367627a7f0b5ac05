//! Which faults happen how often, and the dice. Pure: the same seed and the same questions give the same answers.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

/// How often each fault happens; probabilities from 0 to 1.
///
/// The faults of a commit exclude each other: their probabilities add up, to at most 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultPlan {
    /// A commit meets a concurrent one: nothing is written.
    pub conflict: f64,
    /// A call finds the store away: nothing is written or read.
    pub unavailable: f64,
    /// A commit happens, and its answer is lost.
    pub unknown_happens: f64,
    /// A commit is lost before it happens; the caller does not learn that.
    pub unknown_never: f64,
    /// A commit lands after the caller was told that its outcome is unknown.
    pub unknown_late: f64,
    /// A call is delayed on its way there, and on its way back.
    pub delay: f64,
    /// The longest such delay, each way.
    pub delay_max: Duration,
    /// A page holds fewer entries than asked for.
    pub short_page: f64,
}

impl FaultPlan {
    /// No faults.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            conflict: 0.0,
            unavailable: 0.0,
            unknown_happens: 0.0,
            unknown_never: 0.0,
            unknown_late: 0.0,
            delay: 0.0,
            delay_max: Duration::ZERO,
            short_page: 0.0,
        }
    }

    /// Every fault, each often, and no delays: what a correct caller must survive.
    #[must_use]
    pub const fn stormy() -> Self {
        Self {
            conflict: 0.1,
            unavailable: 0.1,
            unknown_happens: 0.1,
            unknown_never: 0.1,
            unknown_late: 0.1,
            short_page: 0.5,
            ..Self::none()
        }
    }

    /// The same with delays: half the calls take up to `delay_max` each way.
    #[must_use]
    pub const fn delayed(self, delay_max: Duration) -> Self {
        Self { delay: 0.5, delay_max, ..self }
    }
}

/// The generator of a seed.
pub(super) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// What becomes of one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Happens,
    Conflict,
    Unavailable,
    UnknownHappens,
    UnknownNever,
    UnknownLate,
}

/// Draws the fate of a commit: one draw each, whatever the plan, so that plans compare under one seed.
pub(super) fn fate(plan: &FaultPlan, rng: &mut StdRng) -> Fate {
    let mut left: f64 = rng.random();
    for (probability, fate) in [
        (plan.conflict, Fate::Conflict),
        (plan.unavailable, Fate::Unavailable),
        (plan.unknown_happens, Fate::UnknownHappens),
        (plan.unknown_never, Fate::UnknownNever),
        (plan.unknown_late, Fate::UnknownLate),
    ] {
        if left < probability {
            return fate;
        }
        left -= probability;
    }
    Fate::Happens
}

/// Draws whether something of this probability happens.
pub(super) fn chance(probability: f64, rng: &mut StdRng) -> bool {
    rng.random::<f64>() < probability
}

/// Draws a delay of one way.
pub(super) fn delay(plan: &FaultPlan, rng: &mut StdRng) -> Duration {
    let happens = chance(plan.delay, rng);
    let part: f64 = rng.random();
    if happens { plan.delay_max.mul_f64(part) } else { Duration::ZERO }
}

/// Draws how many entries a page of at most `entries_max` may hold.
pub(super) fn page_entries(plan: &FaultPlan, entries_max: usize, rng: &mut StdRng) -> usize {
    let entries_max = entries_max.max(1);
    let (short, part) = (chance(plan.short_page, rng), rng.random_range(1..=entries_max));
    if short { part } else { entries_max }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_without_faults_never_draws_one() {
        let mut dice = rng(1);
        for _ in 0..1000 {
            assert_eq!(fate(&FaultPlan::none(), &mut dice), Fate::Happens);
            assert_eq!(delay(&FaultPlan::none(), &mut dice), Duration::ZERO);
            assert_eq!(page_entries(&FaultPlan::none(), 7, &mut dice), 7);
        }
    }

    #[test]
    fn a_certain_fault_always_happens() {
        let plan = FaultPlan { unknown_late: 1.0, short_page: 1.0, ..FaultPlan::none() };
        let mut dice = rng(2);
        for _ in 0..1000 {
            assert_eq!(fate(&plan, &mut dice), Fate::UnknownLate);
            assert!((1..=5).contains(&page_entries(&plan, 5, &mut dice)));
        }
    }

    #[test]
    fn every_fault_of_a_storm_comes_up() {
        let mut dice = rng(3);
        let seen: Vec<Fate> = (0..1000).map(|_| fate(&FaultPlan::stormy(), &mut dice)).collect();
        for expected in [
            Fate::Happens,
            Fate::Conflict,
            Fate::Unavailable,
            Fate::UnknownHappens,
            Fate::UnknownNever,
            Fate::UnknownLate,
        ] {
            assert!(seen.contains(&expected), "{expected:?} never came up");
        }
    }
}
