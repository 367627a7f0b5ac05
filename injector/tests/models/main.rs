//! The injector's fail-over, model-checked: the code of the injector itself, under every order of what can happen.
//!
//! [`stateright`] explores all orders, up to the bounds, of reports that are lost, repeated or late, of announcements that
//! are heard or not, of intervals that move, of a leader that is deposed, paused and returns, of journal commits whose
//! answers are lost and that land late. The injectors are the real `Injector`, its driver, journal, leadership and
//! aggregate; the store ([`store`]) and the owners of the intervals ([`owners`]) are the model's. Invariant: I7, what is
//! announced never goes back, passes nothing that is still to come, and a deposed leader says nothing new. For each of the
//! [`rules::Mutation`]s a counterexample must be found.
//!
//! Not here: who gets which interval, and when a standby takes the lead. Both are free to happen at any time.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

mod owners;
mod rules;
mod store;
mod world;

use owners::{CONSUMER, PRODUCER};
use rules::{Bounds, Mutation, Witnessed};
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::cell::RefCell;
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
struct FailOver {
    bounds: Bounds,
    mutation: Option<Mutation>,
    witnessed: Arc<Witnessed>,
}

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
    );
}

impl FailOver {
    fn reach(&self, trace: Vec<Action>) -> State {
        let (seen, actions) = RUNTIME.with_borrow(|runtime| {
            runtime.block_on(tokio::task::unconstrained(async {
                let mut world = World::begin(self.bounds, self.mutation, &self.witnessed).await;
                for action in &trace {
                    world.act(*action).await;
                }
                (world.seen(), world.actions())
            }))
        });
        State { trace, actions, seen }
    }
}

impl Model for FailOver {
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
        Some(self.reach(trace))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn holds(state: &State, property: &str) -> bool {
            !state.seen.violated.contains(property)
        }
        vec![
            Property::always(NOTHING_PASSED, |_, state| holds(state, NOTHING_PASSED)),
            Property::always(NEVER_BACK, |_, state| holds(state, NEVER_BACK)),
            Property::always(JOURNALED_FIRST, |_, state| holds(state, JOURNALED_FIRST)),
            Property::always(NOTHING_NEW, |_, state| holds(state, NOTHING_NEW)),
        ]
    }
}

const NOTHING_PASSED: &str = "I7: what is announced passes no record or hold that is still to come";
const NEVER_BACK: &str = "I7: what is announced never goes back";
const JOURNALED_FIRST: &str = "I7: what is announced stands in the journal";
const NOTHING_NEW: &str = "I7: a deposed leader says nothing new";

/// Another leads, and nothing moves.
const DEPOSED: Bounds = Bounds {
    leads_max: 1,
    moves_max: 0,
    lost_max: 1,
    records: 1,
    moving: &[],
    reporting: &[PRODUCER],
    depth_max: 0,
};
/// The first comes back after the other.
const RETURNS: Bounds = Bounds { leads_max: 2, lost_max: 0, ..DEPOSED };
/// The producer moves while another leads.
const PRODUCER_MOVES: Bounds = Bounds { moves_max: 1, lost_max: 0, moving: &[PRODUCER], ..DEPOSED };
/// The consumer moves, under one leader.
const CONSUMER_MOVES: Bounds = Bounds {
    leads_max: 0,
    moves_max: 1,
    lost_max: 0,
    moving: &[CONSUMER],
    reporting: &[PRODUCER, CONSUMER],
    ..DEPOSED
};
/// The consumer moves while another leads.
const ALL: Bounds = Bounds { leads_max: 1, depth_max: 17, ..CONSUMER_MOVES };

fn check(
    bounds: Bounds,
    mutation: Option<Mutation>,
    stop: HasDiscoveries,
) -> (BTreeSet<&'static str>, Witnessed) {
    let witnessed = Arc::new(Witnessed::default());
    let model = FailOver { bounds, mutation, witnessed: witnessed.clone() };
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
fn i7_holds_whoever_leads() {
    let happens = [
        "the lead was taken",
        "a leader was deposed",
        "a late commit landed",
        "a late commit was refused",
        "a lost answer was settled by the leader's record",
    ];
    holds(DEPOSED, &happens);
    holds(RETURNS, &["the lead was taken", "a leader was deposed", "a report counted"]);
}

#[test]
fn i7_holds_whoever_leads_and_owns() {
    holds(
        PRODUCER_MOVES,
        &["stale", "ahead", "an assignment ended with its leader", "an interval was taken over"],
    );
    holds(ALL, &["stale", "a leader was deposed", "an announcement was heard"]);
}

#[test]
fn i7_holds_whoever_owns() {
    let happens = [
        "stale",
        "an interval was taken over",
        "an owner was fenced off",
        "an announcement was heard",
        "all was announced to be done",
    ];
    holds(CONSUMER_MOVES, &happens);
}

#[test]
fn every_mutation_is_found() {
    is_found(Mutation::AnnouncedBeforeJournaled, DEPOSED, NEVER_BACK);
    is_found(Mutation::DeposedNotRefused, DEPOSED, NOTHING_NEW);
    is_found(Mutation::JournalReadFirst, DEPOSED, NEVER_BACK);
    is_found(Mutation::StaleReportCounts, CONSUMER_MOVES, NOTHING_PASSED);
    is_found(Mutation::MissingIntervalIgnored, CONSUMER_MOVES, NOTHING_PASSED);
    is_found(Mutation::InjectorLeads, CONSUMER_MOVES, NOTHING_PASSED);
    is_found(Mutation::ScanBeforeFence, CONSUMER_MOVES, NOTHING_PASSED);
    is_found(Mutation::ReportedBeforeTakeOver, CONSUMER_MOVES, NOTHING_PASSED);
    is_found(Mutation::OutboxNotHeld, CONSUMER_MOVES, NOTHING_PASSED);
}
