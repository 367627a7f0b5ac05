//! The injector's fail-over, model-checked: the code of the injector itself, under every order of what can happen.
//!
//! [`pelton_models`] explores all orders, up to the bounds, of reports that are lost, repeated or late, of announcements that
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
use pelton_models::{Course, Explored, Property, State, holds, is_found, run};
use rules::{Bounds, Mutation};
use world::{Action, Seen, World};

impl pelton_models::Bounds for Bounds {
    type Mutation = Mutation;
    type Action = Action;
    type Seen = Seen;

    fn reach(self, course: &Course<Self>, actions: &[Action]) -> (Seen, Vec<Action>) {
        run(async {
            let mut world = World::begin(self, course.mutation, &course.witnessed).await;
            for action in actions {
                world.act(*action).await;
            }
            (world.seen(), world.actions())
        })
    }

    fn properties() -> Vec<Property<Explored<Self>>> {
        fn holds(state: &State<Bounds>, property: &str) -> bool {
            !state.seen.violated.contains(property)
        }
        vec![
            Property::always(NOTHING_PASSED, |_, state| holds(state, NOTHING_PASSED)),
            Property::always(NEVER_BACK, |_, state| holds(state, NEVER_BACK)),
            Property::always(JOURNALED_FIRST, |_, state| holds(state, JOURNALED_FIRST)),
            Property::always(NOTHING_NEW, |_, state| holds(state, NOTHING_NEW)),
        ]
    }

    fn depth_max(self) -> usize {
        self.depth_max
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
