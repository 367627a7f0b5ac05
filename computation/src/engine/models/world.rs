//! A producer and a consumer, the owners that each has had, the store, the injector, and everything that was said.
//!
//! A core has no memory that can be compared cheaply, so a state is reached by doing its actions again. The network is the
//! set of all that was ever sent: what is lost is never delivered, and what is repeated or late is delivered whenever the
//! checker likes. Owners that have been followed go on as zombies.

mod injecting;
mod mailing;
mod owning;
mod seeing;
mod settling;

use super::pipeline::{PIPELINE, Pipeline, Route};
use super::rules::{Bounds, Mutation};
use crate::engine::bundle::Processor;
use crate::engine::channel::{Delivery, Party};
use crate::engine::clock::ManualClock;
use crate::engine::interval::IntervalOptions;
use crate::engine::interval::core::Core;
use pelton_domain::{AttemptToken, KeyInterval, Name, ProcessingTime, RecordId, Sequencer, SystemTime};
use pelton_injector::{Aggregate, Assignment, Graph, Node};
use pelton_models::Witnessed;
use pelton_statestore::fence::{Tokens, create_fences};
use pelton_statestore::memory::{FaultPlan, Memory};
use pelton_statestore::{ComputationKeys, PipelineKeys, Reign, StoreHandle};
pub(crate) use seeing::Seen;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(super) const PRODUCER: usize = 0;
pub(super) const CONSUMER: usize = 1;
/// How much system time a dedup bucket spans, and how far a tick goes.
const BUCKET_MS: u64 = 10;
const START: ProcessingTime = ProcessingTime::from_secs(1_000);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Time goes on.
    Tick,
    /// An owner of the producer is given its next record from outside, and runs it.
    Feed(usize),
    /// An owner, of the side, closes its batch.
    Seal(usize, usize),
    /// It commits the closed batch; where batches are not closed apart, it closes it too.
    Commit(usize, usize),
    /// A delivery, acknowledgement or refusal arrives.
    Arrive(Letter),
    /// An owner of the producer has waited long, and sends again.
    Resend(usize),
    /// It hears who owns the consumer now.
    Reroute(usize),
    /// It makes its promise, and the injector takes it up.
    Report(usize),
    /// An owner of the consumer hears of the horizon.
    Hear(usize),
    /// The interval of the side gets a new owner, at the other worker.
    Move(usize),
    /// Only where it is wrong: the new owner reads what the store holds.
    ScanFirst(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Delivery,
    Acknowledgement,
    Refusal,
}

/// One message between two reigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Letter {
    kind: Kind,
    from: u64,
    to: u64,
    epoch: u64,
    number: u64,
}

/// One reign.
struct Owner {
    core: Core,
    reign: Reign,
    processor: Box<dyn Processor>,
    clock: Arc<ManualClock>,
    /// Where it sends.
    route: Route,
    /// The producer: what it was fed, by the number of the delivery.
    fed: Vec<u64>,
    /// The consumer: what has run in the open batch, and in the closed one.
    ran: Vec<u64>,
    ran_sealed: Vec<u64>,
    /// What has arrived.
    heard: BTreeSet<Letter>,
}

/// What really happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Ledger {
    /// What the producer has committed, with the id of its production.
    made: BTreeMap<u64, RecordId>,
    /// What the consumer has committed, in order.
    processed: Vec<u64>,
    violated: BTreeSet<&'static str>,
}

/// What has been used up of the bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Used {
    moves: [u32; 2],
    resends: u32,
    ticks: u32,
}

pub(super) struct World<'a> {
    bounds: Bounds,
    mutation: Option<Mutation>,
    witnessed: &'a Witnessed,
    pipeline: &'a Pipeline,
    keys: PipelineKeys,
    options: IntervalOptions,
    store: Memory,
    /// The owners of each side, the newest last; those that have been fenced off are gone.
    owners: [Vec<Option<Owner>>; 2],
    aggregate: Aggregate,
    letters: BTreeSet<Letter>,
    deliveries: BTreeMap<Letter, Delivery>,
    /// What a new owner has read before the fence is taken, where that is wrong.
    scanned: [Option<Memory>; 2],
    ledger: Ledger,
    used: Used,
}

fn reign_number(side: usize, owner: usize) -> u64 {
    u64::try_from(side * 10 + owner + 1).unwrap()
}

fn sequencer(number: u64) -> Sequencer {
    Sequencer::new(number).unwrap()
}

fn empty_store() -> Memory {
    Memory::with_faults(0, FaultPlan::none())
}

fn tokens(of: u64) -> Tokens {
    let drawn = AtomicU64::new(0);
    Arc::new(move || {
        let next = drawn.fetch_add(1, Ordering::Relaxed);
        AttemptToken(u128::from(of) << 64 | u128::from(next))
    })
}

