//! Kills and pauses at random moments, until the pipeline is done.

use super::Services;
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
    pub fn run(self, services: &mut Services, mut progress: impl FnMut(&str)) -> Result<Done> {
        let mut random = StdRng::seed_from_u64(self.seed);
        let step = Duration::from_millis(100);
        let (mut done, mut elapsed) = (Done::default(), Duration::ZERO);
        let (mut next_kill, mut next_leader, mut next_zombie) =
            (self.worker_kill, self.leader_kill, self.zombie);
        let mut paused: Option<(usize, Duration)> = None;
        let mut next_look = Duration::from_secs(2);
        loop {
            std::thread::sleep(step);
            elapsed += step;
            ensure!(elapsed < self.within, "it is not done after {:?}; {done}", self.within);
            if let Some((at, until)) = paused
                && elapsed >= until
            {
                worker(services, at)?.resume()?;
                progress(&format!("worker {at} goes on"));
                paused = None;
            }
            let disturbed = elapsed < self.disturbed;
            if disturbed && elapsed >= next_zombie && paused.is_none() {
                let at = random.random_range(0..services.workers.len());
                worker(services, at)?.pause()?;
                progress(&format!("worker {at} is paused"));
                paused = Some((at, elapsed + services.layout().worker_lease * 2));
                next_zombie = elapsed + services.layout().worker_lease * 2 + self.zombie;
                done.zombies += 1;
            }
            if disturbed && elapsed >= next_kill {
                let at = random.random_range(0..services.workers.len());
                if paused.is_none_or(|(other, _)| other != at) {
                    let worker = worker(services, at)?;
                    worker.kill()?;
                    worker.start()?;
                    progress(&format!("worker {at} is killed"));
                    done.workers_killed += 1;
                }
                next_kill = elapsed + self.worker_kill.mul_f64(random.random_range(0.5..1.5));
            }
            if disturbed
                && elapsed >= next_leader
                && let Some(at) = services.leader()
            {
                let leader = services.injectors.get_mut(at).context("it was just there")?;
                leader.kill()?;
                leader.start()?;
                progress(&format!("injector {at}, which led, is killed"));
                next_leader = elapsed + self.leader_kill;
                done.leaders_killed += 1;
            }
            if elapsed >= next_look && paused.is_none() {
                next_look = elapsed + Duration::from_secs(3);
                if is_done(services) {
                    return Ok(done);
                }
            }
        }
    }
}

fn worker(services: &mut Services, at: usize) -> Result<&mut crate::process::Process> {
    services.workers.get_mut(at).context("there is such a worker")
}

/// Whether it is done, by a look that does not wait.
fn is_done(services: &Services) -> bool {
    let answer = (0..services.injectors.len()).find_map(|at| services.status_of(at));
    answer.is_some_and(|status| {
        !status.computations.is_empty()
            && status.computations.iter().all(|c| {
                let held = c.held.unwrap_or_default();
                c.low_watermark_us == i64::MAX
                    && c.running == c.intervals
                    && held.timers == 0
                    && held.parked == 0
            })
    })
}
