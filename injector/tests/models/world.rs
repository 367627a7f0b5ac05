//! Two injectors, two workers, two intervals, and everything that has been said.
//!
//! The futures of the code have no memory that can be compared, so a state is reached by doing its actions again.
//! The network is the set of all that was ever said: a message that is lost is never taken up, a late or repeated one is
//! taken up whenever the checker likes. So reports need no action of their own: each owner's report of each moment is in
//! the set.

mod injectors;
mod judging;
mod owning;
mod seeing;

use crate::owners::{CONSUMER, Owner, PRODUCER, Row};
use crate::rules::{Bounds, Mutation};
use crate::store::{Call, Handle, Table};
use bytes::Bytes;
use injectors::Phase;
use pelton_domain::{AttemptToken, EventTime, KeyInterval, Name, ProcessingTime, Sequencer};
use pelton_injector::{AssignError, Assigned, Graph, InjectorOptions, Node};
use pelton_models::Witnessed;
use pelton_statestore::fence::Tokens;
use pelton_statestore::{Commit, PipelineKeys};
pub(crate) use seeing::Seen;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

pub(crate) const INJECTORS: usize = 2;
pub(crate) const WORKERS: usize = 2;
/// The producer is computation 1, and the consumer 2.
pub(crate) const COMPUTATIONS: [u32; 2] = [1, 2];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// An injector takes the lead, whoever has it.
    Lead(usize),
    /// An injector assigns an interval to a worker.
    Assign(usize, usize, usize),
    /// The store does what an injector has asked, and the answer arrives.
    Answer(usize),
    /// The answer is lost; the commit is on its way.
    Lose(usize),
    /// A commit whose caller has no answer lands.
    Land(usize),
    /// A worker takes an interval over by an assignment that it was told, however old.
    TakeOver(usize),
    /// Only where it is wrong: it reads what the interval holds, and takes the fence later.
    ScanFirst(usize),
    /// The producer reads its next record, and commits it with the production.
    Produce(usize),
    /// The consumer admits a record, and commits it.
    Receive(usize, u8),
    /// The producer hears that a record was committed.
    Acknowledged(usize, u8),
    /// The consumer is done with the earliest record that it holds.
    Release(usize),
    /// A worker's consumer hears what an injector announces.
    Hear(usize, usize),
    /// An injector takes up a report, however old.
    Report(usize, Said),
}

/// What an owner has reported once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Said {
    pub(crate) stage: usize,
    pub(crate) reign: u64,
    pub(crate) low_watermark: EventTime,
    /// The part of it that is not the input.
    pub(crate) hold: EventTime,
}

/// An assignment that a worker was told and has not acted on.
#[derive(Clone, Debug)]
struct Told {
    worker: usize,
    stage: usize,
    assigned: Assigned,
    /// What was read before the fence is taken, where that is wrong.
    scanned: Option<Row>,
}

type Asked = Pin<Box<dyn Future<Output = Result<Vec<Assigned>, AssignError>>>>;

struct Process {
    handle: Handle,
    tokens: Tokens,
    phase: Phase,
    waiting: Option<Call>,
    /// It may be waiting for time to pass: it has begun, or an answer was not what it hoped for.
    waits_for_time: bool,
    /// What the store said since it last had nothing to do.
    heard: Vec<&'static str>,
    /// The leader's record that it goes on from.
    standing: Option<Bytes>,
    asked: Option<(usize, usize, Asked)>,
    /// The largest leadership that it took.
    epoch: u64,
    /// What stood in the journal when another took the lead.
    last_word: Option<[EventTime; 2]>,
}

/// What has been used up of the bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Used {
    leads: u32,
    moves: u32,
    lost: u32,
}

pub(crate) struct World<'a> {
    bounds: Bounds,
    mutation: Option<Mutation>,
    witnessed: &'a Witnessed,
    keys: PipelineKeys,
    table: Arc<Mutex<Table>>,
    processes: Vec<Process>,
    flights: Vec<(usize, Commit)>,
    rows: [Row; 2],
    owners: BTreeMap<(usize, usize), Owner>,
    told: Vec<Told>,
    said: BTreeSet<Said>,
    /// The greatest that was announced, by whomever.
    announced: [EventTime; 2],
    /// The greatest that stood in the journal.
    journaled: [EventTime; 2],
    used: Used,
    violated: BTreeSet<&'static str>,
    begun: bool,
}