impl<'a> World<'a> {
    pub(super) async fn begin(
        bounds: Bounds,
        mutation: Option<Mutation>,
        witnessed: &'a Witnessed,
        pipeline: &'a Pipeline,
    ) -> World<'a> {
        let [producer, consumer] = [PRODUCER, CONSUMER].map(|side| pipeline.specs[side].number);
        let node = |computation: u32, name: &str, producers: Vec<u32>| Node {
            computation,
            name: Name::new(name).unwrap(),
            producers,
        };
        let nodes = [node(producer, "producer", vec![]), node(consumer, "consumer", vec![producer])];
        let graph = Arc::new(Graph::new(nodes).unwrap());
        let options = IntervalOptions {
            dedup_bucket_ms: BUCKET_MS,
            removal_delay: Duration::ZERO,
            promise_interval: Duration::ZERO,
            ..IntervalOptions::default()
        };
        let mut world = Self {
            bounds,
            mutation,
            witnessed,
            pipeline,
            keys: PipelineKeys::new(&Name::new(PIPELINE).unwrap()),
            options,
            store: empty_store(),
            owners: [Vec::new(), Vec::new()],
            aggregate: Aggregate::new(graph, []),
            letters: BTreeSet::new(),
            deliveries: BTreeMap::new(),
            scanned: [None, None],
            ledger: Ledger::default(),
            used: Used::default(),
        };
        for side in [CONSUMER, PRODUCER] {
            let (handle, keys) = (world.handle(), world.computation(side));
            create_fences(&handle, &keys, &[KeyInterval::FULL], vec![], &tokens(99)).await.unwrap();
            world.move_to_new_owner(side).await;
        }
        world.used = Used::default();
        world
    }

    pub(super) async fn act(&mut self, action: Action) {
        match action {
            Action::Tick => self.used.ticks += 1,
            Action::Feed(owner) => self.feed(owner).await,
            Action::Seal(side, owner) => self.seal(side, owner),
            Action::Commit(side, owner) => self.commit(side, owner).await,
            Action::Arrive(letter) => self.arrive(letter).await,
            Action::Resend(owner) => self.resend(owner),
            Action::Reroute(owner) => self.reroute(owner),
            Action::Report(owner) => self.report(owner).await,
            Action::Hear(owner) => self.hear(owner),
            Action::Move(side) => self.move_to_new_owner(side).await,
            Action::ScanFirst(side) => self.scan_first(side).await,
        }
        self.judge();
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    fn handle(&self) -> StoreHandle {
        Arc::new(self.store.clone())
    }

    fn computation(&self, side: usize) -> ComputationKeys {
        self.keys.computation(self.pipeline.specs[side].number)
    }

    fn party(&self, side: usize, owner: usize) -> Party {
        let computation = self.pipeline.specs[side].number;
        Party::of(computation, KeyInterval::FULL, sequencer(reign_number(side, owner)))
    }

    /// The owner that a reign's number names, if it goes on.
    fn owner_of(&mut self, reign: u64) -> Option<(usize, usize, &mut Owner)> {
        let reign = usize::try_from(reign).unwrap() - 1;
        let (side, owner) = (reign / 10, reign % 10);
        let found = self.owners[side].get_mut(owner)?.as_mut()?;
        Some((side, owner, found))
    }

    /// What the clock of the worker of an owner says.
    fn now(&self, owner: usize) -> ProcessingTime {
        let ticks_ms = u64::from(self.used.ticks) * BUCKET_MS;
        let ahead_ms = self.bounds.ahead_ms[owner % 2];
        let start = START.plus(Duration::from_millis(ticks_ms));
        ProcessingTime::from_micros(start.as_micros() + ahead_ms * 1_000)
    }

    /// An owner that does something sees what its clock says.
    fn wake(&mut self, side: usize, owner: usize) -> Option<&mut Owner> {
        let now = self.now(owner);
        let found = self.owners[side].get_mut(owner)?.as_mut()?;
        found.clock.set(now);
        found.core.scope.now = now;
        Some(found)
    }

    pub(super) fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.used.ticks < self.bounds.ticks_max {
            actions.push(Action::Tick);
        }
        for side in [PRODUCER, CONSUMER] {
            if self.used.moves[side] < self.bounds.moves_max[side] {
                let scan = self.is(Mutation::ScanBeforeFence) && self.scanned[side].is_none();
                actions.push(if scan { Action::ScanFirst(side) } else { Action::Move(side) });
            }
            for (number, owner) in self.owners[side].iter().enumerate() {
                if let Some(owner) = owner {
                    self.actions_of(side, number, owner, &mut actions);
                }
            }
        }
        actions
            .extend(self.letters.iter().filter(|letter| self.may_arrive(letter)).map(|l| Action::Arrive(*l)));
        actions
    }
}
