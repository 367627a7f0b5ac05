//! Acknowledgement and the dedup horizon, model-checked: the code of two intervals, under every order of what can happen.
//!
//! [`pelton_models`] explores all orders, up to the bounds, of records that run, batches that are closed and committed,
//! deliveries and acknowledgements that are lost, repeated and late, owners that are followed by others with another clock
//! and go on as zombies, promises that are reported and horizons that are heard. Producer and consumer are the real `Core`,
//! with its dedup, outbox, channels and id clock, taken over by the real `take_over` and `Recovery`; the aggregation is the
//! real `Aggregate`. Invariants: I4 acknowledgement, I5 redelivery, I6 dedup, I9 order, and of I12 that nothing is processed
//! twice. For each of the [`rules::Mutation`]s a counterexample must be found.
//!
//! Not here: commits whose answers are lost (the store's models), and leaders that change (the injector's).

mod pipeline;
mod rules;
mod world;

use pelton_models::{Course, Explored, Property, State, Witnessed, holds, is_found, run};
use pipeline::Pipeline;
use rules::{Bounds, Mutation};
use world::{Action, Seen, World};

thread_local! {
    static PIPELINE: Pipeline = Pipeline::new();
}

impl Bounds {
    /// Does the actions, and then what `and_then` says.
    fn again<T>(
        self,
        mutation: Option<Mutation>,
        witnessed: &Witnessed,
        actions: &[Action],
        and_then: impl AsyncFnOnce(&mut World<'_>) -> T,
    ) -> T {
        PIPELINE.with(|pipeline| {
            run(async {
                let mut world = World::begin(self, mutation, witnessed, pipeline).await;
                for action in actions {
                    world.act(*action).await;
                }
                and_then(&mut world).await
            })
        })
    }
}

impl pelton_models::Bounds for Bounds {
    type Mutation = Mutation;
    type Action = Action;
    type Seen = Seen;

    fn reach(self, course: &Course<Self>, actions: &[Action]) -> (Seen, Vec<Action>) {
        let look = async |world: &mut World<'_>| (world.seen(), world.actions());
        self.again(course.mutation, &course.witnessed, actions, look)
    }

    fn properties() -> Vec<Property<Explored<Self>>> {
        fn holds(state: &State<Bounds>, property: &'static str) -> bool {
            !state.seen.violates(property)
        }
        vec![
            Property::always(NOTHING_TWICE, |_, state| holds(state, NOTHING_TWICE)),
            Property::always(ACKNOWLEDGED, |_, state| holds(state, ACKNOWLEDGED)),
            Property::always(IN_ORDER, |_, state| holds(state, IN_ORDER)),
            Property::always(HORIZON, |_, state| holds(state, HORIZON)),
            Property::always(NOTHING_LOST, |model: &Explored<Self>, state: &State<Self>| {
                let settles = async |world: &mut World<'_>| world.settles().await;
                model.bounds.again(model.course.mutation, &Witnessed::default(), &state.trace, settles)
            }),
        ]
    }

    fn depth_max(self) -> usize {
        self.depth_max
    }
}

const NOTHING_TWICE: &str = "I6, I12: no record is processed twice";
const ACKNOWLEDGED: &str = "I4: what is acknowledged is committed";
const IN_ORDER: &str = "I9: the records of a key are processed in order";
const HORIZON: &str = "I6: no horizon passes an id that is still to be processed";
const NOTHING_LOST: &str =
    "I5: whatever has happened, once nothing fails any more every record is processed, once";

/// The consumer moves, the producer sends again, and batches run while others are being committed.
const CONSUMER_MOVES: Bounds = Bounds {
    records: 1,
    moves_max: [0, 1],
    resends_max: 1,
    ticks_max: 0,
    ahead_ms: [0, BEHIND_MS],
    repeats: true,
    seals: true,
    depth_max: 0,
};
/// The producer moves, to a worker whose clock is behind by more than a bucket of dedup.
const PRODUCER_MOVES: Bounds = Bounds { moves_max: [1, 0], resends_max: 0, ticks_max: 1, ..CONSUMER_MOVES };
/// The same, to a worker whose clock is ahead.
const TO_A_CLOCK_AHEAD: Bounds = Bounds { ahead_ms: [0, -BEHIND_MS], ..PRODUCER_MOVES };
/// Both move.
const BOTH_MOVE: Bounds =
    Bounds { moves_max: [1, 1], resends_max: 0, repeats: false, seals: false, ..CONSUMER_MOVES };
/// Two records, and the consumer moves.
const TWO_RECORDS: Bounds =
    Bounds { records: 2, resends_max: 0, repeats: false, seals: false, depth_max: 13, ..CONSUMER_MOVES };
/// Two records, and the producer moves.
const TWO_FROM_TWO: Bounds = Bounds { moves_max: [1, 0], ..TWO_RECORDS };
/// Ids are forgotten.
const FORGETTING: Bounds =
    Bounds { resends_max: 0, ticks_max: 1, repeats: false, seals: false, ..CONSUMER_MOVES };

const BEHIND_MS: i64 = -25;

#[test]
fn i4_i5_i6_hold_whoever_owns_the_consumer() {
    let happens = [
        "the consumer was taken over",
        "the consumer has committed records",
        "a batch was fenced off",
        "productions were sent again",
        "an acknowledged production was removed",
    ];
    holds(CONSUMER_MOVES, &happens);
}

#[test]
fn i4_i5_i6_hold_whoever_owns_the_producer() {
    let happens = [
        "the producer was taken over",
        "the consumer has committed records",
        "a batch was fenced off",
        "a horizon was announced",
        "stale",
    ];
    holds(PRODUCER_MOVES, &happens);
    holds(TO_A_CLOCK_AHEAD, &happens);
}

#[test]
fn i4_i5_i6_hold_whoever_owns_both() {
    holds(
        BOTH_MOVE,
        &["the producer was taken over", "the consumer was taken over", "a batch was fenced off"],
    );
}

#[test]
fn i4_i5_i6_i9_hold_for_two_records() {
    holds(TWO_RECORDS, &["the consumer was taken over", "a delivery behind a gap was refused"]);
    holds(TWO_FROM_TWO, &["the producer was taken over", "a delivery behind a gap was refused"]);
    holds(FORGETTING, &["ids were forgotten", "the consumer was taken over"]);
}

#[test]
fn every_mutation_is_found() {
    is_found(Mutation::AcknowledgedBeforeCommit, CONSUMER_MOVES, NOTHING_LOST);
    is_found(Mutation::InFlightAcknowledged, CONSUMER_MOVES, NOTHING_LOST);
    is_found(Mutation::AnnouncedBeforeJournaled, PRODUCER_MOVES, NOTHING_LOST);
    is_found(Mutation::IdsByOwnClock, PRODUCER_MOVES, NOTHING_LOST);
    is_found(Mutation::StaleReportCounts, PRODUCER_MOVES, NOTHING_LOST);
    is_found(Mutation::MissingIntervalIgnored, PRODUCER_MOVES, NOTHING_LOST);
    is_found(Mutation::OutboxNotPromised, PRODUCER_MOVES, NOTHING_LOST);
    is_found(Mutation::OutboxNotScanned, PRODUCER_MOVES, NOTHING_LOST);
    is_found(Mutation::ForgottenEarly, FORGETTING, NOTHING_TWICE);
    is_found(Mutation::ScanBeforeFence, CONSUMER_MOVES, NOTHING_TWICE);
    is_found(Mutation::ScanBeforeFence, PRODUCER_MOVES, NOTHING_LOST);
}
