//! The processes of one simulation. What is done to them is in [`trouble`].

mod trouble;

use super::FaultKind;
use super::client::{Client, Machines};
use super::history::{Event, History};
use super::network::{Fabric, Place, address_of};
use super::plan::Plan;
use super::process::{Beginning, Process, Turn};
use super::roles::{self, Orders, PORT, StoreAt, WorkerRole};
use super::store::{CrashPoint, ProcessStore};
use super::time::{Skew, Virtual};
use crate::engine::letter::{MailFate, MailFault};
use crate::engine::panics::Watch;
use crate::pipeline::Pipeline;
use pelton_domain::AttemptToken;
use pelton_statestore::StoreHandle;
use pelton_statestore::fence::Tokens;
use pelton_statestore::memory::Memory;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Makes the pipeline anew, for every start of a worker.
pub(crate) type MakePipeline = Arc<dyn Fn() -> Pipeline + Send + Sync>;

const STORE: Place = 1;
const OPERATOR: Place = 2;
const INJECTORS: Place = 10;
const WORKERS: Place = 20;
const CLIENTS: Place = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Store,
    Operator,
    Injector,
    Worker,
    Client(usize),
}

impl Role {
    fn is_store(self) -> bool {
        self == Self::Store
    }

    fn is_injector(self) -> bool {
        self == Self::Injector
    }

    fn is_worker(self) -> bool {
        self == Self::Worker
    }

    fn is_client(self) -> bool {
        matches!(self, Self::Client(_))
    }
}

/// A machine of the cluster, on which one process runs, or none at the moment.
struct Machine {
    place: Place,
    role: Role,
    skew: Skew,
    process: Option<Process>,
    /// How often one was started.
    starts: u32,
    point: CrashPoint,
    /// When to start one again.
    restart_at: Option<Virtual>,
    paused_until: Option<Virtual>,
    /// It has ended, and nothing is to be started again.
    finished: bool,
}

impl Machine {
    /// In words.
    fn name(&self) -> String {
        format!("process {} ({:?})", self.place, self.role)
    }
}

/// A cluster under one seed.
pub(crate) struct Cluster {
    plan: Plan,
    rng: StdRng,
    pub(crate) now: Virtual,
    fabric: Fabric,
    pub(crate) memory: Memory,
    make: MakePipeline,
    clients: Vec<Client>,
    outside: Machines,
    machines: Vec<Machine>,
    orders: Orders,
    /// Whether mail still meets with faults.
    mail_trouble: Arc<AtomicBool>,
    mail_counts: Arc<Mutex<BTreeMap<FaultKind, u64>>>,
    heal_at: Option<Virtual>,
    pub(crate) history: History,
    pub(crate) counts: BTreeMap<FaultKind, u64>,
    /// What went wrong in a process in a way that is never right.
    pub(crate) broken: Option<String>,
    panics: Watch,
}

impl Cluster {
    pub(crate) fn new(seed: u64, plan: Plan, make: MakePipeline, clients: Vec<Client>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x5eed_c105);
        let history = History::default();
        let memory = Memory::with_faults(rng.next_u64(), plan.store);
        let recorder = history.clone();
        memory.watch(move |commit| recorder.add(Event::Commit(commit.clone())));
        let fabric = Fabric::new(rng.next_u64(), plan.weather, history.clone());
        let mut places = vec![(OPERATOR, Role::Operator)];
        if plan.store_is_served {
            places.push((STORE, Role::Store));
        }
        places.extend((0..plan.injectors).map(|at| (INJECTORS + at, Role::Injector)));
        places.extend((0..plan.workers).map(|at| (WORKERS + at, Role::Worker)));
        let outside =
            (0..clients.len()).filter_map(|at| Some((CLIENTS + Place::try_from(at).ok()?, Role::Client(at))));
        places.extend(outside);
        let machine = |(place, role)| Machine {
            place,
            role,
            skew: Skew::default(),
            process: None,
            starts: 0,
            point: CrashPoint::default(),
            restart_at: Some(Duration::ZERO),
            paused_until: None,
            finished: false,
        };
        Self {
            machines: places.into_iter().map(machine).collect(),
            plan,
            rng,
            now: Duration::ZERO,
            fabric,
            memory,
            make,
            clients,
            outside: Machines::default(),
            orders: Orders::default(),
            mail_trouble: Arc::new(AtomicBool::new(true)),
            mail_counts: Arc::default(),
            heal_at: None,
            history,
            counts: BTreeMap::new(),
            broken: None,
            panics: Watch::begin(),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.orders.is_done()
            && self.machines.iter().all(|machine| !machine.role.is_client() || machine.finished)
    }

    /// One turn of every process.
    pub(crate) fn turn(&mut self) -> std::io::Result<()> {
        self.now += self.plan.turn;
        self.history.set_now(self.now);
        if self.heal_at.is_some_and(|at| at <= self.now) {
            self.heal_at = None;
            self.fabric.heal(self.now);
            self.say("all links carry again".into());
        }
        let mut order: Vec<usize> = (0..self.machines.len()).collect();
        order.shuffle(&mut self.rng);
        for at in order {
            self.turn_of(at)?;
        }
        Ok(())
    }

