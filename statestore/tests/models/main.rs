//! The fence, model-checked: the code of `statestore/src/fence` itself, under every order of what a store may do.
//!
//! [`pelton_models`] explores all orders, up to the bounds, of assignments, take-overs, commits, splits, merges, answers that
//! are lost, commits that land late, crashes, zombies and a restored store. The steps of the workers are the real
//! `take_over`, `Reign::commit` and `Reign::reshape`; only the store ([`store`]) and the injector's journal are the
//! model's. Invariants: I1 single writer, I2 atomicity, I3 unknown outcomes, and that a store of another life is used
//! only on purpose. For each of the [`rules::Mutation`]s a counterexample must be found.
//!
//! Not here: what batches hold, and whether the injector's journal has one writer (see the models of the injector).

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

mod ledger;
mod rules;
mod store;
mod world;

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
        fn holds(state: &State<Bounds>, invariant: &str) -> bool {
            !state.seen.ledger.violated.contains(invariant)
        }
        vec![
            Property::always(SINGLE_WRITER, |_, state| holds(state, "I1")),
            Property::always(ATOMICITY, |_, state| holds(state, "I2")),
            Property::always(YES, |_, state| holds(state, "I3 yes")),
            Property::always(NO, |_, state| holds(state, "I3 no")),
            Property::always(ON_PURPOSE, |_, state| holds(state, "life")),
        ]
    }
}

const SINGLE_WRITER: &str = "I1: only the newest reign's commits land, and fences cover each position once";
const ATOMICITY: &str = "I2: all of a batch is there, or nothing";
const YES: &str = "I3: what is said to have happened has, once";
const NO: &str = "I3: what is said not to have happened has not since, and the reign is over";
const ON_PURPOSE: &str = "a store of another life is used only on purpose";

/// Take-overs, zombies, crashes and late commits.
const MOVES: Bounds = Bounds {
    sequencers_max: 2,
    batches_max: 2,
    lost_max: 2,
    away_max: 0,
    crashes_max: 1,
    halves: false,
    reshapes_max: 0,
    restores: false,
};
/// The store is away now and then.
const AWAY: Bounds = Bounds { batches_max: 1, lost_max: 1, away_max: 1, ..MOVES };
/// A split, and what it replaces.
const SPLIT: Bounds =
    Bounds { sequencers_max: 3, batches_max: 1, lost_max: 1, crashes_max: 0, reshapes_max: 1, ..MOVES };
/// A merge, and what it replaces.
const MERGE: Bounds = Bounds { halves: true, ..SPLIT };
/// A split and then a merge of its parts.
const BACK: Bounds = Bounds { sequencers_max: 4, batches_max: 0, reshapes_max: 2, ..SPLIT };
/// A backup of any moment, with workers of both lives.
const RESTORE: Bounds = Bounds { batches_max: 1, lost_max: 1, restores: true, ..MOVES };

const HAPPENS: [&str; 8] = [
    "an interval was taken over",
    "a batch was committed",
    "a batch was fenced off",
    "a worker crashed with a commit on its way",
    "a late commit landed",
    "a late commit was refused",
    "a take-over came too late",
    "an attempt can land no more, since the next one has",
];

#[test]
fn i1_i2_i3_hold_whatever_lands_when_and_whoever_crashes() {
    holds(MOVES, &HAPPENS);
    holds(AWAY, &["a batch was committed", "a batch was fenced off"]);
}

#[test]
fn i1_i2_i3_hold_through_splits_and_merges() {
    holds(SPLIT, &["a split", "a batch was fenced off", "a late commit landed"]);
    holds(MERGE, &["a merge", "a batch was fenced off", "a late commit landed"]);
    holds(BACK, &["a split", "a merge", "a split or merge came too late"]);
}

#[test]
fn a_restored_store_is_taken_over_only_on_purpose() {
    holds(RESTORE, &["a restored store was refused", "a restored store was adopted"]);
}

#[test]
#[ignore = "the same further out: minutes, and some gigabytes of memory"]
fn i1_i2_i3_hold_further_out() {
    holds(Bounds { sequencers_max: 3, ..MOVES }, &HAPPENS);
    holds(Bounds { sequencers_max: 4, ..SPLIT }, &["a split", "a split or merge came too late"]);
    holds(Bounds { sequencers_max: 4, ..MERGE }, &["a merge", "a split or merge came too late"]);
}

#[test]
fn every_mutation_is_found() {
    is_found(Mutation::FenceNotChecked, MOVES, SINGLE_WRITER);
    is_found(Mutation::AssignmentNotChecked, MOVES, SINGLE_WRITER);
    is_found(Mutation::OldFencesStay, MERGE, SINGLE_WRITER);
    is_found(Mutation::HalfACommit, MOVES, ATOMICITY);
    is_found(Mutation::UnknownMeansYes, MOVES, YES);
    is_found(Mutation::UnknownMeansNo, MOVES, NO);
    is_found(Mutation::CancelledForgotten, MOVES, NO);
    is_found(Mutation::TokensRepeat, MOVES, YES);
    is_found(Mutation::LifeNotNamed, RESTORE, ON_PURPOSE);
    is_found(Mutation::AdoptedUnasked, RESTORE, ON_PURPOSE);
}
