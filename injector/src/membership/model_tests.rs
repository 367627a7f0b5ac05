//! The membership against a world of workers that come, break off, hang, fail and leave, in any order.
//!
//! Checked at every step: an interval goes to a new owner only when the one before has stopped it, is gone, or was given
//! its time. Checked at the end, once everybody who lives answers: every interval that somebody may have runs at exactly
//! one worker, evenly, under the bounds of the fences, and nothing is done any more.

use super::*;
use crate::assign::Assignment;
use proptest::prelude::*;

const COMPUTATIONS: [u32; 2] = [1, 2];

#[derive(Clone, Debug, Default)]
struct Process {
    number: u8,
    session: Option<SessionId>,
    /// Its streams, over or not.
    sessions: BTreeSet<SessionId>,
    /// It answers and sends heartbeats.
    lives: bool,
    version: u32,
    owns: BTreeSet<IntervalReign>,
}

struct World {
    membership: Membership,
    now: Duration,
    next: u64,
    processes: BTreeMap<Worker, Process>,
    fences: BTreeMap<u32, Vec<KeyInterval>>,
    /// The assignments that stand.
    journal: BTreeMap<(u32, KeyInterval), (Sequencer, Worker)>,
    /// Who was told last to take an interval over, and since when it is to stop, by computation and interval.
    holders: BTreeMap<(u32, KeyInterval), (SessionId, Option<Duration>)>,
    over: BTreeSet<SessionId>,
    /// Take-overs fail.
    failing: bool,
    /// Owners do not answer to a release.
    stubborn: bool,
    done: usize,
}

#[derive(Clone, Debug)]
enum Event {
    Start(u8),
    Break(u8),
    Rejoin(u8),
    Hang(u8),
    Failover,
    Drain(u8),
    Failing(bool),
    Stubborn(bool),
    Clock(u8, bool),
    Reshape(usize),
    Pass(u16),
}

fn worker(number: u8) -> Worker {
    format!("w{number}").into()
}

impl World {
    fn new(intervals: u32) -> Self {
        let mut membership = Membership::new(Limits::default(), Duration::ZERO);
        membership.set_graph(1, COMPUTATIONS, Duration::ZERO);
        let fences: BTreeMap<u32, Vec<KeyInterval>> =
            COMPUTATIONS.into_iter().map(|c| (c, KeyInterval::partition(intervals))).collect();
        for (computation, bounds) in &fences {
            let nobody = bounds.iter().map(|interval| (*interval, None));
            membership.restore(*computation, nobody, Duration::ZERO);
        }
        Self {
            membership,
            now: Duration::ZERO,
            next: 1,
            processes: BTreeMap::new(),
            fences,
            journal: BTreeMap::new(),
            holders: BTreeMap::new(),
            over: BTreeSet::new(),
            failing: false,
            stubborn: false,
            done: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Start(number) => {
                let name = worker(number);
                let before = self.processes.remove(&name);
                if let Some(session) = before.as_ref().and_then(|process| process.session) {
                    self.break_off(session);
                }
                let fresh = u8::try_from(self.number() % 200).unwrap();
                self.processes.insert(
                    name.clone(),
                    Process { number: fresh, lives: true, version: 1, ..Default::default() },
                );
                self.join(&name);
            }
            Event::Break(number) => {
                if let Some(session) = self.processes.get_mut(&worker(number)).and_then(|p| p.session.take())
                {
                    self.break_off(session);
                }
            }
            Event::Rejoin(number) => self.join(&worker(number)),
            Event::Hang(number) => {
                if let Some(process) = self.processes.get_mut(&worker(number)) {
                    process.lives = false;
                }
            }
            Event::Failover => self.fail_over(),
            Event::Drain(number) => {
                self.membership.drain(&worker(number), self.now);
            }
            Event::Clock(number, refused) => {
                self.membership.refuse_clock(&worker(number), refused, self.now);
            }
            Event::Failing(failing) => self.failing = failing,
            Event::Stubborn(stubborn) => self.stubborn = stubborn,
            Event::Reshape(which) => {
                let bounds = &self.fences[&1];
                let whole = bounds[which % bounds.len()];
                let (low, high) = whole.halves().unwrap();
                self.membership.reshape(1, vec![whole], vec![low, high], self.now);
            }
            Event::Pass(ms) => self.pass(Duration::from_millis(ms.into())),
        }
        self.settle();
    }