    fn turn_of(&mut self, at: usize) -> std::io::Result<()> {
        let now = self.now;
        let Some(machine) = self.machines.get_mut(at) else { return Ok(()) };
        if machine.process.is_none() && machine.restart_at.is_some_and(|restart| restart <= now) {
            machine.restart_at = None;
            self.start(at)?;
        }
        let Some(machine) = self.machines.get_mut(at) else { return Ok(()) };
        let Some(process) = &mut machine.process else { return Ok(()) };
        if let Some(until) = machine.paused_until {
            if until > now {
                return Ok(());
            }
            machine.paused_until = None;
            process.resume(now);
            self.tell(at, "goes on");
        }
        let Some(process) = self.machines.get_mut(at).and_then(|machine| machine.process.as_mut()) else {
            return Ok(());
        };
        let turn = process.turn(now);
        self.hear_panics(at);
        match turn {
            Turn::Runs => {}
            Turn::Crashed => {
                self.count(FaultKind::WorkerCrashAtCommit);
                self.crash(at, true, "crashed at a commit");
            }
            Turn::Ended(ended) => self.ended(at, ended),
        }
        Ok(())
    }

    fn ended(&mut self, at: usize, ended: Result<(), String>) {
        let Some(machine) = self.machines.get_mut(at) else { return };
        if let (Ok(()), Role::Operator | Role::Client(_)) = (&ended, machine.role) {
            machine.finished = true;
        }
        if let (Ok(()), Role::Client(number)) = (&ended, machine.role) {
            self.outside.has_ended(number);
        }
        let words = ended.map_or_else(|error| format!("ended: {error}"), |()| "ended".to_owned());
        // Workers and injectors end by themselves when they are drained, or cannot go on as they are; this is never
        // right.
        let client_gave_up = machine.role.is_client() && !machine.finished;
        if client_gave_up || words.contains("a bug:") {
            let who = machine.name();
            self.broken.get_or_insert_with(|| format!("{who} {words}"));
        }
        self.crash(at, true, &words);
    }

    /// The process ends, and another one starts after a while.
    fn crash(&mut self, at: usize, told: bool, words: &str) {
        let pause = Duration::from_millis(self.rng.random_range(1..=700));
        let now = self.now;
        let Some(machine) = self.machines.get_mut(at) else { return };
        let Some(process) = machine.process.take() else { return };
        self.fabric.crash(machine.place, now, told);
        process.crash();
        self.hear_panics(at);
        let Some(machine) = self.machines.get_mut(at) else { return };
        machine.point.disarm();
        machine.paused_until = None;
        machine.restart_at = (!machine.finished).then_some(now + pause);
        self.tell(at, words);
    }

    /// A panic ends one task, and the others of the process go on: so nobody else may see it.
    fn hear_panics(&mut self, at: usize) {
        if let (Some(panicked), Some(machine)) = (self.panics.first(), self.machines.get(at)) {
            self.broken.get_or_insert_with(|| format!("{} {panicked}", machine.name()));
        }
    }

    /// Ends what still runs.
    pub(crate) fn end(&mut self) {
        for at in 0..self.machines.len() {
            if let Some(process) = self.machines.get_mut(at).and_then(|machine| machine.process.take()) {
                process.crash();
                self.hear_panics(at);
            }
        }
    }

    fn tell(&self, at: usize, words: &str) {
        if let Some(machine) = self.machines.get(at) {
            self.history.add(Event::Process(machine.place, words.to_owned()));
        }
    }

    fn say(&self, words: String) {
        self.history.add(Event::Fault(words));
    }

    fn count(&mut self, kind: FaultKind) {
        *self.counts.entry(kind).or_default() += 1;
    }

    /// What was counted, that of the store and of the network included.
    pub(crate) fn counted(&self) -> BTreeMap<FaultKind, u64> {
        let mut counts = self.counts.clone();
        let (faults, network) = (self.memory.counts().faults, self.fabric.counts());
        let mut more = vec![
            (FaultKind::StoreConflict, faults.conflicts),
            (FaultKind::StoreUnavailable, faults.unavailable),
            (FaultKind::UnknownHappened, faults.unknown_happened),
            (FaultKind::UnknownNever, faults.unknown_never),
            (FaultKind::UnknownLate, faults.unknown_late),
            (FaultKind::ShortPages, faults.short_pages),
            (FaultKind::PacketLoss, network.lost),
            (FaultKind::Reset, if self.plan.has(FaultKind::Reset) { network.resets } else { 0 }),
            (
                FaultKind::Reshaping,
                if self.plan.has(FaultKind::Reshaping) { self.orders.reshaped() } else { 0 },
            ),
        ];
        for kind in
            [FaultKind::StoreSlow, FaultKind::SlowNetwork, FaultKind::ClockSkew, FaultKind::TinyLimits]
        {
            more.push((kind, u64::from(self.plan.has(kind))));
        }
        let mail = self.mail_counts.lock().unwrap_or_else(PoisonError::into_inner);
        more.extend(mail.iter().map(|(kind, count)| (*kind, *count)));
        for (kind, count) in more.into_iter().filter(|(_, count)| *count > 0) {
            *counts.entry(kind).or_default() += count;
        }
        counts
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What runs at the moment, in words.
    pub(crate) fn words(&self) -> String {
        let words = |machine: &Machine| {
            let what = match (&machine.process, machine.paused_until) {
                (None, _) => "down",
                (Some(_), Some(_)) => "paused",
                (Some(_), None) => "runs",
            };
            format!("{:?} {} {what}", machine.role, machine.place)
        };
        self.machines.iter().map(words).collect::<Vec<_>>().join(", ")
    }
}

/// Starting.
impl Cluster {
    fn addresses(&self, role: Role) -> Vec<String> {
        let of_role = self.machines.iter().filter(|machine| machine.role == role);
        of_role.map(|machine| address_of(machine.place, PORT).to_string()).collect()
    }

