//! What is done to a cluster: processes that end and stand still, links that are cut, clocks that jump; and then peace.

use super::{Cluster, Machine, Role};
use crate::testing::simulation::FaultKind;
use crate::testing::simulation::network::Place;
use crate::testing::simulation::plan::CALM;
use crate::testing::simulation::time::Virtual;
use pelton_statestore::memory::FaultPlan;
use rand::RngExt;
use rand::seq::IndexedRandom;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl Cluster {
    /// From now on nothing more is done to the cluster, and everything runs.
    pub(crate) fn peace(&mut self) {
        self.say("peace".into());
        self.mail_trouble.store(false, Ordering::Relaxed);
        self.memory.set_faults(FaultPlan::none());
        self.memory.land_pending();
        self.fabric.set_weather(CALM);
        self.fabric.heal(self.now);
        self.heal_at = None;
        let now = self.now;
        for machine in &mut self.machines {
            machine.point.disarm();
            machine.paused_until = machine.paused_until.map(|_| now);
        }
    }

    /// Does one of the things that the plan has.
    pub(crate) fn act(&mut self) {
        let Some(kind) = self.plan.actions().choose(&mut self.rng).copied() else { return };
        match kind {
            FaultKind::WorkerCrash => self.crash_one(kind, Role::is_worker, true),
            FaultKind::WorkerVanishes => self.crash_one(kind, Role::is_worker, false),
            FaultKind::InjectorCrash => self.crash_one(kind, Role::is_injector, true),
            FaultKind::StoreCrash => self.crash_one(kind, Role::is_store, true),
            FaultKind::WorkerCrashAtCommit => self.arm(),
            FaultKind::WorkerPause => self.pause_one(kind, Role::is_worker),
            FaultKind::InjectorPause => self.pause_one(kind, Role::is_injector),
            FaultKind::StorePause => self.pause_one(kind, Role::is_store),
            FaultKind::ClientCrash => {
                let told = self.rng.random::<bool>();
                self.crash_one(kind, Role::is_client, told);
            }
            FaultKind::ClientPause => self.pause_one(kind, Role::is_client),
            FaultKind::Partition => self.partition(kind, true),
            FaultKind::OneWayPartition => self.partition(kind, false),
            FaultKind::ClockJump => self.jump(),
            FaultKind::Scaling => {
                if let Some(at) = self.one_of(Role::is_worker) {
                    let place = self.machines.get(at).map_or(0, |machine| machine.place);
                    self.orders.drain(format!("w{place}"));
                    self.count(kind);
                    self.say(format!("worker {place} is to be drained"));
                }
            }
            _ => {}
        }
    }

    /// One that runs and is not paused.
    fn one_of(&mut self, role: fn(Role) -> bool) -> Option<usize> {
        let runs = |machine: &Machine| {
            role(machine.role) && machine.process.is_some() && machine.paused_until.is_none()
        };
        let running: Vec<usize> =
            self.machines.iter().enumerate().filter(|(_, m)| runs(m)).map(|(at, _)| at).collect();
        running.choose(&mut self.rng).copied()
    }

    fn crash_one(&mut self, kind: FaultKind, role: fn(Role) -> bool, told: bool) {
        let Some(at) = self.one_of(role) else { return };
        let tasks = self.rng.random_range(0..200);
        if let Some(process) = self.machines.get_mut(at).and_then(|machine| machine.process.as_mut()) {
            process.some_tasks(tasks);
        }
        self.hear_panics(at);
        self.count(kind);
        self.crash(at, told, if told { "is killed" } else { "is gone, with its machine" });
    }

    fn arm(&mut self) {
        let Some(at) = self.one_of(Role::is_worker) else { return };
        let (commits, before) = (self.rng.random_range(1..=6), self.rng.random::<bool>());
        let Some(machine) = self.machines.get(at) else { return };
        if before {
            machine.point.before(commits);
        } else {
            machine.point.after(commits);
        }
    }

    fn pause_one(&mut self, kind: FaultKind, role: fn(Role) -> bool) {
        let Some(at) = self.one_of(role) else { return };
        let pause = Duration::from_millis(self.rng.random_range(50..=3_000));
        let now = self.now;
        if let Some(machine) = self.machines.get_mut(at) {
            machine.paused_until = Some(now + pause);
        }
        self.count(kind);
        self.tell(at, "stands still");
    }

    fn partition(&mut self, kind: FaultKind, both_ways: bool) {
        let has_links = |machine: &&Machine| machine.role != Role::Operator;
        let places: Vec<Place> =
            self.machines.iter().filter(has_links).map(|machine| machine.place).collect();
        let Some(one) = places.choose(&mut self.rng).copied() else { return };
        let everybody = self.rng.random::<bool>();
        let other = places.choose(&mut self.rng).copied();
        let others = places.iter().copied().filter(|at| *at != one && (everybody || Some(*at) == other));
        for other in others.collect::<Vec<_>>() {
            self.fabric.cut(one, other);
            if both_ways {
                self.fabric.cut(other, one);
            }
        }
        self.heal_at = Some(self.now + Duration::from_millis(self.rng.random_range(100..=3_000)));
        self.count(kind);
        self.say(format!("{one} is cut off ({kind})"));
    }

    fn jump(&mut self) {
        let Some(at) = self.one_of(Role::is_worker) else { return };
        let us = self.rng.random_range(-2_000_000..=2_000_000);
        if let Some(machine) = self.machines.get(at) {
            machine.skew.set_us(us);
        }
        self.count(FaultKind::ClockJump);
        self.tell(at, "has its clock set");
    }

    /// When to act next.
    pub(crate) fn next_act(&mut self) -> Virtual {
        self.now + self.plan.gap.mul_f64(self.rng.random_range(0.2..1.8))
    }
}
