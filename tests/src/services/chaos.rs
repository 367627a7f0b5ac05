//! Kills and pauses at random moments, until the pipeline is done.

use super::Services;
use crate::process::Process;
use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fmt;
use std::time::Duration;

/// What is done to running services.
#[derive(Clone, Copy, Debug)]
pub struct Chaos {
    /// Where the random moments and choices come from.
    pub seed: u64,
    /// A worker is killed and started again about so often.
    pub worker_kill: Duration,
    /// The injector that leads is killed and started again so often.
    pub leader_kill: Duration,
    /// A worker is paused for twice its lease so often: when it goes on, others have its intervals.
    pub zombie: Duration,
    /// After so long nothing more is disturbed: what is left must come to its end in peace.
    pub disturbed: Duration,
    /// It must be done after so long.
    pub within: Duration,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Workers killed.
    pub workers_killed: u32,
    /// Leaders killed.
    pub leaders_killed: u32,
    /// Workers paused beyond their lease.
    pub zombies: u32,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workers_killed, leaders_killed, zombies } = self;
        write!(
            f,
            "{workers_killed} workers killed, {leaders_killed} leaders killed, {zombies} workers paused"
        )
    }
}

impl Chaos {
    /// Disturbs `services` until the pipeline is done. `progress` hears of what is done.
    ///
    /// # Errors
    /// Where a process ends by itself, or it is not done in time.
    pub fn run(self, services: &mut Services, progress: impl FnMut(&str)) -> Result<Done> {
        let mut storm = Storm {
            chaos: self,
            services,
            progress,
            random: StdRng::seed_from_u64(self.seed),
            elapsed: Duration::ZERO,
            next_kill: self.worker_kill,
            next_leader: self.leader_kill,
            next_pause: self.zombie,
            paused: None,
            done: Done::default(),
        };
        let mut next_look = Duration::from_secs(2);
        loop {
            std::thread::sleep(STEP);
            storm.elapsed += STEP;
            ensure!(storm.elapsed < self.within, "it is not done after {:?}; {}", self.within, storm.done);
            storm.resume()?;
            if storm.elapsed < self.disturbed {
                storm.pause()?;
                storm.kill_worker()?;
                storm.kill_leader()?;
            }
            if storm.elapsed >= next_look && storm.paused.is_none() {
                next_look = storm.elapsed + Duration::from_secs(3);
                if storm.services.is_done_now() {
                    return Ok(storm.done);
                }
            }
        }
    }
}

/// How finely its moments are chosen.
const STEP: Duration = Duration::from_millis(100);

/// Chaos under way. Moments are times since its beginning.
struct Storm<'s, P> {
    chaos: Chaos,
    services: &'s mut Services,
    progress: P,
    random: StdRng,
    elapsed: Duration,
    next_kill: Duration,
    next_leader: Duration,
    next_pause: Duration,
    /// Who is paused, and until when.
    paused: Option<(usize, Duration)>,
    done: Done,
}

impl<P: FnMut(&str)> Storm<'_, P> {
    fn worker(&mut self, at: usize) -> Result<&mut Process> {
        self.services.workers.get_mut(at).context("there is such a worker")
    }

    fn any_worker(&mut self) -> usize {
        self.random.random_range(0..self.services.workers.len())
    }

    fn resume(&mut self) -> Result<()> {
        let Some((at, until)) = self.paused else { return Ok(()) };
        if self.elapsed >= until {
            self.worker(at)?.resume()?;
            (self.progress)(&format!("worker {at} goes on"));
            self.paused = None;
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<()> {
        if self.elapsed < self.next_pause || self.paused.is_some() {
            return Ok(());
        }
        let at = self.any_worker();
        self.worker(at)?.pause()?;
        (self.progress)(&format!("worker {at} is paused"));
        let until = self.elapsed + self.services.layout().worker_lease * 2;
        self.paused = Some((at, until));
        self.next_pause = until + self.chaos.zombie;
        self.done.zombies += 1;
        Ok(())
    }

    fn kill_worker(&mut self) -> Result<()> {
        if self.elapsed < self.next_kill {
            return Ok(());
        }
        let at = self.any_worker();
        if self.paused.is_none_or(|(other, _)| other != at) {
            let worker = self.worker(at)?;
            worker.kill()?;
            worker.start()?;
            (self.progress)(&format!("worker {at} is killed"));
            self.done.workers_killed += 1;
        }
        self.next_kill = self.elapsed + self.chaos.worker_kill.mul_f64(self.random.random_range(0.5..1.5));
        Ok(())
    }

    fn kill_leader(&mut self) -> Result<()> {
        if self.elapsed < self.next_leader {
            return Ok(());
        }
        let Some(at) = self.services.leader() else { return Ok(()) };
        let leader = self.services.injectors.get_mut(at).context("it was just there")?;
        leader.kill()?;
        leader.start()?;
        (self.progress)(&format!("injector {at}, which led, is killed"));
        self.next_leader = self.elapsed + self.chaos.leader_kill;
        self.done.leaders_killed += 1;
        Ok(())
    }
}
