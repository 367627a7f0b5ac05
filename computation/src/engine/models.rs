//! Acknowledgement and the dedup horizon, model-checked: the code of two intervals, under every order of what can happen.
//!
//! [`stateright`] explores all orders, up to the bounds, of records that run, batches that are closed and committed,
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

use pipeline::Pipeline;
use rules::{Bounds, Mutation, Witnessed};
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use tokio::runtime::Runtime;
use world::{Action, Seen, World};

/// A state: what is to be seen of it, and the actions that lead there.
#[derive(Clone, Debug)]
struct State {
    trace: Vec<Action>,
    actions: Vec<Action>,
    seen: Seen,
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.seen == other.seen
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.seen.hash(state);
    }
}

#[derive(Clone)]
struct Delivered {
    bounds: Bounds,
    mutation: Option<Mutation>,
    witnessed: Arc<Witnessed>,
}

thread_local! {
    static RUNTIME: (Runtime, Pipeline) = (
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap(),
        Pipeline::new(),
    );
}

impl Delivered {
    /// Does the actions again, and then what `and_then` says.
    fn again<T>(
        &self,
        trace: &[Action],
        witnessed: &Witnessed,
        and_then: impl AsyncFnOnce(&mut World<'_>) -> T,
    ) -> T {
        RUNTIME.with(|(runtime, pipeline)| {
            runtime.block_on(tokio::task::unconstrained(async {
                let mut world = World::begin(self.bounds, self.mutation, witnessed, pipeline).await;
                for action in trace {
                    world.act(*action).await;
                }
                and_then(&mut world).await
            }))
        })
    }

    fn reach(&self, trace: Vec<Action>) -> State {
        let (seen, actions) =
            self.again(&trace, &self.witnessed, async |world| (world.seen(), world.actions()));
        State { trace, actions, seen }
    }
}

impl Model for Delivered {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.reach(Vec::new())]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(&state.actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut trace = last.trace.clone();
        trace.push(action);
        let next = self.reach(trace);
        (next.seen != last.seen).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NOTHING_TWICE, |_, state: &State| !state.seen.violates(NOTHING_TWICE)),
            Property::always(ACKNOWLEDGED, |_, state: &State| !state.seen.violates(ACKNOWLEDGED)),
            Property::always(IN_ORDER, |_, state: &State| !state.seen.violates(IN_ORDER)),
            Property::always(HORIZON, |_, state: &State| !state.seen.violates(HORIZON)),
            Property::always(NOTHING_LOST, |model: &Self, state: &State| {
                model.again(&state.trace, &Witnessed::default(), async |world| world.settles().await)
            }),
        ]
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

fn check(
    bounds: Bounds,
    mutation: Option<Mutation>,
    stop: HasDiscoveries,
) -> (BTreeSet<&'static str>, Witnessed) {
    let witnessed = Arc::new(Witnessed::default());
    let model = Delivered { bounds, mutation, witnessed: witnessed.clone() };
    let mut builder = model.checker().threads(2).finish_when(stop);
    if bounds.depth_max > 0 {
        builder = builder.target_max_depth(bounds.depth_max);
    }
    let checker = builder.spawn_bfs().join();
    println!(
        "{bounds:?} {mutation:?}: {} states, {} transitions, depth {}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth()
    );
    for (property, path) in checker.discoveries() {
        println!("{mutation:?} breaks {property:?}: {:?}", path.into_actions());
    }
    let found = checker.discoveries().into_keys().collect();
    drop(checker);
    (found, Arc::into_inner(witnessed).unwrap_or_default())
}

fn holds(bounds: Bounds, happens: &[&str]) {
    let (found, witnessed) = check(bounds, None, HasDiscoveries::AnyFailures);
    assert!(found.is_empty(), "there are counterexamples, see above: {found:?}");
    let seen = witnessed.all();
    for what in happens {
        assert!(
            seen.contains(what),
            "the model is vacuous, for this never happens: {what}; what does: {seen:?}"
        );
    }
}

fn is_found(mutation: Mutation, bounds: Bounds, property: &'static str) {
    let (found, _) = check(bounds, Some(mutation), HasDiscoveries::AnyOf(BTreeSet::from([property])));
    assert!(found.contains(property), "{mutation:?} is not found to break {property:?}, only {found:?}");
}

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
