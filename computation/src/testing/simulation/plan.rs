//! What one seed does to a cluster: which kinds of faults, how often, and how the cluster is built.
//!
//! Each seed takes some kinds and leaves others out (a swarm): faults that would hide each other, or end a run before
//! others come up, get runs without each other.

use super::network::Weather;
use crate::engine::interval::IntervalOptions;
use pelton_statestore::memory::FaultPlan;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// A kind of fault, or of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// A worker ends at some await, and is started again.
    WorkerCrash,
    /// A worker ends right before one of its commits is sent, or right after it has happened.
    WorkerCrashAtCommit,
    /// As a crash, and nobody is told that its connections have ended.
    WorkerVanishes,
    /// A worker stands still, longer than its lease, and goes on: a zombie.
    WorkerPause,
    /// An injector ends.
    InjectorCrash,
    /// An injector stands still, and goes on.
    InjectorPause,
    /// The server of the store ends; what is committed stays.
    StoreCrash,
    /// The server of the store stands still, and goes on.
    StorePause,
    /// Two processes, or one and all others, cannot reach each other.
    Partition,
    /// As a partition, in one direction only.
    OneWayPartition,
    /// Packets are lost and sent again later.
    PacketLoss,
    /// Connections end.
    Reset,
    /// The network is slow.
    SlowNetwork,
    /// Deliveries, acknowledgements and refusals are lost.
    MailLost,
    /// They arrive twice.
    MailTwice,
    /// They arrive out of order.
    MailLate,
    /// Commits conflict.
    StoreConflict,
    /// The store is away.
    StoreUnavailable,
    /// A commit happens and its outcome is unknown.
    UnknownHappened,
    /// A commit does not happen, and its outcome is unknown.
    UnknownNever,
    /// A commit lands after its outcome was unknown.
    UnknownLate,
    /// The store is slow.
    StoreSlow,
    /// Scans come in small pages.
    ShortPages,
    /// Clocks differ.
    ClockSkew,
    /// A clock jumps, forwards or back.
    ClockJump,
    /// Workers are drained, and others come.
    Scaling,
    /// Intervals are split and merged, for load or for the lack of it.
    Reshaping,
    /// Mailboxes, batches, caches and timer tables are tiny.
    TinyLimits,
    /// A client ends at some await, and is started again with what it kept.
    ClientCrash,
    /// A client stands still, so that it neither sends nor reads, and goes on.
    ClientPause,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 30] = [
        Self::WorkerCrash,
        Self::WorkerCrashAtCommit,
        Self::WorkerVanishes,
        Self::WorkerPause,
        Self::InjectorCrash,
        Self::InjectorPause,
        Self::StoreCrash,
        Self::StorePause,
        Self::Partition,
        Self::OneWayPartition,
        Self::PacketLoss,
        Self::Reset,
        Self::SlowNetwork,
        Self::MailLost,
        Self::MailTwice,
        Self::MailLate,
        Self::StoreConflict,
        Self::StoreUnavailable,
        Self::UnknownHappened,
        Self::UnknownNever,
        Self::UnknownLate,
        Self::StoreSlow,
        Self::ShortPages,
        Self::ClockSkew,
        Self::ClockJump,
        Self::Scaling,
        Self::Reshaping,
        Self::TinyLimits,
        Self::ClientCrash,
        Self::ClientPause,
    ];

    /// What only a cluster with clients can have.
    const OF_CLIENTS: [Self; 2] = [Self::ClientCrash, Self::ClientPause];

    /// Whether it is something that happens at a moment, as opposed to how things are.
    fn is_action(self) -> bool {
        use FaultKind::{
            ClientCrash, ClientPause, ClockJump, InjectorCrash, InjectorPause, OneWayPartition, Partition,
            Scaling, StoreCrash, StorePause, WorkerCrash, WorkerCrashAtCommit, WorkerPause, WorkerVanishes,
        };
        matches!(
            self,
            WorkerCrash
                | WorkerCrashAtCommit
                | WorkerVanishes
                | WorkerPause
                | InjectorCrash
                | InjectorPause
                | StoreCrash
                | StorePause
                | Partition
                | OneWayPartition
                | ClockJump
                | Scaling
                | ClientCrash
                | ClientPause
        )
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What a seed does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) kinds: BTreeSet<FaultKind>,
    pub(crate) workers: u8,
    pub(crate) injectors: u8,
    /// Whether the store is a process that the others reach over the network.
    pub(crate) store_is_served: bool,
    /// How long each process runs before the next has its turn.
    pub(crate) turn: Duration,
    pub(crate) trouble: Duration,
    /// The mean time between two actions.
    pub(crate) gap: Duration,
    pub(crate) weather: Weather,
    pub(crate) store: FaultPlan,
    /// Of mail, from 0 to 1.
    pub(crate) mail_faults: f64,
    pub(crate) interval: IntervalOptions,
}

