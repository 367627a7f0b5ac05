//! Workers that take over, commit, split and merge by the real code, and an account of what landed in which order.
//!
//! The futures of the code have no memory that can be compared, so a state is reached by doing its actions again.

mod acting;
mod landing;

use crate::ledger::{Ledger, Step};
use crate::rules::{Bounds, Mutation};
use crate::store::{Call, Handle, Line, Table};
use bytes::Bytes;
use pelton_domain::{AttemptToken, Incarnation, KeyInterval, Name, Sequencer, SystemTime};
use pelton_models::Witnessed;
use pelton_statestore::fence::{Tokens, create_fences, take_over};
use pelton_statestore::{
    Commit, CommitError, ComputationKeys, FencedError, PipelineKeys, Precondition, ReadError, Reign,
    StoreFault, StoreHandle, TakeOverError, Write, fence,
};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::oneshot;

/// Two workers of the store's first life, and one that finds the restored store.
pub(crate) const WORKERS: usize = 3;
const RESTORED: usize = 2;

/// Which positions: both halves, or one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Part {
    Whole,
    Low,
    High,
}

impl Part {
    pub(crate) const ALL: [Self; 3] = [Self::Whole, Self::Low, Self::High];

    pub(crate) fn interval(self) -> KeyInterval {
        let (low, high) = KeyInterval::FULL.halves().unwrap();
        match self {
            Self::Whole => KeyInterval::FULL,
            Self::Low => low,
            Self::High => high,
        }
    }

    /// The halves in it.
    pub(crate) fn halves(self) -> &'static [usize] {
        match self {
            Self::Whole => &[0, 1],
            Self::Low => &[0],
            Self::High => &[1],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The injector journals that a part is a worker's, and tells it.
    Assign(usize, Part),
    /// A worker takes over by one of the assignments that it was told, however old.
    TakeOver(usize, Part, u64),
    Commit(usize, Part),
    Split(usize),
    Merge(usize),
    /// The store does what a worker has asked, and the answer arrives.
    Answer(usize),
    /// The answer to a commit is lost; the commit is on its way.
    Lose(usize),
    /// The store is away: nothing is written.
    Away(usize),
    /// A commit whose caller has given up on an answer lands.
    Land(usize, u32),
    /// A worker forgets everything; what it sent is on its way.
    Crash(usize),
    /// A backup of this moment is started beside the store.
    Restore,
    /// Somebody says that the restored store is to be used.
    Adopt,
}

enum Done {
    TookOver(Result<Reign, TakeOverError>),
    Committed(Reign, Result<(), FencedError>),
    Reshaped(Result<Vec<Reign>, FencedError>),
}

enum Waiting {
    Read(Vec<Bytes>, oneshot::Sender<Result<Vec<Option<Bytes>>, ReadError>>),
    Commit(u32, oneshot::Sender<Result<(), CommitError>>),
}

/// What a worker is doing.
struct Task {
    step: Step,
    future: Pin<Box<dyn Future<Output = Done>>>,
    waiting: Option<Waiting>,
    heard: Vec<Heard>,
    before: Option<Reign>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Heard {
    Values(Vec<Option<Bytes>>),
    Said(&'static str),
}

struct Worker {
    handle: Handle,
    tokens: Tokens,
    drawn: Arc<AtomicU64>,
    task: Option<Task>,
    reigns: BTreeMap<Part, Reign>,
    assigned: Vec<(Part, u64)>,
}

/// What has been used up of the bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Used {
    sequencers: u64,
    batches: u32,
    lost: u32,
    away: u32,
    crashes: u32,
    reshapes: u32,
    restored: bool,
    adopted: bool,
}

/// All that matters of a world: two that agree in it go on in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    tables: Vec<Table>,
    workers: Vec<WorkerSeen>,
    used: Used,
    pub(crate) ledger: Ledger,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct WorkerSeen {
    reigns: Vec<(Part, Bytes)>,
    assigned: Vec<(Part, u64)>,
    task: Option<(Step, Vec<Heard>)>,
    drawn: u64,
}

pub(crate) struct World<'a> {
    bounds: Bounds,
    mutation: Option<Mutation>,
    witnessed: &'a Witnessed,
    keys: ComputationKeys,
    journal: PipelineKeys,
    tables: Vec<Table>,
    workers: Vec<Worker>,
    used: Used,
    ledger: Ledger,
    flights: BTreeMap<(usize, u32), Commit>,
}

fn life(number: usize) -> Incarnation {
    Incarnation(uuid::Uuid::from_u128(number as u128 + 1))
}

fn sequencer(number: u64) -> Sequencer {
    Sequencer::new(number).unwrap()
}

impl Worker {
    fn new(number: usize, mutation: Option<Mutation>) -> Self {
        let drawn = Arc::new(AtomicU64::new(0));
        let count = drawn.clone();
        let tokens: Tokens = Arc::new(move || {
            let next = count.fetch_add(1, Ordering::Relaxed);
            let repeats = mutation == Some(Mutation::TokensRepeat);
            AttemptToken(if repeats { 7 } else { (number as u128 + 1) << 64 | u128::from(next) })
        });
        let life_number = usize::from(number == RESTORED);
        let unasked = mutation == Some(Mutation::AdoptedUnasked) && number == RESTORED;
        let handle = Handle {
            line: Line::default(),
            life: life(life_number),
            adopted: if unasked { vec![life(0)] } else { Vec::new() },
        };
        Self { handle, tokens, drawn, task: None, reigns: BTreeMap::new(), assigned: Vec::new() }
    }

    fn store(&self) -> StoreHandle {
        Arc::new(self.handle.clone())
    }