    /// Another injector leads: it knows the journal and the fences, and those who live join it.
    fn fail_over(&mut self) {
        self.membership = Membership::new(Limits::default(), self.now);
        self.membership.set_graph(1, COMPUTATIONS, self.now);
        for (computation, bounds) in &self.fences {
            let owner = |interval: &KeyInterval| self.journal.get(&(*computation, *interval)).cloned();
            let intervals: Vec<_> = bounds.iter().map(|interval| (*interval, owner(interval))).collect();
            self.membership.restore(*computation, intervals, self.now);
        }
        for process in self.processes.values_mut() {
            self.over.extend(process.session.take());
        }
        for name in self.processes.keys().cloned().collect::<Vec<_>>() {
            self.join(&name);
        }
    }

    /// An assignment stands in the place of all that it overlaps.
    fn journaled(&mut self, computation: u32, assignment: &Assignment) {
        let Assignment { interval, sequencer, worker } = assignment;
        self.journal.retain(|(c, other), _| *c != computation || !other.overlaps(*interval));
        self.journal.insert((computation, *interval), (*sequencer, worker.clone()));
    }

    fn break_off(&mut self, session: SessionId) {
        self.over.insert(session);
        self.membership.broken(session, self.now);
    }

    fn join(&mut self, name: &Worker) {
        let session = SessionId(self.number());
        let Some(process) = self.processes.get_mut(name).filter(|process| process.lives) else { return };
        let hello = Hello {
            session,
            worker: name.clone(),
            process: [process.number; 16],
            address: "h:1".to_owned(),
            graph_version: process.version,
            computations: COMPUTATIONS.into_iter().collect(),
            running: process.owns.iter().copied().collect(),
        };
        let before = process.sessions.clone();
        self.over.extend(process.session.take());
        if let Ok(accepted) = self.membership.join(hello, self.now) {
            let process = self.processes.get_mut(name).unwrap();
            process.session = Some(session);
            process.sessions.insert(session);
            for reign in accepted {
                let holder = self.holders.get_mut(&(reign.computation, reign.interval)).unwrap();
                assert!(before.contains(&holder.0), "what it runs with consent is its own");
                holder.0 = session;
            }
        }
    }

    /// Time passes in steps, in which those who live send heartbeats.
    fn pass(&mut self, by: Duration) {
        let until = self.now + by;
        while self.now < until {
            self.now = (self.now + self.membership.due(self.now).max(Duration::from_millis(1))).min(until);
            for process in self.processes.values() {
                if let Some(session) = process.session.filter(|_| process.lives) {
                    self.membership.heard(session, self.now);
                }
            }
            self.settle();
        }
    }