    fn tokens(&mut self) -> Tokens {
        let rng = Mutex::new(StdRng::seed_from_u64(self.rng.next_u64()));
        Arc::new(move || {
            let mut rng = rng.lock().unwrap_or_else(PoisonError::into_inner);
            AttemptToken(rng.random())
        })
    }

    fn start(&mut self, at: usize) -> std::io::Result<()> {
        let (now, dice, tokens) = (self.now, self.rng.next_u64(), self.tokens());
        let mail_fault = self.mail_fault();
        let (injectors, workers) = (self.addresses(Role::Injector), self.addresses(Role::Worker));
        let skewed =
            self.plan.has(FaultKind::ClockSkew).then(|| self.rng.random_range(-2_000_000..=2_000_000));
        let Some(machine) = self.machines.get_mut(at) else { return Ok(()) };
        if let (0, Some(us)) = (machine.starts, skewed) {
            machine.skew.set_us(us);
        }
        machine.starts += 1;
        let (place, point) = (machine.place, machine.point.clone());
        let begin = Beginning { now, skew: machine.skew.clone(), dice };
        let address = address_of(place, PORT);
        let here: StoreHandle = Arc::new(self.memory.clone());
        let store = match self.plan.store_is_served {
            true => StoreAt::Away(address_of(STORE, PORT)),
            false => StoreAt::Here(here.clone()),
        };
        let (plan, fabric) = (self.plan.clone(), self.fabric.clone());
        let process = match machine.role {
            Role::Store => Process::start(place, begin, &fabric, |_| roles::statestore(here, address)),
            Role::Operator => {
                let orders = self.orders.clone();
                Process::start(place, begin, &fabric, |_| roles::operator(injectors, orders))
            }
            Role::Injector => {
                let name = (self.make)().name().clone();
                Process::start(place, begin, &fabric, |surroundings| async move {
                    let store = store.open().await?;
                    roles::injector(name, store, address, plan, (surroundings, tokens)).await
                })
            }
            Role::Worker => {
                let role =
                    WorkerRole { name: format!("w{place}"), address, injectors, plan, mail_fault, tokens };
                let pipeline = (self.make)();
                Process::start(place, begin, &fabric, |surroundings| async move {
                    let store = store.open().await?;
                    let store = Arc::new(ProcessStore { store, point, fuse: surroundings.fuse.clone() });
                    roles::worker(role, pipeline, store, surroundings).await
                })
            }
            Role::Client(number) => {
                let Some(client) = self.clients.get(number).cloned() else { return Ok(()) };
                let here = self.outside.start(number, workers);
                Process::start(place, begin, &fabric, |_| async move {
                    client(here).await.map_err(|error| error.to_string())
                })
            }
        }?;
        machine.process = Some(process);
        self.tell(at, "starts");
        Ok(())
    }

    /// Records every piece of mail, and does to it what the plan has.
    fn mail_fault(&mut self) -> MailFault {
        let kinds = [FaultKind::MailLost, FaultKind::MailTwice, FaultKind::MailLate];
        let kinds: Vec<FaultKind> = kinds.into_iter().filter(|kind| self.plan.has(*kind)).collect();
        let rng = Mutex::new(StdRng::seed_from_u64(self.rng.next_u64()));
        let (trouble, counts) = (self.mail_trouble.clone(), self.mail_counts.clone());
        let (often, history) = (self.plan.mail_faults, self.history.clone());
        Arc::new(move |letter| {
            history.add(Event::Letter(letter.clone()));
            let mut rng = rng.lock().unwrap_or_else(PoisonError::into_inner);
            if !trouble.load(Ordering::Relaxed) || rng.random::<f64>() >= often {
                return MailFate::Arrives;
            }
            let Some(kind) = kinds.choose(&mut *rng) else { return MailFate::Arrives };
            *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(*kind).or_default() += 1;
            match kind {
                FaultKind::MailLost => MailFate::Lost,
                FaultKind::MailTwice => MailFate::Twice,
                _ => MailFate::Late,
            }
        })
    }
}