/// How the network is without trouble.
pub(crate) const CALM: Weather = Weather {
    latency_min: Duration::from_micros(200),
    latency_max: Duration::from_millis(1),
    lost: 0.0,
    reset: 0.0,
};

impl Plan {
    pub(crate) fn of(seed: u64, has_clients: bool) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let share = [0.15, 0.3, 0.6].choose(&mut rng).copied().unwrap_or(0.3);
        let of_all = FaultKind::ALL.into_iter().filter(|kind| !FaultKind::OF_CLIENTS.contains(kind));
        let mut kinds: BTreeSet<FaultKind> = of_all.filter(|_| rng.random::<f64>() < share).collect();
        if has_clients {
            // From dice of their own: what a seed does to a cluster does not depend on whether somebody is outside.
            let mut rng = StdRng::seed_from_u64(!seed);
            kinds.extend(FaultKind::OF_CLIENTS.into_iter().filter(|_| rng.random::<f64>() < 2.0 * share));
        }
        let served = rng.random::<f64>() < 0.4;
        if !served {
            kinds.remove(&FaultKind::StoreCrash);
            kinds.remove(&FaultKind::StorePause);
        }
        let chance =
            |kind: FaultKind, probability: f64| if kinds.contains(&kind) { probability } else { 0.0 };
        let weather = Weather {
            latency_min: CALM.latency_min,
            latency_max: Duration::from_micros(chance(FaultKind::SlowNetwork, 60_000.0) as u64)
                .max(CALM.latency_max),
            lost: chance(FaultKind::PacketLoss, 0.05),
            reset: chance(FaultKind::Reset, 0.004),
        };
        let often = [0.01, 0.05, 0.15].choose(&mut rng).copied().unwrap_or(0.05);
        let store = FaultPlan {
            conflict: chance(FaultKind::StoreConflict, often),
            unavailable: chance(FaultKind::StoreUnavailable, often),
            unknown_happens: chance(FaultKind::UnknownHappened, often),
            unknown_never: chance(FaultKind::UnknownNever, often),
            unknown_late: chance(FaultKind::UnknownLate, often),
            delay: 1.0,
            delay_max: Duration::from_millis(if kinds.contains(&FaultKind::StoreSlow) { 80 } else { 2 }),
            short_page: chance(FaultKind::ShortPages, 0.5),
        };
        Self {
            workers: rng.random_range(2..=4),
            injectors: rng.random_range(1..=2),
            store_is_served: served,
            turn: Duration::from_millis(rng.random_range(1..=4)),
            trouble: Duration::from_millis(rng.random_range(1_500..=8_000)),
            gap: Duration::from_millis(rng.random_range(80..=900)),
            weather,
            store,
            mail_faults: rng.random_range(0.01..0.2),
            interval: interval_options(&kinds, &mut rng),
            kinds,
        }
    }

    /// A cluster to which nothing happens.
    pub(crate) fn calm() -> Self {
        Self {
            kinds: BTreeSet::new(),
            workers: 1,
            injectors: 1,
            store_is_served: false,
            turn: Duration::from_millis(2),
            trouble: Duration::ZERO,
            gap: Duration::from_secs(1),
            weather: CALM,
            store: FaultPlan::none(),
            mail_faults: 0.0,
            interval: IntervalOptions::default(),
        }
    }

    pub(crate) fn has(&self, kind: FaultKind) -> bool {
        self.kinds.contains(&kind)
    }

    pub(crate) fn actions(&self) -> Vec<FaultKind> {
        self.kinds.iter().copied().filter(|kind| kind.is_action()).collect()
    }
}

/// Short delays, so that what takes minutes in production comes up in seconds; with tiny limits everything is at its
/// limit all the time.
fn interval_options(kinds: &BTreeSet<FaultKind>, rng: &mut StdRng) -> IntervalOptions {
    let mut options = IntervalOptions {
        dedup_bucket_ms: rng.random_range(20..=1_000),
        resend_after: Duration::from_millis(rng.random_range(100..=2_000)),
        removal_delay: Duration::from_millis(rng.random_range(1..=200)),
        promise_interval: Duration::from_millis(rng.random_range(50..=1_000)),
        ..IntervalOptions::default()
    };
    if kinds.contains(&FaultKind::TinyLimits) {
        options.cache_bytes_max = rng.random_range(0..=4_000);
        options.timers_near_max = rng.random_range(1..=8);
        options.batch_calls_max = rng.random_range(1..=16);
        options.batch_bytes_max = rng.random_range(200..=4_000);
        options.outbox_bytes_max = rng.random_range(500..=8_000);
        options.channel_records_max = rng.random_range(1..=16);
        options.channel_bytes_max = rng.random_range(200..=4_000);
    }
    options
}