    fn life(&self) -> usize {
        usize::from(self.handle.life != life(0))
    }
}

impl<'a> World<'a> {
    pub(crate) async fn begin(
        bounds: Bounds,
        mutation: Option<Mutation>,
        witnessed: &'a Witnessed,
    ) -> World<'a> {
        let journal = PipelineKeys::new(&Name::new("p").unwrap());
        let mut world = Self {
            bounds,
            mutation,
            witnessed,
            keys: journal.computation(1),
            journal,
            tables: vec![Table::default()],
            workers: (0..WORKERS).map(|number| Worker::new(number, mutation)).collect(),
            used: Used::default(),
            ledger: Ledger::default(),
            flights: BTreeMap::new(),
        };
        world.first_fences().await;
        world
    }

    /// The first fences, as the first worker of a pipeline writes them.
    async fn first_fences(&mut self) {
        let store: StoreHandle = Arc::new(pelton_statestore::memory::Memory::new());
        let tokens: Tokens = Arc::new(|| AttemptToken(1));
        let parts: &[Part] = if self.bounds.halves { &[Part::Low, Part::High] } else { &[Part::Whole] };
        let intervals: Vec<_> = parts.iter().map(|part| part.interval()).collect();
        let fences = create_fences(&store, &self.keys, &intervals, vec![], &tokens).await.unwrap();
        for fence in fences {
            let first = fence::Fence { incarnation: life(0), ..fence };
            self.tables[0].0.insert(self.keys.fence(first.interval.last()), first.encode());
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        let workers = self.workers.iter().map(|worker| WorkerSeen {
            reigns: worker.reigns.iter().map(|(part, reign)| (*part, reign.fence().encode())).collect(),
            assigned: worker.assigned.clone(),
            task: worker.task.as_ref().map(|task| (task.step.clone(), task.heard.clone())),
            drawn: worker.drawn.load(Ordering::Relaxed),
        });
        Seen {
            tables: self.tables.clone(),
            workers: workers.collect(),
            used: self.used.clone(),
            ledger: self.ledger.clone(),
        }
    }

    /// The bounds of the fences that stand in a life.
    fn standing(&self, life: usize) -> Vec<fence::Fence> {
        let range = self.keys.fences();
        let fences = self.tables[life].0.iter().filter(|(key, _)| range.contains(key));
        fences.map(|(_, value)| fence::Fence::decode(value).unwrap()).collect()
    }

    fn journaled(&self, life: usize, part: Part) -> Option<Bytes> {
        self.tables[life].get(&self.journal.assignment(1, part.interval().last()))
    }

    fn entry(worker: usize, part: Part, number: u64) -> Bytes {
        format!("{part:?} {number} {worker}").into()
    }

    fn requirement(&self, worker: usize, part: Part, number: u64) -> Precondition {
        let key = self.journal.assignment(1, part.interval().last());
        Precondition::Value { key, expected: Some(Self::entry(worker, part, number)) }
    }

    /// What may happen next.
    pub(crate) fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        let current = usize::from(self.used.restored);
        let bounds_stand =
            |life: usize, part: Part| self.standing(life).iter().any(|f| f.interval == part.interval());
        for (number, worker) in self.workers.iter().enumerate() {
            if worker.life() > current {
                continue;
            }
            // The two workers are alike: whichever is assigned something first may as well be this one.
            let alike = number == 1 && self.used.sequencers == 0;
            let assignable = worker.life() == current && self.used.sequencers < self.bounds.sequencers_max;
            if assignable && !alike {
                let parts = Part::ALL.into_iter().filter(|part| bounds_stand(current, *part));
                actions.extend(parts.map(|part| Action::Assign(number, part)));
            }
            match &worker.task {
                None => self.actions_of_idle(number, worker, &mut actions),
                Some(task) => {
                    actions.push(Action::Answer(number));
                    let commits = matches!(task.waiting, Some(Waiting::Commit(..)));
                    if commits && self.used.lost < self.bounds.lost_max {
                        actions.push(Action::Lose(number));
                    }
                    if commits && self.used.away < self.bounds.away_max {
                        actions.push(Action::Away(number));
                    }
                    if commits && self.used.crashes < self.bounds.crashes_max {
                        actions.push(Action::Crash(number));
                    }
                }
            }
        }
        let lost = self.ledger.flights.iter().filter(|(_, flight)| flight.lost);
        actions.extend(lost.map(|((worker, number), _)| Action::Land(*worker, *number)));
        if self.bounds.restores && !self.used.restored {
            actions.push(Action::Restore);
        }
        // To adopt is to open the store anew.
        if self.used.restored && !self.used.adopted && self.workers[RESTORED].task.is_none() {
            actions.push(Action::Adopt);
        }
        actions
    }

    fn actions_of_idle(&self, number: usize, worker: &Worker, actions: &mut Vec<Action>) {
        let told = worker.assigned.iter().map(|(part, reign)| Action::TakeOver(number, *part, *reign));
        actions.extend(told);
        if self.used.batches < self.bounds.batches_max {
            actions.extend(worker.reigns.keys().map(|part| Action::Commit(number, *part)));
        }
        // The injector reassigns only what it has assigned to who asks.
        let mine = |part: &Part| {
            worker.reigns.get(part).is_some_and(|reign| {
                let entry = Self::entry(number, *part, reign.sequencer().get());
                self.journaled(worker.life(), *part) == Some(entry)
            })
        };
        if self.used.reshapes < self.bounds.reshapes_max {
            if mine(&Part::Whole) && self.used.sequencers + 2 <= self.bounds.sequencers_max {
                actions.push(Action::Split(number));
            }
            if mine(&Part::Low) && mine(&Part::High) && self.used.sequencers < self.bounds.sequencers_max {
                actions.push(Action::Merge(number));
            }
        }
    }
}