    /// Does everything that is to be done, until nothing is.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            self.membership.tick(self.now);
            let actions = self.membership.actions();
            if actions.is_empty() {
                return;
            }
            for action in actions {
                self.done += 1;
                self.act(action);
            }
        }
        panic!("it never comes to rest");
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Assign { computation, intervals } => self.assign(computation, intervals),
            Action::ReadFences { computation } => {
                self.membership.fences(computation, &self.fences[&computation].clone(), self.now);
            }
            Action::Release { session, reigns } => {
                for reign in &reigns {
                    let holder = self.holders.get_mut(&(reign.computation, reign.interval));
                    if let Some(holder) = holder.filter(|holder| holder.0 == session) {
                        holder.1.get_or_insert(self.now);
                    }
                }
                let stubborn = self.stubborn;
                let Some(process) = self.of(session).filter(|process| process.lives && !stubborn) else {
                    return;
                };
                for reign in &reigns {
                    process.owns.remove(reign);
                }
                self.stopped(session, &reigns);
                self.membership.released(session, &reigns, false, self.now);
            }
            Action::Reshape { session, computation, old, new } => {
                self.reshape(session, computation, &old, &new)
            }
            Action::End { session, .. } => {
                self.over.insert(session);
                if let Some(process) = self.of(session) {
                    process.session = None;
                }
            }
            Action::Gone { .. } => {}
        }
    }

    fn of(&mut self, session: SessionId) -> Option<&mut Process> {
        self.processes.values_mut().find(|process| process.session == Some(session))
    }

    fn stopped(&mut self, session: SessionId, reigns: &[IntervalReign]) {
        for reign in reigns {
            let key = (reign.computation, reign.interval);
            if self.holders.get(&key).is_some_and(|holder| holder.0 == session) {
                self.holders.remove(&key);
            }
        }
    }

    fn assign(&mut self, computation: u32, intervals: Vec<(KeyInterval, Worker)>) {
        for (interval, worker) in intervals {
            for ((_, other), (holder, told)) in
                self.holders.iter().filter(|((c, other), _)| *c == computation && other.overlaps(interval))
            {
                let given_time = told.is_some_and(|at| self.now >= at + Limits::default().release);
                assert!(
                    self.over.contains(holder) || given_time,
                    "{interval} is assigned while {other} is {holder:?}'s"
                );
            }
            let sequencer = Sequencer::new(self.number()).unwrap();
            let assignment = Assignment { interval, sequencer, worker };
            self.journaled(computation, &assignment);
            let Some(session) = self.membership.assigned(computation, &assignment) else { continue };
            self.holders.retain(|(c, other), _| *c != computation || !other.overlaps(interval));
            self.take_over(session, IntervalReign { computation, interval, sequencer });
        }
    }

    fn take_over(&mut self, session: SessionId, reign: IntervalReign) {
        let stands = self.fences[&reign.computation].contains(&reign.interval);
        let fails = self.failing || !stands;
        let Some(process) = self.of(session) else { return };
        if !process.lives {
            self.holders.insert((reign.computation, reign.interval), (session, None));
            return;
        }
        if fails {
            self.membership.released(session, &[reign], true, self.now);
            return;
        }
        process.owns.insert(reign);
        self.holders.insert((reign.computation, reign.interval), (session, None));
        self.membership.running(session, vec![reign]);
    }

    fn reshape(&mut self, session: SessionId, computation: u32, old: &[KeyInterval], new: &[KeyInterval]) {
        if !self.of(session).is_some_and(|process| process.lives) {
            return;
        }
        let Ok(worker) = self.membership.request(session, computation, old, new) else { return };
        let assignments: Vec<Assignment> = new
            .iter()
            .map(|interval| {
                let sequencer = Sequencer::new(self.number()).unwrap();
                Assignment { interval: *interval, sequencer, worker: worker.clone() }
            })
            .collect();
        for assignment in &assignments {
            self.journaled(computation, assignment);
        }
        assert!(self.membership.changed(session, computation, old, &assignments));
        let process = self.of(session).unwrap();
        process.owns.retain(|reign| reign.computation != computation || !old.contains(&reign.interval));
        self.holders.retain(|(c, interval), _| *c != computation || !old.contains(interval));
        let bounds = self.fences.get_mut(&computation).unwrap();
        bounds.retain(|interval| !old.contains(interval));
        bounds.extend(new);
        bounds.sort_unstable();
        for Assignment { interval, sequencer, .. } in assignments {
            self.take_over(session, IntervalReign { computation, interval, sequencer });
        }
    }

    /// Everybody who lives answers, and has time to.
    fn come_to_rest(&mut self) {
        (self.failing, self.stubborn) = (false, false);
        for number in 0..4 {
            self.membership.refuse_clock(&worker(number), false, self.now);
        }
        self.settle();
        self.pass(Duration::from_secs(120));
        let done = self.done;
        self.pass(Duration::from_secs(60));
        assert_eq!(self.done, done, "something is still being done");
    }

    fn check_rest(&self) {
        let present: BTreeSet<Worker> = (self.membership.members())
            .filter(|member| !member.draining)
            .map(|member| member.worker)
            .collect();
        for computation in COMPUTATIONS {
            let mut owned: BTreeMap<&Worker, usize> = present.iter().map(|worker| (worker, 0)).collect();
            let mut bounds = Vec::new();
            for (interval, owner) in self.membership.reigns(computation) {
                bounds.push(interval);
                if present.is_empty() {
                    continue;
                }
                let (sequencer, worker, running) = owner.expect("somebody may have it");
                assert!(running, "{interval} of {worker} does not run");
                let reign = IntervalReign { computation, interval, sequencer };
                assert!(self.processes[worker].owns.contains(&reign), "{worker} knows nothing of {interval}");
                *owned.get_mut(worker).expect("it lives and stays") += 1;
            }
            assert_eq!(bounds, self.fences[&computation]);
            let (least, most) = (owned.values().min(), owned.values().max());
            assert!(most.unwrap_or(&0) - least.unwrap_or(&0) <= 1, "uneven: {owned:?}");
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0u8..4).prop_map(Event::Start),
        2 => (0u8..4).prop_map(Event::Break),
        3 => (0u8..4).prop_map(Event::Rejoin),
        1 => (0u8..4).prop_map(Event::Hang),
        1 => (0u8..4).prop_map(Event::Drain),
        2 => (0u8..4, any::<bool>()).prop_map(|(number, refused)| Event::Clock(number, refused)),
        1 => Just(Event::Failover),
        1 => any::<bool>().prop_map(Event::Failing),
        1 => any::<bool>().prop_map(Event::Stubborn),
        2 => (0usize..64).prop_map(Event::Reshape),
        6 => prop_oneof![0u16..50, 200u16..400, 2_000u16..4_000, 9_000u16..12_000].prop_map(Event::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn i1_whatever_workers_do_an_interval_has_one_owner_and_all_comes_to_rest(
        intervals in 1u32..12,
        events in prop::collection::vec(event(), 1..60),
    ) {
        let mut world = World::new(intervals);
        for event in events {
            world.event(event);
        }
        world.come_to_rest();
        world.check_rest();
    }
}