fn sequencer(number: u64) -> Sequencer {
    Sequencer::new(number).unwrap()
}

fn graph() -> Graph {
    let node = |computation: u32, producers: &[u32]| {
        let name = Name::new(&format!("c{computation}")).unwrap();
        Node { computation, name, producers: producers.to_vec() }
    };
    Graph::new([node(COMPUTATIONS[PRODUCER], &[]), node(COMPUTATIONS[CONSUMER], &[COMPUTATIONS[PRODUCER]])])
        .unwrap()
}

fn options() -> InjectorOptions {
    let clock = Arc::new(|| ProcessingTime::from_secs(0));
    InjectorOptions { journal_gap_ms_min: 0, ..InjectorOptions::new(clock) }
}

fn worker(number: usize) -> &'static str {
    ["a", "b"][number]
}

impl Process {
    fn new(number: usize, table: &Arc<Mutex<Table>>, keys: &PipelineKeys) -> Self {
        let drawn = AtomicU64::new(0);
        let tokens: Tokens = Arc::new(move || {
            let next = drawn.fetch_add(1, Ordering::Relaxed);
            AttemptToken((number as u128 + 1) << 64 | u128::from(next))
        });
        Self {
            handle: Handle::new(table.clone(), keys.leader()),
            tokens,
            phase: Phase::StandsBy,
            waiting: None,
            waits_for_time: false,
            heard: Vec::new(),
            standing: None,
            asked: None,
            epoch: 0,
            last_word: None,
        }
    }
}

impl<'a> World<'a> {
    /// The first injector leads, and the first worker owns both intervals and has reported nothing.
    pub(crate) async fn begin(
        bounds: Bounds,
        mutation: Option<Mutation>,
        witnessed: &'a Witnessed,
    ) -> World<'a> {
        let keys = PipelineKeys::new(&Name::new("p").unwrap());
        let table = Arc::new(Mutex::new(Table::default()));
        let mut world = Self {
            bounds,
            mutation,
            witnessed,
            processes: (0..INJECTORS).map(|number| Process::new(number, &table, &keys)).collect(),
            keys,
            table,
            flights: Vec::new(),
            rows: [Row::FIRST; 2],
            owners: BTreeMap::new(),
            told: Vec::new(),
            said: BTreeSet::new(),
            announced: [EventTime::MIN; 2],
            journaled: [EventTime::MIN; 2],
            used: Used::default(),
            violated: BTreeSet::new(),
            begun: false,
        };
        world.lead(0).await;
        world.answer(0).await;
        for stage in [PRODUCER, CONSUMER] {
            world.assign(0, stage, 0).await;
            world.answer(0).await;
            world.take_over(0);
        }
        world.used = Used::default();
        world.begun = true;
        world
    }

    pub(crate) async fn act(&mut self, action: Action) {
        match action {
            Action::Lead(process) => self.lead(process).await,
            Action::Assign(process, stage, worker) => self.assign(process, stage, worker).await,
            Action::Answer(process) => self.answer(process).await,
            Action::Lose(process) => self.lose(process).await,
            Action::Land(flight) => self.land_late(flight),
            Action::TakeOver(told) => self.take_over(told),
            Action::ScanFirst(told) => self.told[told].scanned = Some(self.rows[self.told[told].stage]),
            Action::Produce(worker) => self.produce(worker),
            Action::Receive(worker, record) => self.receive(worker, record),
            Action::Acknowledged(worker, record) => self.acknowledged(worker, record),
            Action::Release(worker) => self.release(worker),
            Action::Hear(worker, process) => self.hear(worker, process),
            Action::Report(process, said) => self.report(process, said).await,
        }
        self.owners_say();
        self.judge();
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    pub(crate) fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for number in 0..INJECTORS {
            self.actions_of_injector(number, &mut actions);
        }
        actions.extend((0..self.flights.len()).map(Action::Land));
        for (number, told) in self.told.iter().enumerate() {
            if self.is(Mutation::ScanBeforeFence) && told.scanned.is_none() {
                actions.push(Action::ScanFirst(number));
            } else {
                actions.push(Action::TakeOver(number));
            }
        }
        for (&(worker, stage), owner) in &self.owners {
            self.actions_of_owner(worker, stage, owner, &mut actions);
        }
        actions
    }
}

fn whole() -> KeyInterval {
    KeyInterval::FULL
}
