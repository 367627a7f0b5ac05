//! How the model checker explores Pelton's own code. What is explored, the worlds, stand beside the code that they are of:
//! `statestore/tests/models`, `injector/tests/models`, `computation/src/engine/models`.
//!
//! Real code has no memory that can be compared cheaply, so a state is reached by doing its actions again, and is what is to
//! be seen of it then. Each model says how far it goes ([`Bounds`]) and what is deliberately done wrong; [`holds`] demands
//! that nothing is found and that something happens, [`is_found`] that a mutation is found.

#![allow(clippy::panic, reason = "it is for tests: a panic is their failure")]

pub use stateright::Property;

use stateright::{Checker, HasDiscoveries, Model};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Runtime;

/// How far a model goes, and so which model it is. The states grow fast with every bound.
pub trait Bounds: Copy + Debug + Send + Sync + 'static {
    /// What is deliberately done wrong.
    type Mutation: Copy + Debug + Send + Sync + 'static;
    /// What may happen next.
    type Action: Copy + Debug + PartialEq + Send + Sync + 'static;
    /// What is to be seen of a state: two of which the same is seen are one.
    type Seen: Clone + Debug + PartialEq + Hash + Send + Sync + 'static;

    /// Does the actions, from the beginning: what is to be seen then, and what may happen next.
    fn reach(self, course: &Course<Self>, actions: &[Self::Action]) -> (Self::Seen, Vec<Self::Action>);

    /// What must hold in every state.
    fn properties() -> Vec<Property<Explored<Self>>>;

    /// How many actions long a history may be; 0: as long as the other bounds allow.
    fn depth_max(self) -> usize {
        0
    }
}

/// What is the same on every way through a model.
#[derive(Clone, Debug)]
pub struct Course<B: Bounds> {
    /// What is done wrong, if anything is.
    pub mutation: Option<B::Mutation>,
    /// What has happened on any way.
    pub witnessed: Arc<Witnessed>,
}

/// A model, as the checker takes it.
#[derive(Clone, Debug)]
pub struct Explored<B: Bounds> {
    /// How far it goes.
    pub bounds: B,
    /// What goes with it.
    pub course: Course<B>,
}

/// A state: what is to be seen of it, and the actions that lead there.
#[derive(Clone, Debug)]
pub struct State<B: Bounds> {
    /// From the beginning.
    pub trace: Vec<B::Action>,
    /// What is to be seen.
    pub seen: B::Seen,
    actions: Vec<B::Action>,
}

impl<B: Bounds> PartialEq for State<B> {
    fn eq(&self, other: &Self) -> bool {
        self.seen == other.seen
    }
}

impl<B: Bounds> Hash for State<B> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.seen.hash(state);
    }
}

impl<B: Bounds> Explored<B> {
    fn reach(&self, trace: Vec<B::Action>) -> State<B> {
        let (seen, actions) = self.bounds.reach(&self.course, &trace);
        State { trace, seen, actions }
    }
}

impl<B: Bounds> Model for Explored<B> {
    type State = State<B>;
    type Action = B::Action;

    fn init_states(&self) -> Vec<State<B>> {
        vec![self.reach(Vec::new())]
    }

    fn actions(&self, state: &State<B>, actions: &mut Vec<B::Action>) {
        actions.extend(&state.actions);
    }

    fn next_state(&self, last: &State<B>, action: B::Action) -> Option<State<B>> {
        let mut trace = last.trace.clone();
        trace.push(action);
        Some(self.reach(trace))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        B::properties()
    }
}

/// What has happened at all, so that no property is true only because nothing does.
#[derive(Debug, Default)]
pub struct Witnessed(Mutex<BTreeSet<&'static str>>);

impl Witnessed {
    /// This has happened.
    pub fn saw(&self, what: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(what);
    }

    fn all(&self) -> BTreeSet<&'static str> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

thread_local! {
    /// Its time stands still: nothing in a model happens because time passes.
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// Runs what a model awaits, to its end.
///
/// # Panics
/// Where there can be no runtime.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    RUNTIME.with_borrow_mut(|runtime| {
        let runtime = runtime.get_or_insert_with(|| {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            match builder.enable_time().start_paused(true).build() {
                Ok(runtime) => runtime,
                Err(error) => panic!("there is no runtime: {error}"),
            }
        });
        runtime.block_on(tokio::task::unconstrained(work))
    })
}

fn check<B: Bounds>(
    bounds: B,
    mutation: Option<B::Mutation>,
    stop: HasDiscoveries,
) -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    let course = Course { mutation, witnessed: Arc::new(Witnessed::default()) };
    let witnessed = course.witnessed.clone();
    let mut builder = Explored { bounds, course }.checker().threads(2).finish_when(stop);
    if bounds.depth_max() > 0 {
        builder = builder.target_max_depth(bounds.depth_max());
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
    (checker.discoveries().into_keys().collect(), witnessed.all())
}

/// Demands that no state within `bounds` breaks a property, and that all of `happens` happens on the way.
///
/// # Panics
/// Where that is not so.
pub fn holds<B: Bounds>(bounds: B, happens: &[&str]) {
    let (found, seen) = check(bounds, None, HasDiscoveries::AnyFailures);
    assert!(found.is_empty(), "there are counterexamples, see above: {found:?}");
    for what in happens {
        assert!(
            seen.contains(what),
            "the model is vacuous, for this never happens: {what}; what does: {seen:?}"
        );
    }
}

/// Demands that what `mutation` does wrong is found, within `bounds`, to break `property`.
///
/// # Panics
/// Where that is not so.
pub fn is_found<B: Bounds>(mutation: B::Mutation, bounds: B, property: &'static str) {
    let (found, _) = check(bounds, Some(mutation), HasDiscoveries::AnyOf(BTreeSet::from([property])));
    assert!(found.contains(property), "{mutation:?} is not found to break {property:?}, only {found:?}");
}
